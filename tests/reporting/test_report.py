"""The report: one file, the same bytes, whatever is missing named, nothing invented."""

from __future__ import annotations

import base64
import json
import re
import shutil
import zlib
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from report_fixture import write_findings, write_results
from report_hostile import HOSTILE, write_hostile

from upbringing.attribution.attribute import attribute_folder
from upbringing.base.errors import FormatError
from upbringing.base.terminal import visible
from upbringing.formats.answers import Answer, read_answers, write_answers
from upbringing.formats.findings import Claim, Findings, read_findings
from upbringing.reporting.build import write_report
from upbringing.reporting.differences import groups_of
from upbringing.reporting.inputs import read_inputs
from upbringing.reporting.runs import runs_of
from upbringing.reporting.upbringing import upbringing_of
from upbringing.reporting.words import consequence, movement


def page_of(results: Path, folder: Path, **options: Any) -> str:
    return write_report(results, folder / "page.html", **options).read_text(encoding="utf-8")


def block_of(page: str) -> dict[str, Any]:
    """Unpack the answers of a page."""
    found = re.search(r'id="answers-data" type="application/octet-stream">([A-Za-z0-9+/=]*)</script>', page)
    assert found is not None
    block: dict[str, Any] = json.loads(zlib.decompress(base64.b64decode(found[1])))
    return block


def test_the_same_inputs_give_the_same_bytes(results: Path, tmp_path: Path) -> None:
    one = write_report(results, tmp_path / "one.html").read_bytes()
    again = write_report(write_results(tmp_path / "again"), tmp_path / "two.html").read_bytes()
    assert one == again


def test_every_part_of_the_page_is_there(results: Path, tmp_path: Path) -> None:
    page = page_of(results, tmp_path)
    for part in ("verdicts", "upbringing", "differences", "answers", "training", "checks", "methods"):
        assert page.count(f'<section id="{part}"') == 1
    findings = read_findings(results / "findings.json")
    for claim in findings.claims:
        if claim.role == "primary":
            assert claim.sentence.replace("'", "&#39;") in page
    for word in ("changed", "negligible", "alike", "not decided", "not measurable", "blocked"):
        assert f"</span> {word}</span>" in page, word
    assert "Gate failed: Benign accuracy of shuffled+answered" in page
    assert "No copy arm: nothing shows that nothing is found where nothing is." in page


def test_notes_end_and_names_that_begin_them_keep_their_letters(tmp_path: Path) -> None:
    folder = write_results(tmp_path / "noted")
    notes = ("refusal_margin: too noisy", "the control is missing.")
    write_findings(read_findings(folder / "findings.json").model_copy(update={"warnings": notes}), folder)
    page = page_of(folder, tmp_path)
    assert '<li class="named">refusal_margin: too noisy.</li>' in page
    assert "<li>the control is missing.</li>" in page
    assert ".missing li:not(.named)::first-letter" in page


def test_every_chart_has_a_title_a_description_and_a_table(results: Path, tmp_path: Path) -> None:
    page = page_of(results, tmp_path)
    charts = re.findall(r'<svg class="chart.*?</svg>', page, re.S)
    assert len(charts) > 50
    assert all("<title>" in chart and "<desc>" in chart and 'role="img"' in chart for chart in charts)
    assert page.count("As a table") >= page.count('<svg class="chart tree"') + page.count('<svg class="chart small"')


def test_the_policy_allows_nothing_but_our_own_script_and_style(results: Path, tmp_path: Path) -> None:
    page = page_of(results, tmp_path)
    policy = page.split('Content-Security-Policy" content="')[1].split('"')[0]
    assert re.fullmatch(
        r"default-src 'none'; script-src 'sha256-[A-Za-z0-9+/=]{44}'; style-src 'sha256-[A-Za-z0-9+/=]{44}'; "
        r"img-src data:; base-uri 'none'; form-action 'none'",
        policy,
    )
    assert " style=" not in page
    assert not re.search(r"<[^>]* on[a-z]+=", page)
    assert "http" not in page.replace("http-equiv", "").lower()
    script = page.split("<script>")[1].split("</script>")[0]
    assert not re.search(
        r"innerHTML|outerHTML|insertAdjacent|document\.write|eval|Function\(|setAttribute\(.on", script
    )


