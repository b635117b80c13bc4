"""Logs of several models become rows and findings; what does not fit together is said, never repaired."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

import upbringing
from upbringing.attribution.evidence.defaults import default_contrasts
from upbringing.attribution.evidence.design import design_of
from upbringing.base.errors import FormatError, MissingExtraError, StudyError
from upbringing.base.strict_yaml import parse_yaml
from upbringing.battery.bridges.foreign import ForeignLog, ForeignMeasure, ForeignSample, ForeignScore
from upbringing.battery.bridges.inspect_logs import read_inspect_logs
from upbringing.battery.bridges.joining import joined
from upbringing.formats.tree import read_tree
from upbringing.lab.declared_tree import DeclaredTree, load_declared_tree, tree_of
from upbringing.lab.run import report
from upbringing.study.loading import validated

Line = Callable[..., dict[str, Any]]
Write = Callable[..., Path]
TreeFile = Callable[..., Path]

# Newcombe 1998, method 10, and McNemar's mid-p for (both, only SFT, only base, neither) = (5, 3, 1, 3), by hand:
# Wilson (8 of 12) = [.390622, .861880], Wilson (6 of 12) = [.253782, .746218], phi = (15 - 3 - 6) / sqrt(8*4*6*6)
LOW, HIGH = -0.16918159842442987, 0.45256548643255956
MID_P = 2 * 5 / 16 - 4 / 16


def log_of(model: str, values: dict[str, float | None], **changes: Any) -> ForeignLog:
    scores = {
        item: ForeignScore(value=value, reason_code=None if value is not None else "no-score")
        for item, value in values.items()
    }
    log = ForeignLog(
        name=f"{model}.log",
        model=model,
        task="task",
        version="1",
        settings={},
        samples=tuple(
            ForeignSample(item=item, question_sha256=item, prompt_sha256=item, scores={"task/right": score})
            for item, score in scores.items()
        ),
        measures={"task/right": ForeignMeasure()},
    )
    return replace(log, **changes)


def test_the_hand_computed_example_comes_out_exactly(two_models: Path, tree_file: TreeFile, tmp_path: Path) -> None:
    tree = tree_file("margins: {sums/exact_match: 0.2}\nprimary: [sums/exact_match]\n")
    imported = upbringing.import_logs(tree, lm_eval=two_models, output=tmp_path / "results")
    assert imported.warnings == ()
    logs = (read_tree(imported.folder / "tree.json").model_extra or {})["imported_from"]
    assert [(log["checkpoint"], log["task"], log["version"]) for log in logs] == [
        ("base", "sums", "1.0"),
        ("sft", "sums", "1.0"),
    ]
    assert logs[0]["settings"]["lm_eval_version"] == "0.4.13"
    (claim,) = upbringing.attribute(imported.folder).claims
    assert claim.weights == {"main@sft": 1.0, "main@base": -1.0}
    assert claim.estimate == pytest.approx(2 / 12, abs=1e-12)
    assert (claim.low, claim.high) == (pytest.approx(LOW, abs=1e-9), pytest.approx(HIGH, abs=1e-9))
    assert claim.p == pytest.approx(MID_P, abs=1e-12)
    assert claim.flips is not None
    assert (claim.flips.rose, claim.flips.fell, claim.flips.kept) == (3, 1, 8)
    assert (claim.units.items, claim.margin, claim.verdict, claim.level) == (12, 0.2, "inconclusive", "L1")
    assert claim.estimand == "artefact"


def test_clusters_are_the_units_where_they_are_asked_for(two_models: Path, tree_file: TreeFile, tmp_path: Path) -> None:
    imported = upbringing.import_logs(tree_file("cluster: family\n"), lm_eval=two_models, output=tmp_path / "results")
    (claim,) = upbringing.attribute(imported.folder).claims
    assert (claim.units.items, claim.units.clusters) == (12, 6)


def test_the_command_line_writes_rows_tree_and_findings(two_models: Path, tree_file: TreeFile, tmp_path: Path) -> None:
    arguments = ["attribute", "--lm-eval", str(two_models), "--tree", str(tree_file()), "--output", "out", "--json"]
    command = [sys.executable, "-c", "from upbringing.cli import main; main()"]
    first = subprocess.run([*command, *arguments], capture_output=True, text=True, check=True, cwd=tmp_path)
    assert json.loads(first.stdout)["claims"][0]["estimate"] == pytest.approx(2 / 12)
    names = ("rows.parquet", "tree.json", "findings.json")
    before = [(tmp_path / "out" / name).read_bytes() for name in names]
    subprocess.run([*command, *arguments], capture_output=True, check=True, cwd=tmp_path)
    subprocess.run([*command, "attribute", "out"], capture_output=True, check=True, cwd=tmp_path)
    assert [(tmp_path / "out" / name).read_bytes() for name in names] == before


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "name a results folder, or logs"),
        (["--lm-eval", "logs"], "logs need --tree"),
        (["results", "--lm-eval", "logs"], "not both"),
        (["results", "--tree", "tree.yaml"], "not both"),
    ],
)
def test_the_command_line_says_what_is_missing(arguments: list[str], message: str, tmp_path: Path) -> None:
    command = [sys.executable, "-c", "from upbringing.cli import main; main()", "attribute", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=tmp_path)
    assert done.returncode == 2
    assert message in done.stderr


def test_unscored_samples_stay_rows_without_a_value(
    write_samples: Write, line: Line, tree_file: TreeFile, tmp_path: Path
) -> None:
    write_samples("org/base", [line(0, 1.0), line(1, float("nan")), line(2, 0.0)], expected=4)
    file = write_samples("org/sft", [line(number, 1.0) for number in range(4)])
    imported = upbringing.import_logs(tree_file(), lm_eval=file.parent.parent, output=tmp_path / "results")
    rows = pq.read_table(imported.folder / "rows.parquet").to_pylist()
    lost = {row["item"]: row["reason_code"] for row in rows if row["value"] is None}
    assert lost == {"sums/1": "not-a-number", "sums/3": "not-run"}
    assert {row["status"] for row in rows if row["value"] is None} == {"unscored"}
    assert len(rows) == 8
    (claim,) = upbringing.attribute(imported.folder).claims
    assert claim.unscored == 2
    assert claim.estimate == pytest.approx(0.5)  # of the two samples that both models have
    assert "1 samples were not run" in imported.warnings[0]


def test_two_logs_of_one_model_count_once_or_must_agree() -> None:
    base = log_of("base", {"a": 1.0, "b": 0.0})
    found = joined([base, replace(base, name="copy.log"), log_of("sft", {"a": 1.0, "b": 1.0})])
    assert len(found.rows) == 4
    assert "2 samples also stand, equal, in another log of 'base'" in found.warnings[0]
    other = log_of("base", {"b": 1.0}, name="retry.log")
    with pytest.raises(FormatError, match=r"retry.log and another log of 'base' .* disagree about 'b'"):
        joined([base, other])
    twice = replace(base, samples=base.samples + base.samples[:1])
    with pytest.raises(FormatError, match=r"the sample 'a' \(epoch 1\) stands twice"):
        joined([twice])


def test_shards_of_one_model_are_joined() -> None:
    found = joined([log_of("base", {"a": 1.0}), log_of("base", {"b": 0.0}, name="second.log")])
    assert [(row.item, row.value) for row in found.rows] == [("a", 1.0), ("b", 0.0)]
    assert found.warnings == ()


def test_other_questions_under_the_same_ids_are_an_error(write_samples: Write, line: Line, tree_file: TreeFile) -> None:
    write_samples("org/base", [line(0, 1.0), line(1, 1.0)])
    file = write_samples("org/sft", [line(0, 1.0), line(1, 1.0, question="Who is")])
    with pytest.raises(FormatError, match=r"not asked the same questions under the same ids: sums/1$"):
        upbringing.import_logs(tree_file("prompts: may-differ\n"), lm_eval=file.parent.parent)


def test_other_text_under_the_same_ids_is_an_error_unless_declared(
    write_samples: Write, line: Line, tree_file: TreeFile, tmp_path: Path
) -> None:
    write_samples("org/base", [line(0, 1.0), line(1, 1.0)])
    templated = line(1, 1.0)
    templated["arguments"]["gen_args_0"]["arg_0"] = "<user>What is 1?<assistant>"
    file = write_samples("org/sft", [line(0, 1.0), templated])
    with pytest.raises(FormatError, match=r"different text under the same ids: sums/1; .*may-differ"):
        upbringing.import_logs(tree_file(), lm_eval=file.parent.parent, output=tmp_path / "results")
    assert not (tmp_path / "results").exists()
    imported = upbringing.import_logs(
        tree_file("prompts: may-differ\n"), lm_eval=file.parent.parent, output=tmp_path / "results"
    )
    assert "different text under the same ids: sums/1" in imported.warnings[0]


def test_other_samples_and_other_settings_are_said() -> None:
    base = log_of("base", {"a": 1.0, "b": 0.0}, settings={"temperature": "0.0"})
    found = joined([base, log_of("sft", {"a": 1.0, "c": 0.0}, settings={"temperature": "1.0"}, version="2")])
    assert found.warnings == (
        "the logs of 'task' were not made with the same settings: task version, temperature differ",
        "task/right: 'base' lacks 1 samples that others have: c",
        "task/right: 'sft' lacks 1 samples that others have: b",
    )
    assert len(found.rows) == 4


def test_one_sample_in_two_clusters_is_an_error() -> None:
    logs = [log_of(model, {"a": 1.0}) for model in ("base", "sft")]
    logs = [
        replace(log, samples=(replace(log.samples[0], cluster=cluster),))
        for log, cluster in zip(logs, ("x", "y"), strict=True)
    ]
    with pytest.raises(FormatError, match="of the cluster 'y', elsewhere of 'x'"):
        joined(logs)


def test_a_model_of_which_nothing_was_scored_has_the_rows_of_the_others() -> None:
    failed = log_of("sft", {}, measures={}, samples=(ForeignSample(item="a", reason_code="sample-error"),))
    found = joined([log_of("base", {"a": 1.0}), failed])
    assert [(row.checkpoint, row.value, row.reason_code) for row in found.rows] == [
        ("base", 1.0, None),
        ("sft", None, "sample-error"),
    ]
    with pytest.raises(FormatError, match="no sample of the task 'task' carries a score"):
        joined([failed])


def test_several_scorers_are_judges_where_the_tree_says_so(
    write_samples: Write, line: Line, tree_file: TreeFile, tmp_path: Path
) -> None:
    for model, strict in (("org/base", 0.0), ("org/sft", 1.0)):
        lines = [line(number, strict, filtered="strict") for number in range(4)]
        file = write_samples(model, [*lines, *(line(number, 1.0, filtered="loose") for number in range(4))], expected=4)
    judges = "judges:\n  right: {sums/exact_match/strict: rule, sums/exact_match/loose: llm}\n"
    imported = upbringing.import_logs(tree_file(judges), lm_eval=file.parent.parent, output=tmp_path / "results")
    claims = [claim for claim in upbringing.attribute(imported.folder).claims if claim.kind == "path"]
    (claim,) = claims
    assert (claim.measure, claim.judge, claim.estimate) == ("right", "sums/exact_match/strict", 1.0)
    assert [each["judge"] for each in claim.per_judge] == ["sums/exact_match/loose"]
    assert claim.judge_robust is False


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ("marginss: {}\n", r"tree.yaml:6: .*unknown key 'marginss': did you mean 'margins'"),
        ("margins: {a: 0.1}\nmargins: {}\n", "stands twice"),
        ("margins: {sums/exact_match: -1}\n", "greater than 0"),
        ("prompts: any\n", "expected one of same, may-differ"),
        ("primary: [sums/acc]\n", r"primary: the logs hold no measure 'sums/acc' \(found: sums/exact_match\)"),
        ("judges: {right: {sums/acc: rule}}\n", "the logs hold no measure 'sums/acc'"),
        ("judges: {right: {sums/exact_match: robot}}\n", "found 'robot'"),
        (
            "judges: {a: {sums/exact_match: rule}, b: {sums/exact_match: rule}}\n",
            "uses one measure of the logs twice",
        ),
        (
            "contrasts: [{name: c, measure: sums/exact_match, weights: {main@rl: 1, main@base: -1}}]\n",
            "'c' names 'main@rl'; the cells are main@base, main@sft",
        ),
    ],
)
def test_a_wrong_tree_is_an_error_that_says_what_is_right(
    more: str, message: str, two_models: Path, tree_file: TreeFile
) -> None:
    with pytest.raises(StudyError, match=message):
        upbringing.import_logs(tree_file(more), lm_eval=two_models)


@pytest.mark.parametrize(
    ("checkpoints", "error", "message"),
    [
        ("{org/base: {}}", StudyError, "the model 'org/sft', which the tree does not declare"),
        ("{a: {model: org/base}, b: {model: org/base}}", StudyError, "is both 'a' and 'b'"),
        ("{org/base: {}, org/sft: {parent: bas}}", StudyError, r"the parent 'bas' of 'org/sft' is no checkpoint"),
        ("{org/base: {parent: org/sft}, org/sft: {parent: org/base}, c: {parent: org/sft}}", FormatError, "ancestor"),
        ("{org/base: {control: placebo}, org/sft: {control: copy}}", StudyError, "choose one"),
        ("{org/base: {seed: one}, org/sft: {}}", StudyError, "valid integer"),
        ("{}", StudyError, "at least 1 item"),
    ],
)
def test_wrong_checkpoints_are_errors(
    checkpoints: str, error: type[Exception], message: str, two_models: Path, tmp_path: Path
) -> None:
    path = tmp_path / "wrong.yaml"
    path.write_text(f"name: wrong\ncheckpoints: {checkpoints}\n")
    with pytest.raises(error, match=message):
        upbringing.import_logs(path, lm_eval=two_models, output=tmp_path / "results")


def test_a_checkpoint_without_a_log_is_said(two_models: Path, tree_file: TreeFile, tmp_path: Path) -> None:
    tree = tree_file("")
    tree.write_text(tree.read_text() + "  rl: {parent: sft, seed: 1}\n")
    imported = upbringing.import_logs(tree, lm_eval=two_models, output=tmp_path / "results")
    assert "the checkpoint 'rl' has no log" in imported.warnings
    assert "the checkpoint 'rl' has no log" in read_tree(imported.folder / "tree.json").warnings


def test_arms_controls_and_contrasts_reach_the_design(tmp_path: Path) -> None:
    path = tmp_path / "tree.yaml"
    path.write_text("""
