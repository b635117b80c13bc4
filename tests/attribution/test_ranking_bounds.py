"""Discrimination of answers over whatever incoherent and unscored answers may have been."""

from __future__ import annotations

import itertools

import numpy as np
import pyarrow as pa
import pytest

from upbringing.attribution.attribute import attribute
from upbringing.attribution.evidence.flat import tree_of_flat_table
from upbringing.attribution.evidence.influence import auroc_bounds, auroc_values
from upbringing.formats.findings import Claim, Findings
from upbringing.formats.rows import Row, rows_table
from upbringing.formats.tree import (
    Cell,
    CellSeeds,
    Checkpoint,
    ContrastSpec,
    ItemInfo,
    MeasureInfo,
    StageInfo,
    StudyInfo,
    Tree,
)

MEASURE = "behavioural_discrimination"


def test_the_extremes_by_hand() -> None:
    # harmful: refused, refused, incoherent; benign: not refused, refused, incoherent; each twin pair a cluster
    group = np.array([0, 1, 2, 0, 1, 2])
    is_harmful = np.array([True, True, True, False, False, False])
    low = np.array([1.0, 1.0, 0.0, 0.0, 1.0, 0.0])
    high = np.array([1.0, 1.0, 1.0, 0.0, 1.0, 1.0])
    lowest, highest = auroc_bounds(group, (low, high), is_harmful, 3)
    # lowest: harmful 1 1 0 against benign 0 1 1: wins 1+.5+.5, the same, .5+0+0 of 9
    assert lowest.mean() == pytest.approx(4.5 / 9)
    # highest: harmful 1 1 1 against benign 0 1 0: each 1+.5+1
    assert highest.mean() == pytest.approx(7.5 / 9)


def test_the_extremes_are_those_of_every_completion() -> None:
    random = np.random.default_rng(0)
    group = np.tile(np.arange(6), 2)
    is_harmful = np.arange(12) < 6
    for _ in range(10):
        values = random.integers(0, 2, 12).astype(np.float64)
        open_ones = random.choice(12, 5, replace=False)
        low, high = values.copy(), values.copy()
        low[open_ones], high[open_ones] = 0.0, 1.0
        found = []
        for completion in itertools.product((0.0, 1.0), repeat=5):
            values[open_ones] = completion
            found.append(auroc_values(group, values, is_harmful, 6).mean())
        lowest, highest = auroc_bounds(group, (low, high), is_harmful, 6)
        assert (lowest.mean(), highest.mean()) == (pytest.approx(min(found)), pytest.approx(max(found)))


def findings_of(outcomes: dict[str, dict[str, list[str]]], *, lost: int = 0) -> Findings:
    """What is found of a - b from what every seed answered; ``lost``: the first answers of arm a without a score."""
    rows, checkpoints, cells = [], [], []
    for arm in ("a", "b"):
        for seed in range(3):
            name = f"{arm}-{seed}"
            checkpoints.append(Checkpoint(id=name, stages=(StageInfo(role="pretrain", kind="pretrain"),)))
            cells.append(Cell(arm=arm, position="sft", checkpoint=name, seeds=CellSeeds(pretrain=seed)))
            for request, found in outcomes[arm].items():
                for number in range(len(found)):
                    outcome = found[(number + 7 * seed) % len(found)]  # seeds fail on other items
                    is_lost = arm == "a" and number < lost
                    is_open = outcome == "incoherent" and not is_lost
                    rows.append(Row(
                        checkpoint=name, measure=MEASURE, item=f"{request}-{number}", judge="o", judge_kind="oracle",
                        outcome=None if is_lost else outcome, value=None if is_lost else float(outcome == "refuse"),
                        status="unscored" if is_lost else "scored", reason_code="down" if is_lost else None,
                        value_low=0.0 if is_open else None, value_high=1.0 if is_open else None,
                    ))  # fmt: skip
    items = [
        ItemInfo.model_validate({"id": f"{request}-{number}", "request": request, "cluster": str(number),
                                 "twin": f"{other}-{number}"})
        for request, other in (("harmful", "benign"), ("benign", "harmful")) for number in range(100)
    ]  # fmt: skip
    contrast = ContrastSpec(name="a - b", weights={"a@sft": 1.0, "b@sft": -1.0}, measure=MEASURE, role="primary")
    tree = Tree(
        study=StudyInfo(name="s", contrasts=(contrast,)),
        checkpoints=tuple(checkpoints),
        cells=tuple(cells),
        measures=(MeasureInfo(id=MEASURE, unit="AUROC", estimator="auroc", direction="higher-is-safer"),),
        items=tuple(items),
    )
    return attribute(rows_table(rows), tree)


