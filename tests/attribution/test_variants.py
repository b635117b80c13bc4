"""Variants of one request are unlike in how hard they are: cells are compared on those that all of them were asked."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from simulated_studies import ARMS

from upbringing.attribution.attribute import attribute
from upbringing.attribution.claims.asked import asked_of
from upbringing.attribution.evidence.pivot import pivot
from upbringing.formats.findings import Claim
from upbringing.formats.rows import Row, rows_table
from upbringing.formats.tree import Cell, CellSeeds, Checkpoint, ContrastSpec, ItemInfo, StageInfo, StudyInfo, Tree

NUM_RUNS, NUM_REQUESTS = 5, 80
EASY, HARD = "easy", "hard"
RATES = {EASY: 0.15, HARD: 0.75}
Asked = Callable[[str, int, int, str], bool]
"""Whether an arm's run was asked a request's variant."""


def study(is_asked: Asked, *, effect: float = 0.0, unscored: Asked = lambda *_: False) -> tuple[list[Row], Tree]:
    """Two arms of five runs on an easy and a hard variant of each request; ``effect``: of the second arm."""
    random = np.random.default_rng(3)
    rows, checkpoints, cells = [], [], []
    for run in range(NUM_RUNS):
        for arm in ARMS:
            name = f"{arm}-{run}"
            checkpoints.append(Checkpoint(id=name, stages=(StageInfo(role="pretrain", kind="pretrain"),)))
            cells.append(Cell(arm=arm, position="sft", checkpoint=name, seeds=CellSeeds(pretrain=run)))
            for request in range(NUM_REQUESTS):
                for variant, rate in RATES.items():
                    value = float(random.random() < rate + effect * (arm == "b"))
                    if not is_asked(arm, run, request, variant):
                        continue
                    row = Row(checkpoint=name, measure="harm", item=f"{request}-{variant}", value=value)
                    if unscored(arm, run, request, variant):
                        row = Row(
                            checkpoint=name,
                            measure="harm",
                            item=row.item,
                            status="unscored",
                            reason_code="judge-failed",
                        )
                    rows.append(row)
    contrast = ContrastSpec(
        name="b - a", weights={"b@sft": 1.0, "a@sft": -1.0}, measure="harm", role="primary", level="L2", kind="branch",
        margin=0.1,
    )  # fmt: skip
    items = tuple(
        ItemInfo(id=f"{request}-{name}", cluster=str(request)) for request in range(NUM_REQUESTS) for name in RATES
    )
    info = StudyInfo(name="variants", primary=("harm",), contrasts=(contrast,))
    return rows, Tree(study=info, checkpoints=tuple(checkpoints), cells=tuple(cells), items=items)


def claim_of(rows: list[Row], tree: Tree) -> Claim:
    return attribute(rows_table(rows), tree, other_estimators=False).claims[0]


def shared_estimate(rows: list[Row]) -> float:
    """Return the mean over runs and requests of the difference on the variants that both arms of a run were asked."""
    values: dict[tuple[str, str], dict[str, float]] = {}
    for row in rows:
        assert row.value is not None
        arm, run = row.checkpoint.split("-")
        values.setdefault((run, row.item), {})[arm] = row.value
    by_request: dict[tuple[str, str], list[float]] = {}
    for (run, item), pair in values.items():
        if len(pair) == len(ARMS):
            by_request.setdefault((run, item.split("-")[0]), []).append(pair["b"] - pair["a"])
    return float(np.mean([np.mean(each) for each in by_request.values()]))


def half_of_the_hard(arm: str, run: int, request: int, variant: str) -> bool:
    """The second arm was asked every easy variant and half of the hard ones."""
    return arm == "a" or variant == EASY or request % 2 == 0


def test_arms_that_are_alike_do_not_differ_for_the_variants_that_one_was_not_asked() -> None:
    rows, tree = study(half_of_the_hard)
    claim = claim_of(rows, tree)
    assert claim.verdict == "equivalent"
    assert claim.estimate == pytest.approx(shared_estimate(rows))
    assert (claim.units.items, claim.units.clusters) == (NUM_REQUESTS * 3 // 2, NUM_REQUESTS)


def test_a_change_is_found_on_the_variants_that_both_were_asked() -> None:
    rows, tree = study(half_of_the_hard, effect=0.2)
    claim = claim_of(rows, tree)
    assert claim.verdict == "changed"
    assert claim.estimate == pytest.approx(shared_estimate(rows))
    assert claim.low is not None
    assert claim.low < 0.2 < (claim.high or 0.0)


def test_runs_may_be_asked_other_variants_for_each_is_compared_with_itself() -> None:
    rows, tree = study(lambda arm, run, request, variant: (run % 2 == 0) == (variant == EASY))
    claim = claim_of(rows, tree)
    assert claim.verdict == "equivalent"
    assert claim.estimate == pytest.approx(shared_estimate(rows))
    assert claim.units.items == 2 * NUM_REQUESTS


def test_arms_that_share_no_variant_are_not_compared() -> None:
    rows, tree = study(lambda arm, run, request, variant: (arm == "a") == (variant == EASY), effect=0.2)
    assert claim_of(rows, tree).verdict == "not-measurable"


def test_a_variant_without_a_score_is_bounded_and_not_left_out() -> None:
    rows, tree = study(
        lambda *_: True, unscored=lambda arm, run, request, variant: arm == "b" and request < 8 and variant == HARD
    )
    claim = claim_of(rows, tree)
    assert claim.unscored == NUM_RUNS * 8
    assert claim.bounds["high"] - claim.bounds["low"] == pytest.approx(0.5 * 8 / NUM_REQUESTS)
    assert claim.units.items == 2 * NUM_REQUESTS


def test_where_everybody_was_asked_everything_nothing_is_counted_again() -> None:
    rows, tree = study(lambda *_: True)
    asked = asked_of(rows_table(rows), tree)
    found = pivot(asked.evidence, asked.design, asked.questions[0].terms)
    source = asked.questions[0].source
    assert all(
        values is asked.evidence.values(f"{arm}-0", source) for arm, (values,) in zip("ba", found.found[0], strict=True)
    )