name: arms
checkpoints:
  base: {}
  safe: {parent: base, stage: sft, arm: safe, seed: 1}
  plain: {parent: base, stage: sft, arm: plain, seed: 1, control: placebo}
margins: {m: 0.1}
contrasts:
  - {name: data, measure: m, weights: {safe@sft: 1, plain@sft: -1}, role: primary}
  - {name: training, measure: m, weights: {plain@sft: 1, plain@base: -1}, margin: 0.2}
""")
    tree = tree_of(load_declared_tree(path))
    assert {(cell.name, cell.control) for cell in tree.cells} == {
        ("safe@base", "none"),
        ("safe@sft", "none"),
        ("plain@base", "placebo"),
        ("plain@sft", "placebo"),
    }
    branch, along = tree.study.contrasts
    assert (branch.level, branch.kind, branch.margin, branch.role) == ("L2", "branch", 0.1, "primary")
    assert (along.level, along.kind, along.margin, along.role) == ("L1", "path", 0.2, "exploratory")


def test_factors_make_a_factorial(tmp_path: Path) -> None:
    arms = "\n".join(
        f"  {a}_{b}: {{parent: base, stage: sft, arm: {a}{b}, factors: {{docs: {a}, chats: {b}}}}}"
        for a in ("trait", "none")
        for b in ("safe", "off")
    )
    path = tmp_path / "tree.yaml"
    path.write_text(f"name: arms\ncheckpoints:\n  base: {{}}\n{arms}\n")
    tree = tree_of(load_declared_tree(path))
    found = default_contrasts(design_of(tree), tree.study, ("m",))
    kinds = [spec.kind for spec in found if spec.kind != "path"]
    assert sorted(kinds) == [
        *["interaction"], *["main-effect"] * 2, *["necessity"] * 2, *["sufficiency"] * 2, "total-effect",
    ]  # fmt: skip
    total = next(spec for spec in found if spec.kind == "total-effect")
    assert total.weights == {"traitsafe@sft": 1.0, "noneoff@sft": -1.0}
    again = "  again: {parent: base, stage: more, arm: traitsafe, factors: {docs: none, chats: safe}}\n"
    path.write_text(f"name: arms\ncheckpoints:\n  base: {{}}\n{arms}\n{again}")
    with pytest.raises(StudyError, match="the arm 'traitsafe' has the factors"):
        tree_of(load_declared_tree(path))


def test_what_checkpoints_are_known_to_be_reaches_their_cells(tmp_path: Path) -> None:
    path = tmp_path / "tree.yaml"
    text = "name: known\ncheckpoints: {plain: {}, safe: {}}\nknown: {plain: helpful-only, SAFE: safety-trained}\n"
    path.write_text(text.replace("SAFE", "safe"))
    tree = tree_of(load_declared_tree(path))
    assert {cell.checkpoint: cell.known for cell in tree.cells} == {"plain": "helpful-only", "safe": "safety-trained"}
    path.write_text(text.replace("SAFE", "other"))
    with pytest.raises(StudyError, match="'known' names 'other'; the checkpoints are plain, safe"):
        tree_of(load_declared_tree(path))


def test_a_tree_of_logs_may_follow_a_protocol(tmp_path: Path) -> None:
    path = tmp_path / "tree.yaml"
    text = """