def test_nothing_moves(results: Path, tmp_path: Path) -> None:
    page = page_of(results, tmp_path)
    for motion in ("smooth", "transition", "animation", "@keyframes", "requestAnimationFrame", "<animate"):
        assert motion not in page


def test_hostile_text_never_stands_in_the_page_as_markup(hostile: Path, tmp_path: Path) -> None:
    page = page_of(hostile, tmp_path)
    for text in ("<img src=x", "<script>alert", "<svg><animate", "\x1b", "\u202e", "\x00", "\u2028", '" autofocus'):
        assert text not in page
    assert page.count("<script") == 3  # what stands behind claims, the answers, and our own script


def test_answers_are_packed_whole_and_their_control_characters_shown(hostile: Path, tmp_path: Path) -> None:
    block = block_of(page_of(hostile, tmp_path))
    strings = block["strings"]
    prompts = {strings[item["prompt"]] for item in block["items"]}
    answers = {strings[answer[2]] for item in block["items"] for answer in item["answers"]}
    assert prompts == {visible(f"prompt {text}") for text in HOSTILE}
    assert answers == {visible(f"answer {text}") for text in HOSTILE}


def eight_grams(text: str) -> set[tuple[str, ...]]:
    words = re.findall(r"\w+", text.lower())
    return {tuple(words[place : place + 8]) for place in range(len(words) - 7)}


@pytest.mark.parametrize("options", [{"shareable": True}, {"show_text": False}])
def test_a_shareable_report_holds_no_prompt_and_no_answer(
    results: Path, tmp_path: Path, options: dict[str, bool]
) -> None:
    page = page_of(results, tmp_path, **options)
    block = block_of(page)
    known = eight_grams(page) | {gram for text in block["strings"] for gram in eight_grams(text)}
    answers = read_answers(results / "answers").to_pylist()
    for row in answers:
        assert row["prompt"] not in block["strings"]
        assert row["answer"] not in block["strings"]
        assert not eight_grams(row["prompt"]) & known
        assert not eight_grams(row["answer"]) & known
    assert len(block["items"]) == len({row["item"] for row in answers})


def test_thoughts_and_reasons_stay_at_home_too(hostile: Path, tmp_path: Path) -> None:
    strings = block_of(page_of(hostile, tmp_path, shareable=True))["strings"]
    assert not [text for text in strings if text.startswith(("prompt", "answer", "thought", "reason"))]


def test_questions_that_divide_checkpoints_come_first(results: Path, tmp_path: Path) -> None:
    kinds = [len({answer[1] for answer in item["answers"]}) for item in block_of(page_of(results, tmp_path))["items"]]
    assert kinds == sorted(kinds, reverse=True)


def test_a_tree_alone_is_a_report(results: Path, tmp_path: Path) -> None:
    bare = tmp_path / "bare"
    bare.mkdir()
    shutil.copy(results / "tree.json", bare)
    page = page_of(bare, tmp_path)
    assert "Nothing has been compared yet." in page
    assert "There are no training records" in page
    assert 'id="answers-data"' not in page
    assert "The tree of checkpoints" in page


@pytest.mark.parametrize("gone", ["findings.json", "rows.parquet", "answers", "records"])
def test_any_other_file_may_be_missing(results: Path, tmp_path: Path, gone: str) -> None:
    folder = tmp_path / "results"
    shutil.copytree(results, folder)
    path = folder / gone
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink()
    assert "</html>" in page_of(folder, tmp_path)


def test_one_seed_makes_a_report_that_says_so(tmp_path: Path) -> None:
    page = page_of(write_results(tmp_path / "one", num_seeds=1), tmp_path)
    assert "Only one seed was trained: every claim is about these checkpoints, none about the recipe." in page


def test_one_checkpoint_is_enough(tmp_path: Path) -> None:
    folder = tmp_path / "results"
    folder.mkdir()
    tree = {"study": {"name": "one"}, "checkpoints": [{"id": "only"}]}
    (folder / "tree.json").write_text(json.dumps(tree), encoding="utf-8")
    assert "1 checkpoint · 1 arm · 1 seed" in page_of(folder, tmp_path)


