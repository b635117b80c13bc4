"""Areas over prefill depth: the trapezoid's weights, a planted difference and a null, paired over prompts and runs."""

from __future__ import annotations

import numpy as np
import pytest

from upbringing.attribution.contrasts.estimates import Estimate
from upbringing.attribution.effects.depth_areas import area_line, area_of, depth_weights
from upbringing.attribution.evidence.cells import Source, evidence_of
from upbringing.attribution.evidence.design import design_of
from upbringing.formats.rows import Row, rows_table
from upbringing.formats.tree import Cell, CellSeeds, Checkpoint, ItemInfo, MeasureInfo, StageInfo, StudyInfo, Tree

DEPTHS = (0, 2, 10)
SOURCES = {depth: Source("prefill", f"depth-{depth}", "none", None) for depth in DEPTHS}
RATES = {"shallow": (0.05, 0.60, 0.80), "deep": (0.05, 0.20, 0.40)}
NUM_ITEMS, NUM_SEEDS = 40, 4


def drawn(random: np.random.Generator, arms: dict[str, tuple[float, ...]], *, lacks: str = "") -> Estimate:
    """The change of the area from the first arm to the second; prompts are alike hard at all depths and in all arms."""
    hardness = random.random(NUM_ITEMS)
    rows, checkpoints, cells = [], [], []
    for arm, rates in arms.items():
        for run in range(NUM_SEEDS):
            name = f"{arm}-{run}"
            checkpoints.append(Checkpoint(id=name, stages=(StageInfo(role="pretrain", kind="pretrain"),)))
            cells.append(Cell(arm=arm, position="sft", checkpoint=name, seeds=CellSeeds(world=0, pretrain=run)))
            for depth, rate in zip(DEPTHS, rates, strict=True):
                fell = np.zeros(NUM_ITEMS, dtype=bool)
                order = (hardness + random.normal(0, 0.2, NUM_ITEMS)).argsort()
                fell[order[: random.binomial(NUM_ITEMS, rate)]] = True
                if f"{arm}-{depth}" != lacks:
                    rows += [
                        Row(checkpoint=name, measure="prefill", condition=f"depth-{depth}", item=str(item), value=value)
                        for item, value in enumerate(fell.astype(float).tolist())
                    ]
    tree = Tree(
        study=StudyInfo(name="s"),
        checkpoints=tuple(checkpoints),
        cells=tuple(cells),
        measures=(MeasureInfo(id="prefill", direction="lower-is-safer"),),
        items=tuple(ItemInfo(id=str(item), request="harmful") for item in range(NUM_ITEMS)),
    )
    first, second = arms
    table = rows_table(rows)
    weights = {f"{second}@sft": 1.0, f"{first}@sft": -1.0}
    return area_of(evidence_of(table, tree), design_of(tree), weights, SOURCES)


def truth(arm: tuple[float, ...]) -> float:
    return float(np.trapezoid(arm, DEPTHS)) / (DEPTHS[-1] - DEPTHS[0])


@pytest.mark.parametrize("depths", [(0, 1), (0, 1, 5, 20), (20, 1, 5)])
def test_weights_are_those_of_the_trapezoid_rule(depths: tuple[int, ...]) -> None:
    curve = {depth: float(np.sqrt(depth + 1)) for depth in sorted(depths)}
    weights = depth_weights(depths)
    span = max(depths) - min(depths)
    assert sum(weights.values()) == pytest.approx(1.0)
    assert sum(weights[depth] * curve[depth] for depth in curve) == pytest.approx(
        float(np.trapezoid(list(curve.values()), list(curve))) / span
    )


def test_a_planted_difference_is_covered_and_found() -> None:
    true = truth(RATES["deep"]) - truth(RATES["shallow"])
    random = np.random.default_rng(0)
    found = [each for _ in range(100) if (each := drawn(random, RATES).inference) is not None]
    covered = [each.low <= true <= each.high for each in found]  # type: ignore[operator]
    assert len(found) == 100
    assert np.mean([each.estimate for each in found]) == pytest.approx(true, abs=0.01)
    assert np.mean(covered) >= 0.9
    assert all((each.high or 0) < 0 for each in found)


def test_a_null_is_seldom_called_a_difference() -> None:
    random = np.random.default_rng(1)
    same = {"one": RATES["deep"], "other": RATES["deep"]}
    found = [drawn(random, same).inference for _ in range(100)]
    assert np.mean([each is not None and (each.p or 1.0) <= 0.05 for each in found]) <= 0.064 + 2 * 0.0245


def test_a_depth_that_was_not_asked_leaves_no_area() -> None:
    assert drawn(np.random.default_rng(0), RATES, lacks="deep-10").inference is None


def test_the_area_of_one_cell_stays_a_rate() -> None:
    rows = [
        Row(checkpoint="c", measure="prefill", condition=f"depth-{depth}", item=str(item), value=1.0)
        for depth in DEPTHS
        for item in range(10)
    ]
    cell = Cell(arm="a", position="sft", checkpoint="c")
    tree = Tree(study=StudyInfo(name="s"), checkpoints=(Checkpoint(id="c"),), cells=(cell,))
    line = area_line(evidence_of(rows_table(rows), tree), design_of(tree), {"a@sft": 1.0}, SOURCES)
    assert (line["estimate"], line["high"]) == (pytest.approx(1.0), pytest.approx(1.0))
    assert line["low"] < 1.0  # no failure in ten prompts is no proof of certainty