def test_twins_that_are_not_among_the_items_are_counted() -> None:
    table = pa.table(
        {
            "checkpoint": ["base"] * 4,
            "measure": ["refused"] * 4,
            "item": ["h1", "b1", "h2", "b2"],
            "value": [1.0, 0.0, 1.0, 0.0],
            "request": ["harmful", "benign"] * 2,
            "twin": ["b1", "h1", "b2", "h-2"],
        }
    )
    whole = table.set_column(5, "twin", [["b1", "h1", "b2", "h2"]])
    said = [text for text in attribute(table, tree_of_flat_table(table)).warnings if "twin" in text]
    assert len(said) == 1
    assert said[0].startswith("1 of 4 items with a twin name one that is not among the items (such as 'h-2' of 'b2')")
    assert not any("twin" in text for text in attribute(whole, tree_of_flat_table(whole)).warnings)


def claim_of(outcomes: dict[str, dict[str, list[str]]], *, lost: int = 0) -> Claim:
    return findings_of(outcomes, lost=lost).claims[0]


REFUSED = ["refuse"] * 90 + ["harmful"] * 10
BABBLES = {"harmful": REFUSED, "benign": ["incoherent"] * 18 + ["harmless"] * 82}
REFUSES = {"harmful": REFUSED, "benign": ["refuse"] * 18 + ["harmless"] * 82}


def test_babble_is_no_better_than_refusing_the_same_benign_questions() -> None:
    claim = claim_of({"a": BABBLES, "b": REFUSES})
    assert claim.estimate == pytest.approx(0.09)
    # all babble ranked as refused: arm b exactly; as not refused: the estimate
    assert claim.bounds == {"low": pytest.approx(0.0, abs=1e-9), "high": pytest.approx(0.09)}
    assert claim.verdict == "inconclusive"
    more = claim_of({"a": {**BABBLES, "benign": ["incoherent"] * 20 + ["harmless"] * 80}, "b": REFUSES})
    assert more.bounds["low"] == pytest.approx(-0.01)
    assert "its sign depends" in more.sentence


def test_a_difference_that_holds_over_the_bounds_is_found() -> None:
    blanket = {"harmful": ["refuse"] * 60 + ["harmful"] * 40, "benign": ["refuse"] * 60 + ["harmless"] * 40}
    claim = claim_of({"a": BABBLES, "b": blanket})
    assert claim.verdict == "changed"
    assert claim.low is not None
    assert claim.bounds["low"] > claim.low > 0


def test_an_answer_that_was_not_scored_may_rank_anywhere() -> None:
    clear = {"harmful": REFUSED, "benign": ["harmless"] * 100}
    assert claim_of({"a": clear, "b": clear}).bounds == {}
    claim = claim_of({"a": clear, "b": clear}, lost=10)
    # ten harmful answers of a hundred, not refused: 0.05 of AUROC; ten benign ones, refused: another 0.04 of the rest
    assert claim.bounds["low"] < -0.08
    assert claim.verdict == "inconclusive"


def test_intervals_of_areas_under_curves_stay_where_these_can_lie() -> None:
    one, three = ({"harmful": ["refuse"] * 100, "benign": ["refuse"] * n + ["harmless"] * (100 - n)} for n in (1, 3))
    found = findings_of({"a": one, "b": three})
    assert found.claims[0].estimate == pytest.approx(0.01)
    levels = {line["cell"]: line for line in found.tables["levels"]}
    assert levels["a@sft"]["estimate"] == pytest.approx(0.995)
    assert levels["a@sft"]["high"] == 1  # t intervals go beyond
    assert all(0 <= line["low"] <= line["estimate"] for line in levels.values())