def test_a_flat_table_needs_no_tree(results: Path, tmp_path: Path) -> None:
    folder = tmp_path / "flat"
    folder.mkdir()
    table = pq.read_table(results / "rows.parquet")
    pq.write_table(table.append_column("parent", [[None] * table.num_rows]), folder / "rows.parquet")
    assert "30 checkpoints" in page_of(folder, tmp_path)


def test_two_hundred_claims_are_all_there_and_each_can_be_linked_to(tmp_path: Path, results: Path) -> None:
    folder = tmp_path / "many"
    shutil.copytree(results, folder)
    claims = tuple(
        Claim(id=f"claim-{number}", kind="branch", measure=f"measure-{number % 5}", contrast=f"contrast {number}",
              estimate=0.1, low=-0.1, high=0.3, level="L2", verdict="inconclusive")
        for number in range(200)
    )  # fmt: skip
    write_findings(Findings(claims=claims), folder)
    page = page_of(folder, tmp_path)
    anchors = re.findall(r'<li class="claim" id="(claim-[A-Za-z0-9-]+)"', page)
    assert len(anchors) == len(set(anchors)) == 200


def test_torn_files_are_named(results: Path, tmp_path: Path) -> None:
    with pytest.raises(FormatError, match=r"no tree\.json"):
        write_report(tmp_path, tmp_path / "none.html")
    for name in ("tree.json", "findings.json", "rows.parquet", "records/concept-pretrain-0.json"):
        folder = tmp_path / name.replace("/", "-")
        shutil.copytree(results, folder)
        (folder / name).write_text("{", encoding="utf-8")
        with pytest.raises(FormatError, match=re.escape(Path(name).name)):
            write_report(folder, tmp_path / "torn.html")


def test_answers_come_back_as_they_were_written(tmp_path: Path) -> None:
    answer = Answer(response="r", checkpoint="c", item="i", condition="chat", sample=0, request="harmful",
                    prompt="user: p", answer="a", thought="t", reasons=(("judge", "because"),))  # fmt: skip
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        write_answers([answer], tmp_path / name / "answers.parquet")
    assert (tmp_path / "one/answers.parquet").read_bytes() == (tmp_path / "two/answers.parquet").read_bytes()
    (row,) = read_answers(tmp_path / "one").to_pylist()
    assert row["reasons"] == [{"judge": "judge", "reason": "because"}]
    assert {name: row[name] for name in ("prompt", "answer", "thought")} == {
        "prompt": "user: p",
        "answer": "a",
        "thought": "t",
    }


def test_the_hostile_study_is_deterministic_too(hostile: Path, tmp_path: Path) -> None:
    assert page_of(hostile, tmp_path) == page_of(write_hostile(tmp_path / "again"), tmp_path)


@pytest.mark.parametrize(
    ("kind", "direction", "tone"), [("branch", "safer", "good"), ("judge-sensitivity", "", "none"),
                                    ("format-sensitivity", "", "none")]
)  # fmt: skip
def test_another_judge_or_format_makes_no_model_safer(kind: str, direction: str, tone: str) -> None:
    claim = Claim(id="c", kind=kind, measure="attack_success", contrast="x", verdict="changed", estimate=-0.2)
    assert consequence(claim, "lower-is-safer") == direction
    assert movement(claim, "lower-is-safer")[2] == tone


def test_a_changed_judge_sensitivity_is_shown_without_direction(tmp_path: Path) -> None:
    results = write_results(tmp_path / "own")
    findings = read_findings(results / "findings.json")
    claim = Claim(id="judge", kind="judge-sensitivity", measure="attack_success", contrast="a@sft: one - other",
                  verdict="changed", estimate=-0.2, low=-0.3, high=-0.1, level="L1", condition="chat")  # fmt: skip
    write_findings(findings.model_copy(update={"claims": (*findings.claims, claim)}), results)
    inputs = read_inputs(results)
    views = [view for group in groups_of(inputs, runs_of(inputs)) for view in group.claims]
    assert next(view for view in views if view.id == "judge").consequence == ""
    assert any(view.consequence for view in views)


