"""Nothing is ever dropped: runs that trained badly stay, are named, and every claim stands without them beside."""

from __future__ import annotations

import math

import pytest
from pydantic import ValidationError
from rare_studies import study_of as rare_study
from simulated_studies import two_arms

from upbringing.attribution.attribute import attribute
from upbringing.formats.findings import Findings
from upbringing.formats.health import HealthBounds
from upbringing.formats.tree import Gate, StageInfo, Tree

CRITERIA = {"pretrain": {"last_loss": HealthBounds(at_most=2.0)}}


def study_of(
    losses: dict[str, float | None], *, effect: float = 0.0, declared: bool = True, gates: tuple[Gate, ...] = ()
) -> Findings:
    """Five runs of two arms with a last loss of 1, but for ``losses``."""
    rows, tree = two_arms(3, effect=effect, num_items=60, num_seeds=5, seed_deviation=0.1, margin=0.2)
    checkpoints = tuple(
        each.model_copy(update={"health": {"last_loss": losses.get(each.id, 1.0)}}) for each in tree.checkpoints
    )
    study = tree.study.model_copy(update={"health_criteria": CRITERIA if declared else {}})
    tree = tree.model_copy(update={"checkpoints": checkpoints, "study": study, "gates": gates})
    return attribute(rows, tree, other_estimators=False)


def test_a_run_that_missed_stays_in_every_number_and_the_rest_stands_beside() -> None:
    with_it, silent = study_of({"b-2": 9.0}), study_of({"b-2": 9.0}, declared=False)
    assert with_it.claims == silent.claims
    assert {name: with_it.tables[name] for name in silent.tables} == silent.tables
    (missed,) = with_it.tables["health"]
    assert (missed["checkpoint"], missed["value"], missed["asked"]) == ("b-2", 9.0, "at most 2")
    (line,) = with_it.tables["without_unhealthy"]
    assert (line["seeds"], line["seeds_without"]) == (5, 4)  # its pair has nothing to be compared with
    assert line["estimate_without"] != line["estimate"]
    assert sum("1 of 10 checkpoints miss" in each for each in with_it.warnings) == 1


def test_what_is_without_is_what_the_same_rows_without_the_run_say() -> None:
    rows, tree = two_arms(3, effect=0.0, num_items=60, num_seeds=5, seed_deviation=0.1, margin=0.2)
    kept = tree.model_copy(
        update={
            "checkpoints": tuple(each for each in tree.checkpoints if each.id != "b-2"),
            "cells": tuple(each for each in tree.cells if each.checkpoint != "b-2"),
        }
    )
    names = rows["checkpoint"].to_pylist()
    smaller = rows.filter([name != "b-2" for name in names])
    expected = attribute(smaller, kept, other_estimators=False).claims[0]
    (line,) = study_of({"b-2": 9.0}).tables["without_unhealthy"]
    assert (line["estimate_without"], line["low_without"], line["high_without"]) == (
        expected.estimate,
        expected.low,
        expected.high,
    )


def test_a_null_of_healthy_runs_adds_nothing() -> None:
    findings, silent = study_of({}), study_of({}, declared=False)
    assert findings.tables.pop("health") == []
    assert findings == silent


def test_whatever_a_study_scores_no_run_leaves_without_a_declared_criterion() -> None:
    """However far one run's safety lies from the others', it is in the estimate: outliers are never dropped."""
    rows, tree = two_arms(3, effect=0.0, num_items=60, num_seeds=5, seed_deviation=0.1)
    values = rows["value"].to_pylist()
    names = rows["checkpoint"].to_pylist()
    moved = [1.0 if name == "b-4" else value for name, value in zip(names, values, strict=True)]
    place = rows.schema.get_field_index("value")
    findings = attribute(rows.set_column(place, rows.schema.field(place), [moved]), tree, other_estimators=False)
    claim = findings.claims[0]
    by_arm = {arm: [v for n, v in zip(names, moved, strict=True) if n.startswith(arm)] for arm in "ab"}
    assert claim.units.seeds == 5
    assert claim.estimate == pytest.approx(sum(by_arm["b"]) / 300 - sum(by_arm["a"]) / 300)
    assert "without_unhealthy" not in findings.tables


