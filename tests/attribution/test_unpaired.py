"""Cells whose runs share no seed: Welch's test without noise of prompts, coverage with it, and who is a run."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats
from simulated_studies import two_arms

from upbringing.attribution.attribute import attribute
from upbringing.attribution.statistics.unpaired import UNPAIRED_RUNS, unpaired_inference
from upbringing.formats.findings import Findings
from upbringing.formats.tree import CellSeeds, Checkpoint, StageInfo, Tree


def test_without_noise_of_prompts_it_is_welchs_test() -> None:
    random = np.random.default_rng(1)
    first, second = random.normal(0.0, 0.1, 4), random.normal(0.3, 0.3, 6)
    tables = [np.tile(runs[:, None], (1, 20)) for runs in (second, first)]
    found = unpaired_inference((1.0, -1.0), tables)
    welch = stats.ttest_ind(second, first, equal_var=False)
    low, high = welch.confidence_interval(0.95)
    assert (found.df, found.p) == pytest.approx((welch.df, welch.pvalue))
    assert (found.low, found.high) == pytest.approx((low, high))


def test_without_noise_of_runs_it_is_the_paired_test_over_prompts() -> None:
    random = np.random.default_rng(2)
    first, second = random.normal(0.0, 1.0, 50), random.normal(0.5, 1.0, 50)
    found = unpaired_inference((1.0, -1.0), [np.tile(second, (3, 1)), np.tile(first, (4, 1))])
    paired = stats.ttest_rel(second, first)
    assert (found.df, found.p) == pytest.approx((49.0, paired.pvalue))


def test_a_fixed_start_is_no_sample_of_runs() -> None:
    random = np.random.default_rng(3)
    runs, start = random.normal(0.0, 0.2, (5, 1)) + np.zeros((5, 30)), np.full((1, 30), 0.4)
    found = unpaired_inference((1.0, -1.0), [runs, start])
    alone = stats.ttest_1samp(runs[:, 0], 0.4)
    assert (found.df, found.p) == pytest.approx((4.0, alone.pvalue))


@pytest.mark.parametrize("deviation", [0.05, 0.3])
def test_intervals_hold_the_truth(deviation: float) -> None:
    random = np.random.default_rng(4)
    held = 0
    for _ in range(400):
        prompts = random.normal(0.0, 1.0, 60)
        tables = [
            prompts
            + random.normal(0, 0.3, 60)
            + random.normal(0, deviation, (num, 1))
            + random.normal(0, 0.5, (num, 60))
            for num in (4, 5)
        ]
        found = unpaired_inference((1.0, -1.0), tables)
        assert found.low is not None
        assert found.high is not None
        held += found.low <= 0 <= found.high
    assert 0.92 <= held / 400 <= 0.995


def with_other_seeds(effect: float, *, num_seeds: int = 5, shares_base: bool = False) -> Findings:
    """Two arms whose runs have numbers of their own; ``shares_base``: run 0 of both came from one trained run."""
    rows, tree = two_arms(7, effect=effect, num_items=80, num_seeds=num_seeds, seed_deviation=0.6, margin=0.1)
    cells = tuple(
        cell.model_copy(
            update={"seeds": CellSeeds(pretrain=(cell.seeds.pretrain or 0) + (10 if cell.arm == "b" else 0))}
        )
        for cell in tree.cells
    )
    checkpoints = tree.checkpoints
    if shares_base:
        shared = Checkpoint(id="shared", stages=(StageInfo(role="pretrain", kind="pretrain"),))
        checkpoints = (
            shared,
            *(each.model_copy(update={"parent": "shared"}) if each.id[-1] == "0" else each for each in checkpoints),
        )
    changed: Tree = tree.model_copy(update={"cells": cells, "checkpoints": checkpoints})
    return attribute(rows, changed)


def test_runs_of_other_seeds_are_still_runs_of_a_recipe() -> None:
    found = with_other_seeds(1.8)
    (claim,) = found.claims
    assert (claim.estimand, claim.units.seeds, claim.units.roots) == ("recipe", 5, 5)
    assert claim.method == "paired prompts, runs of each cell apart"  # type: ignore[attr-defined]
    assert claim.df is not None
    assert claim.df < 30  # runs, not prompts
    assert claim.other_scale["low"] < claim.other_scale["estimate"] < claim.other_scale["high"]
    assert UNPAIRED_RUNS.format(contrast="b - a") in found.warnings
    assert all(line.estimate is None and line.reason for line in claim.robustness)


def test_too_few_runs_or_a_shared_one_make_no_sample() -> None:
    for found in (with_other_seeds(1.8, num_seeds=2), with_other_seeds(1.8, shares_base=True)):
        assert found.claims[0].estimand == "artefact"
        assert any("about these checkpoints only" in each for each in found.warnings)