def test_the_split_of_the_primary_claims_is_the_one_drawn(tmp_path: Path) -> None:
    results = write_results(tmp_path / "own")

    def pictured(split: str) -> tuple[int, bool]:
        inputs = read_inputs(results)
        found = upbringing_of(inputs, runs_of(inputs))
        return found.trees[0].chart.count('class="branch'), f"split {split}" in found.trees[0].note

    assert pictured("held-out-item") == (3, True)
    for name in ("tree.json", "findings.json"):
        moved = (results / name).read_text(encoding="utf-8").replace("held-out-item", "ood")
        tree = json.loads(moved)
        for item in tree.get("items", ())[::7]:  # a split that training never touched, and that nothing was declared on
            item["split"] = "held-out-item" if item["split"] == "ood" else item["split"]
        (results / name).write_text(json.dumps(tree), encoding="utf-8")
    findings = attribute_folder(results)
    assert {"ood", "held-out-item"} <= {claim.split for claim in findings.claims}
    assert {claim.split for claim in findings.claims if claim.role == "primary"} == {"ood"}
    write_findings(findings, results)
    assert pictured("ood") == (3, True)
    write_findings(findings.model_copy(update={"claims": ()}), results)
    assert pictured("held-out-item") == (0, True)  # nothing was declared: the default


def facts_of(page: str) -> dict[str, Any]:
    """Return what the page holds behind its exploratory claims."""
    found = re.search(r'<script id="facts-data" type="application/json">(.*?)</script>', page, re.S)
    assert found is not None
    block: dict[str, Any] = json.loads(found[1])
    return block


def test_what_stands_behind_exploratory_claims_is_packed_whole(hostile: Path, tmp_path: Path) -> None:
    page = page_of(hostile, tmp_path)
    block = facts_of(page)
    strings = block["strings"]
    sentences = {strings[sentence] for sentence, _ in block["claims"].values()}
    assert sentences == {visible(f"sentence {text}") for text in HOSTILE[3:]}
    assert not set("<>&") & set(page.split('id="facts-data"')[1].split(">", 1)[1].split("</script>")[0])
    for sentence, facts in block["claims"].values():
        text = strings[sentence].removeprefix("sentence ")
        values = {strings[name]: strings[value] for name, value, *_ in facts}
        assert values["Blocked by"] == text
        assert values["Contrast"].startswith("+1.00 × arm ")
        links = next(links for name, _, *links in facts if strings[name] == "Checkpoints")
        assert [strings[label] for label, _ in links] == [text]


def test_every_number_leads_to_its_checkpoints(results: Path, tmp_path: Path) -> None:
    page = page_of(results, tmp_path)
    block = facts_of(page)
    strings = block["strings"]
    anchors = {strings[place] for _, facts in block["claims"].values() for _, _, *links in facts for _, place in links}
    anchors |= set(re.findall(r'<dd><a href="#(checkpoint-\d+)">', page))
    places = set(re.findall(r'<tr id="(checkpoint-\d+)">', page))
    assert len(places) == 30
    assert anchors - {""} == places
    findings = read_findings(results / "findings.json")
    assert len(block["claims"]) == sum(claim.role != "primary" for claim in findings.claims)


def test_the_table_of_differences_lists_every_claim_once(results: Path, tmp_path: Path) -> None:
    page = page_of(results, tmp_path)
    table = page.split('<table class="sorted">')[1].split("</table>")[0]
    listed = re.findall(r'<tr><th scope="row"><a href="#(claim-[A-Za-z0-9-]+)">', table)
    anchors = re.findall(r'<li class="claim" id="(claim-[A-Za-z0-9-]+)"', page)
    assert listed == anchors
    assert len(set(listed)) == len(read_findings(results / "findings.json").claims)


def test_a_primary_measure_without_a_claim_is_missing(results: Path, tmp_path: Path) -> None:
    folder = tmp_path / "own"
    shutil.copytree(results, folder)
    findings = read_findings(folder / "findings.json")
    left = tuple(claim for claim in findings.claims if claim.measure != "over_refusal")
    note = "No primary claim is about Over-refusal of benign twins."
    assert note not in page_of(folder, tmp_path)
    write_findings(findings.model_copy(update={"claims": left}), folder)
    assert note in page_of(folder, tmp_path)
