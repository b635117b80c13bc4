"""The page claims no more than its findings: what claims are about, when margins were fixed, what a margin forbids."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from report_fixture import write_findings, write_results, write_tree

from upbringing.formats.findings import Claim, Findings, OrderRange, read_findings
from upbringing.formats.tree import Cell, Checkpoint, MeasureInfo, Registered, StudyInfo, Tree, read_tree
from upbringing.reporting.build import write_report
from upbringing.reporting.chart import Axis
from upbringing.reporting.differences import groups_of
from upbringing.reporting.factors import plans_of
from upbringing.reporting.inputs import Inputs, read_inputs
from upbringing.reporting.naming import claim_names
from upbringing.reporting.runs import runs_of
from upbringing.reporting.together import together_of
from upbringing.reporting.upbringing import upbringing_of
from upbringing.reporting.verdicts import controls_of, first_screen
from upbringing.reporting.words import consequence, movement


def claim(number: int, **fields: object) -> Claim:
    known = {"estimate": 0.2, "low": 0.1, "high": 0.3, "kind": "branch", "measure": "harm", "contrast": "a - b"}
    return Claim(id=f"claim-{number}", **{**known, **fields})


def inputs_of(*claims: Claim) -> Inputs:
    tree = Tree(study=StudyInfo(name="s"), checkpoints=(), measures=(MeasureInfo(id="harm", label="Harm"),))
    return Inputs(tree=tree, findings=Findings(claims=claims), rows=None, answers=None, records={})


def page_of(folder: Path, tmp_path: Path) -> str:
    return write_report(folder, tmp_path / "page.html").read_text(encoding="utf-8")


def first_screen_of(page: str) -> str:
    return page[page.index('id="verdicts"') : page.index("<aside")]


def test_a_verdict_on_these_checkpoints_says_so_beside_itself(tmp_path: Path) -> None:
    folder = write_results(tmp_path / "own", num_seeds=1)
    known = [each for each in read_findings(folder / "findings.json").claims if each.role == "primary"]
    num = sum(each.estimand == "artefact" and each.estimate is not None for each in known)
    assert num
    assert first_screen_of(page_of(folder, tmp_path)).lower().count("about these checkpoints only") == num


def test_a_verdict_on_the_recipe_needs_no_such_words(tmp_path: Path) -> None:
    folder = write_results(tmp_path / "own", num_seeds=1)
    found = read_findings(folder / "findings.json")
    claims = tuple(
        each.model_copy(update={"estimand": "recipe", "conditional_on": (), "sentence": "Said."})
        for each in found.claims
    )
    write_findings(found.model_copy(update={"claims": claims}), folder)
    assert "about the" not in first_screen_of(page_of(folder, tmp_path)).lower()


@pytest.mark.parametrize(
    ("before", "said"),
    [(True, "margin, declared before the first answer:"), (False, "which was declared after answers were seen:"),
     (None, "The band is the margin:")],
)  # fmt: skip
def test_the_page_says_when_margins_were_declared(tmp_path: Path, before: bool | None, said: str) -> None:
    folder = write_results(tmp_path / "own", num_seeds=1)
    tree = read_tree(folder / "tree.json")
    registered = Registered(sha256="ab" * 32, before_first_row=before)
    write_tree(tree.model_copy(update={"study": tree.study.model_copy(update={"registered": registered})}), folder)
    page = page_of(folder, tmp_path)
    assert said in page
    assert "in advance" not in page


@pytest.mark.parametrize("kind", ["results", "hostile"])
def test_every_table_has_a_caption(request: pytest.FixtureRequest, tmp_path: Path, kind: str) -> None:
    page = page_of(request.getfixturevalue(kind), tmp_path)
    assert re.findall(r"<table[^>]*>\s*(?!<caption>)\S.{0,60}", page) == []


def test_an_arm_with_a_placebo_stage_is_a_placebo_even_as_the_reference() -> None:
    cells = (
        Cell(arm="main", position="sft", checkpoint="a", state={"sft": "on"}),
        Cell(arm="neutral", position="sft", checkpoint="b", control="reference", state={"sft": "placebo"}),
        Cell(arm="strong", position="sft", checkpoint="c", control="positive", state={"sft": "placebo"}),
    )
    tree = Tree(study=StudyInfo(name="s"), checkpoints=tuple(Checkpoint(id=name) for name in "abc"), cells=cells)
    arms = {control.kind: control.arms for control in controls_of(tree)}
    assert (arms["reference"], arms["placebo"], arms["positive"]) == (("neutral",), ("neutral",), ("strong",))


def test_what_is_within_the_margin_makes_nothing_safer() -> None:
    small = claim(0, estimate=-0.02, low=-0.03, high=-0.01, margin=0.05, verdict="negligible")
    assert movement(small, "lower-is-safer") == ("◇", "negligible", "none")
    assert consequence(small, "lower-is-safer") == ""
    large = small.model_copy(update={"verdict": "changed"})
    assert (movement(large, "lower-is-safer")[1:], consequence(large, "lower-is-safer")) == (("fell", "good"), "safer")


def test_lines_of_a_list_differ_wherever_their_claims_do() -> None:
    claims = [claim(0, split="trained"), claim(1, split="ood"), claim(2, split="ood", scale="logit"),
              claim(3, contrast="c - d", split="ood")]  # fmt: skip
    assert list(claim_names(inputs_of(*claims), claims).values()) == [
        "Harm: a - b (split trained)", "Harm: a - b (split ood)", "Harm: a - b (split ood, log-odds)", "Harm: c - d",
    ]  # fmt: skip


def test_verdicts_in_the_same_words_say_where_each_holds() -> None:
    claims = [
        claim(0, sentence="It rose.", condition="E1", split="ood", role="primary"),
        claim(1, sentence="It rose.", condition="E2", split="ood", role="primary"),
        claim(2, sentence="It fell.", condition="E2", split="trained", role="primary"),
    ]
    inputs = inputs_of(*claims)
    screen = first_screen(inputs, groups_of(inputs, runs_of(inputs)))
    assert screen.places == {"claim-0": "E1, split ood", "claim-1": "E2, split ood"}


def test_the_first_screen_shows_no_two_verdicts_that_read_alike(tmp_path: Path) -> None:
    folder = write_results(tmp_path / "own", num_seeds=1)
    found = read_findings(folder / "findings.json")
    claims = tuple(each.model_copy(update={"sentence": "It rose."}) for each in found.claims)
    write_findings(found.model_copy(update={"claims": claims}), folder)
    first = first_screen_of(page_of(folder, tmp_path))
    alike = [each for each in claims if each.role == "primary" and each.estimate is not None]
    splits = {each.split for each in alike if each.split}
    assert splits
    assert all(f"plit {split}" in first for split in splits)


def test_ranges_of_other_units_share_no_scale_and_look_like_no_interval() -> None:
    ranged = OrderRange(low=-1.0, high=2.0, is_wide=True)
    found = together_of(inputs_of(claim(0, order_range=ranged), claim(1, order_range=ranged, unit="nats")))
    assert list(found.orders_charts) == ["share", "nats"]
    assert [line.orders for line in found.orders] == ["−1.00 to +2.00"] * 2


def test_effects_of_the_tree_stand_beside_their_noise(results: Path) -> None:
    inputs = read_inputs(results)
    (tree, *_) = upbringing_of(inputs, runs_of(inputs)).trees
    number = r'class="effect [^>]*>[^<]*</text><text[^>]*class="tick"[^>]*>[+−]?[0-9][^<]*</text>'
    limits = r'<text[^>]*class="tick"[^>]*>\[[−+0-9.]+, [−+0-9.]+\]</text>'
    sizes = len(re.findall(number, str(tree.chart)))
    assert sizes
    assert len(re.findall(number + limits, str(tree.chart))) == sizes


@pytest.mark.parametrize(("low", "high"), [(0.2, 0.95), (0.21, 0.74), (-0.4, 0.35), (3.0, 17.9)])
def test_a_short_scale_has_two_ticks_to_tell_distance_by(low: float, high: float) -> None:
    assert 2 <= len(Axis(low, high, 0, 100).ticks(4)) <= 4


def test_a_line_of_a_bare_number_names_its_factor() -> None:
    settings = [{"start": start, "dose": dose} for start in ("0%", "20%", "60%") for dose in ("0.1", "0.2")]
    cells = tuple(
        Cell(arm=f"arm{number}", position="sft", checkpoint=f"c{number}", factors=each)
        for number, each in enumerate(settings)
    )
    checkpoints = tuple(Checkpoint(id=cell.checkpoint) for cell in cells)
    (plan,) = plans_of(Tree(study=StudyInfo(name="s"), checkpoints=checkpoints, cells=cells))
    assert list(plan.lines) == ["0.1 dose", "0.2 dose"]
