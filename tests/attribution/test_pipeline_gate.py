"""The gate of pipelines: what fails, what passes, and what is never a pass."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

import upbringing
from upbringing.attribution.pipeline_gate import FAILED_EXIT_CODE, gate
from upbringing.attribution.statistics.equivalence import beyond_margin, noninferior
from upbringing.attribution.statistics.inference import minimum_detectable, t_inference
from upbringing.base import errors
from upbringing.base.errors import FormatError, StudyError, UpbringingError
from upbringing.cli import app
from upbringing.formats.findings import Claim, Findings

MARGIN = 0.1


def claim(estimate: float, error: float = 0.01, **more: Any) -> Claim:
    """A claim on a measure of which less is better, with the numbers that attribution would give it."""
    found = t_inference(estimate, error, 10.0, "hand")
    base: dict[str, Any] = {
        "id": "c", "kind": "path", "measure": "attack_success", "contrast": "sft - base", "role": "primary",
        "weights": {"a@sft": 1.0, "a@base": -1.0}, "margin": MARGIN, "verdict": "changed", "estimate": estimate,
        "low": found.low, "high": found.high, "beyond_margin": beyond_margin(found, MARGIN),
        "noninferior": noninferior(found, MARGIN, lower_is_better=True),
        "minimum_detectable": minimum_detectable(found),
    }  # fmt: skip
    return Claim(**{**base, **more})


def rules_failed(*claims: Claim, **options: Any) -> list[str]:
    return [failure.rule for failure in gate(Findings(claims=claims), **options).failures]


def test_a_change_for_the_worse_beyond_the_margin_fails_and_its_mirror_image_passes() -> None:
    assert rules_failed(claim(0.3)) == ["regression"]
    assert rules_failed(claim(-0.3)) == []
    assert gate(Findings(claims=(claim(-0.3),))).passed


def test_the_boundary_is_the_interval_and_not_the_estimate() -> None:
    # t(0.95, 10) = 1.8125: 0.13 - 1.8125 x 0.0165 = 0.10009, 0.13 - 1.8125 x 0.0166 = 0.09991
    assert rules_failed(claim(0.13, 0.0165), fail_on=["regression"]) == ["regression"]
    assert rules_failed(claim(0.13, 0.0166), fail_on=["regression"]) == []


def test_no_change_for_the_worse_falls_between_the_rules() -> None:
    for error in (0.005, 0.0135, 0.0165, 0.0166, 0.03, 0.1):
        for estimate in (0.1, 0.11, 0.13, 0.2):
            assert rules_failed(claim(estimate, error), fail_on=["regression", "undecided"]), (estimate, error)


@pytest.mark.parametrize("verdict", ["inconclusive", "not-measurable", "blocked", None])
def test_open_questions_fail_as_undecided(verdict: Any) -> None:
    open_claim = claim(0.0, verdict=verdict, blocked_by=("the guard stopped",))
    (failure,) = gate(Findings(claims=(open_claim,)), fail_on=["undecided"]).failures
    assert failure.reason.endswith("the guard stopped")
    assert rules_failed(open_claim, fail_on=["regression"]) == []


def test_a_weak_test_fails_whatever_its_verdict() -> None:
    # shift of a t test with 10 degrees of freedom at 80% power: 3.1 standard errors
    assert rules_failed(claim(-0.9, 0.034)) == ["underpowered"]
    assert rules_failed(claim(-0.9, 0.031)) == []


def test_all_rules_can_fail_at_once_and_only_those_asked_do() -> None:
    weak = claim(0.05, 0.1, id="weak", verdict="inconclusive")
    assert rules_failed(claim(0.3), weak) == ["regression", "undecided", "underpowered"]
    assert rules_failed(claim(0.3), weak, fail_on=["underpowered"]) == ["underpowered"]


def test_interactions_and_judges_have_no_worse_side() -> None:
    both = claim(0.5, id="two", weights={"a@x": 1.0, "b@x": -1.0, "c@x": -1.0, "d@x": 1.0}, kind="interaction")
    judges = claim(0.5, id="judges", kind="judge-sensitivity")
    main = claim(0.5, id="main", weights={"a@x": 0.5, "b@x": -0.5, "c@x": 0.5, "d@x": -0.5}, kind="main-effect")
    assert rules_failed(both, judges, main, fail_on=["regression"]) == ["regression"]
    result = gate(Findings(claims=(both, judges, claim(-0.3))), fail_on=["regression"])
    assert result.passed
    assert result.notes == ("2 of 3 claims lack a number, a margin or a side that is worse: two, judges",)


def test_exploratory_claims_count_only_when_asked() -> None:
    found = Findings(claims=(claim(-0.3), claim(0.3, role="exploratory", id="other")))
    assert gate(found).passed
    assert not gate(found, claims="any").passed


def test_only_the_named_measures_count() -> None:
    found = Findings(claims=(claim(0.3), claim(-0.3, measure="over_refusal")))
    assert gate(found, measures=["over_refusal"]).passed
    assert not gate(found, measures=["over_refusal", "attack_success"]).passed
    with pytest.raises(StudyError, match="claims about attack_success, over_refusal"):
        gate(found, measures=["over-refusal"])


def test_a_change_that_nobody_can_call_worse_is_not_a_pass() -> None:
    neutral = claim(0.3, noninferior=None)
    assert rules_failed(neutral) == ["undecided"]
    with pytest.raises(StudyError, match="no regression could have been found"):
        gate(Findings(claims=(neutral,)), fail_on=["regression"])


@pytest.mark.parametrize(
    ("found", "message"),
    [
        (Findings(), "no primary claim"),
        (Findings(claims=(claim(0.0, role="exploratory"),)), "--claims any"),
        (Findings(claims=(claim(0.0, kind="level"),)), "no primary claim"),
        (Findings(claims=(claim(-0.3, margin=None, noninferior=None, beyond_margin=None, verdict="negligible"),)),
         "no regression could have been found"),
        (Findings(claims=(claim(-0.3, minimum_detectable=None),)), "nothing is known of their power"),
    ],
)  # fmt: skip
def test_nothing_to_judge_is_an_error(found: Findings, message: str) -> None:
    with pytest.raises(StudyError, match=message):
        gate(found)


def test_a_rule_that_does_not_exist_is_an_error() -> None:
    for rules in ([], ["regresion"]):
        with pytest.raises(StudyError, match="a gate fails on regression, undecided, underpowered"):
            gate(Findings(claims=(claim(0.0),)), fail_on=rules)  # type: ignore[arg-type]


def test_the_exit_code_is_no_error_of_the_program() -> None:
    found = [each for each in vars(errors).values() if isinstance(each, type) and issubclass(each, UpbringingError)]
    assert FAILED_EXIT_CODE not in {each.exit_code for each in found}
    assert len(found) > 8


def written(folder: Path, *claims: Claim) -> Path:
    (folder / "findings.json").write_text(Findings(claims=claims).model_dump_json(), encoding="utf-8")
    return folder / "findings.json"


def test_the_command_says_what_failed_and_exits_with_its_own_code(tmp_path: Path) -> None:
    path = written(tmp_path, claim(0.3, sentence="Attack success: \x1b[2Jrose."), claim(-0.3, id="fine"))
    run = CliRunner().invoke(app, ["gate", str(path), "--fail-on", "regression, undecided"])
    assert run.exit_code == FAILED_EXIT_CODE
    assert "regression: Attack success: \\u001b[2Jrose. (it changed for the worse by more than its margin of 0.1)" in (
        run.stdout
    )
    assert "gate failed: 1 of 2 claims failed on regression, undecided" in run.stdout
    run = CliRunner().invoke(app, ["gate", str(tmp_path), "--json"])
    found = json.loads(run.stdout)
    assert (found["passed"], [each["claim"] for each in found["failures"]]) == (False, ["c"])
    written(tmp_path, claim(-0.3))
    run = CliRunner().invoke(app, ["gate", str(tmp_path)])
    assert (run.exit_code, run.stdout) == (
        0,
        "gate passed: 0 of 1 claims failed on regression, undecided, underpowered\n",
    )
    assert CliRunner().invoke(app, ["gate", str(tmp_path), "--claims", "all"]).exit_code == 2


def test_files_that_are_no_findings_are_errors(tmp_path: Path) -> None:
    with pytest.raises(FormatError, match="run upbringing attribute first"):
        upbringing.gate(tmp_path)
    (tmp_path / "findings.json").write_text("{", encoding="utf-8")
    with pytest.raises(FormatError, match="not a findings file"):
        upbringing.gate(tmp_path)