def test_what_came_from_a_run_that_missed_goes_with_it_and_an_unknown_value_is_no_miss() -> None:
    rows, tree = two_arms(3, effect=0.0, num_items=60, num_seeds=5, seed_deviation=0.1)
    root = tree.checkpoints[0].model_copy(update={"id": "root", "health": {"last_loss": math.inf}})
    later = (StageInfo(role="sft", kind="sft"),)
    first, *others = tree.checkpoints
    first = first.model_copy(update={"parent": "root", "stages": (*first.stages, *later)})
    study = tree.study.model_copy(update={"health_criteria": CRITERIA})
    grown: Tree = tree.model_copy(update={"checkpoints": (root, first, *others), "study": study})
    findings = attribute(rows, grown, other_estimators=False)
    statuses = {line["checkpoint"]: line["status"] for line in findings.tables["health"]}
    assert statuses["root"] == "missed"
    assert statuses[first.id] == "came from one that missed"
    assert statuses[others[0].id] == "unknown"
    assert any("9 checkpoints a health criterion is not known" in each for each in findings.warnings)


def test_all_runs_of_an_arm_may_miss() -> None:
    findings = study_of({f"b-{run}": 9.0 for run in range(5)})
    (line,) = findings.tables["without_unhealthy"]
    assert (line["estimate_without"], line["verdict_without"]) == (None, "not-measurable")
    assert line["estimate"] is not None


@pytest.mark.parametrize("bounds", [{}, {"at_least": 2.0, "at_most": 1.0}])
def test_a_criterion_has_bounds_that_a_run_can_meet(bounds: dict[str, float]) -> None:
    with pytest.raises(ValidationError):
        HealthBounds(**bounds)
    assert not HealthBounds(at_most=1.0).hold(math.nan)


def failing(*cells: str) -> Gate:
    return Gate(name="known groups", passed=False, value=0.0, threshold=1.0, sentence="It failed.", cells=cells)


@pytest.mark.parametrize(("cells", "without"), [(("b-2",), 4), (("b-2", "b-3"), None)])
def test_a_failed_gate_goes_with_the_runs_that_it_names_and_stays_for_others(
    cells: tuple[str, ...], without: int | None
) -> None:
    (line,) = study_of({"b-2": 9.0}, gates=(failing(*cells),)).tables["without_unhealthy"]
    assert line["verdict"] == "not-measurable" or line["estimate"] is None
    assert (line["estimate_without"] is None) == (without is None)
    assert without is None or line["seeds_without"] == without


def test_no_run_may_be_healthy() -> None:
    findings = study_of({f"{arm}-{run}": 9.0 for arm in "ab" for run in range(5)})
    (line,) = findings.tables["without_unhealthy"]
    assert line["estimate"] is not None
    assert (line["estimate_without"], line["seeds_without"]) == (None, 0)


def test_a_default_margin_is_the_one_of_all_runs_with_and_without_those_that_miss() -> None:
    """Harm of 4 % in three runs and of 36 % in one that trained badly: all get a margin, what is left would a ratio."""
    rows, tree = rare_study({"a": 4, "b": 5}, 100, info={"default_margins": "strict"})
    names, items = rows["checkpoint"].to_pylist(), rows["item"].to_pylist()
    bad = [
        1.0 if name in ("a-3", "b-3") and int(item) % 3 == 0 else value
        for name, item, value in zip(names, items, rows["value"].to_pylist(), strict=True)
    ]
    place = rows.schema.get_field_index("value")
    rows = rows.set_column(place, rows.schema.field(place), [bad])
    losses = {"a-3": 9.0, "b-3": 9.0}
    checkpoints = tuple(
        each.model_copy(update={"health": {"last_loss": losses.get(each.id, 1.0)}}) for each in tree.checkpoints
    )
    study = tree.study.model_copy(update={"health_criteria": CRITERIA})
    findings = attribute(
        rows, tree.model_copy(update={"checkpoints": checkpoints, "study": study}), other_estimators=False
    )
    (line,) = findings.tables["without_unhealthy"]
    assert (findings.claims[0].margin, findings.claims[0].risk_ratio) == (0.05, None)
    assert line["verdict_without"] == "equivalent"
    left = rows.filter([name not in losses for name in names])
    cells = tuple(cell for cell in tree.cells if cell.checkpoint not in losses)
    kept = tuple(each for each in tree.checkpoints if each.id not in losses)
    alone = attribute(left, tree.model_copy(update={"cells": cells, "checkpoints": kept}), other_estimators=False)
    assert alone.claims[0].risk_ratio is not None  # by itself the rest gets a ratio, which its few events do not decide
    assert alone.claims[0].verdict == "inconclusive"
    assert line["estimate_without"] == alone.claims[0].estimate