name: staged
checkpoints: {base: {}, sft: {parent: base}, rl: {parent: sft}}
primary: [m]
margins: {m: 0.1}
protocol: {kind: sft_or_rl, cells: {base: main@base, sft: main@sft, sft_rl: main@rl}}
"""
    path.write_text(text)
    tree = tree_of(load_declared_tree(path))
    assert tree.study.protocol is not None
    assert [spec.name.partition(":")[0] for spec in tree.study.contrasts] == ["CA1", "CA2"]
    assert {spec.margin for spec in tree.study.contrasts} == {0.1}
    for before, after, message in (
        ("main@rl", "main@dpo", "main@base, main@rl, main@sft"),
        ("primary: [m]", "", "primary measures"),
    ):
        path.write_text(text.replace(before, after))
        with pytest.raises(StudyError, match=message):
            tree_of(load_declared_tree(path))


def test_rows_that_were_not_imported_are_never_overwritten(
    two_models: Path, tree_file: TreeFile, tmp_path: Path
) -> None:
    own = tmp_path / "own"
    own.mkdir()
    (own / "rows.parquet").write_bytes(b"somebody's own")
    with pytest.raises(StudyError, match="were not imported from logs"):
        upbringing.import_logs(tree_file(), lm_eval=two_models, output=own)
    assert (own / "rows.parquet").read_bytes() == b"somebody's own"


def test_without_the_extra_the_error_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "inspect_ai.log", None)
    (tmp_path / "a.eval").write_bytes(b"")
    with pytest.raises(MissingExtraError, match=r"pip install 'upbringing\[inspect\]'"):
        read_inspect_logs(tmp_path)


def test_seeds_and_arms_give_what_a_study_would(
    write_samples: Write, line: Line, tree_file: TreeFile, tmp_path: Path
) -> None:
    tree = tmp_path / "tree.yaml"
    tree.write_text("""
name: arms
checkpoints:
  base: {}
  safe_1: {parent: base, stage: sft, arm: safe, seed: 1}
  safe_2: {parent: base, stage: sft, arm: safe, seed: 2}
  safe_3: {parent: base, stage: sft, arm: safe, seed: 3}
  plain_1: {parent: base, stage: sft, arm: plain, seed: 1, control: placebo}
  plain_2: {parent: base, stage: sft, arm: plain, seed: 2, control: placebo}
  plain_3: {parent: base, stage: sft, arm: plain, seed: 3, control: placebo}
margins: {sums/exact_match: 0.1}
primary: [sums/exact_match]
contrasts:
  - {name: data, measure: sums/exact_match, weights: {safe@sft: 1, plain@sft: -1}, role: primary}
""")
    for name in ("base", *(f"{arm}_{seed}" for arm in ("safe", "plain") for seed in (1, 2, 3))):
        right = 6 if name == "base" else 16 + int(name[-1]) if name.startswith("safe") else 5 + int(name[-1])
        file = write_samples(name, [line(number, float(number < right)) for number in range(20)])
    imported = upbringing.import_logs(tree, lm_eval=file.parent.parent, output=tmp_path / "results")
    claims = {claim.contrast: claim for claim in upbringing.attribute(imported.folder).claims}
    branch = claims["data"]
    assert (branch.level, branch.role, branch.estimand) == ("L2", "primary", "recipe-given-start")
    assert branch.conditional_on == ("base",)
    assert branch.estimate == pytest.approx(11 / 20)
    assert (branch.units.seeds, branch.verdict) == (3, "changed")
    assert claims["safe: base -> sft"].estimate == pytest.approx(12 / 20)
    assert claims["plain: base -> sft"].estimate == pytest.approx(1 / 20)
    assert {claim.role for name, claim in claims.items() if name != "data"} == {"exploratory"}
    assert len(claims) == 3
    assert report(imported.folder).exists()


def test_the_tree_in_the_documentation_is_valid() -> None:
    page = (Path(__file__).parents[3] / "docs" / "formats.md").read_text(encoding="utf-8")
    declared = validated(DeclaredTree, parse_yaml(page.split("```yml\n")[1].split("```")[0], name="tree.yaml"))
    (contrast,) = tree_of(declared).study.contrasts
    assert (contrast.level, contrast.margin, contrast.role) == ("L2", 0.05, "primary")
