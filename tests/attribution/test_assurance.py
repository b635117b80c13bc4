"""A pilot of few runs promises what studies keep: power is averaged over what the spread of the seeds may be."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy import special

from upbringing.attribution.power.outlook import ContrastFacts, outlook
from upbringing.attribution.power.power import Goal, power_of
from upbringing.attribution.power.sampling import SampleSize, sampling
from upbringing.attribution.statistics.inference import t_quantile
from upbringing.attribution.statistics.variance import LIKELY, VarianceComponents, estimated_components


def promised(components: VarianceComponents, size: SampleSize, goal: Goal) -> float:
    found = sampling(components, size)
    assert found is not None
    return power_of(found, goal)


def test_likely_spreads_by_hand() -> None:
    """Means of 1, 2 and 3 alone: a variance of 1 with two degrees of freedom, whose chi-squared tail is exp(-x / 2)."""
    found = estimated_components(np.array([[[1.0, 1.0]], [[2.0, 2.0]], [[3.0, 3.0]]]))
    tails = 1 - (np.arange(LIKELY) + 0.5) / LIKELY
    assert found.seed == pytest.approx(1.0)
    assert found.seed_likely == pytest.approx((1 / -np.log(tails)) ** 0.5)
    assert found.scaled(4.0).seed_likely == pytest.approx(2 * np.array(found.seed_likely))
    known = found.with_seed(0.5)
    assert (known.seed, known.seed_high, known.seed_likely) == (0.5, None, ())


def test_runs_that_happen_to_be_alike_may_differ() -> None:
    random = np.random.default_rng(4)
    table = random.normal(0, 0.5, (4, 1, 100))
    table -= table.mean(axis=2, keepdims=True)  # no spread of the runs' means at all
    found = estimated_components(table)
    assert found.seed == 0.0
    assert max(found.seed_likely) == 0.0  # not even noise between means: the mean square is 0 whatever its factor
    table += random.normal(0, 0.04, (4, 1, 1))
    found = estimated_components(table)
    assert found.seed is not None
    assert min(found.seed_likely) <= found.seed < max(found.seed_likely)


@pytest.mark.parametrize("nested", [False, True])
@pytest.mark.parametrize("goal", [Goal("difference", 0.3), Goal("equivalence", 0.3), Goal("difference", 0.4, 0.8, 6)])
def test_power_is_the_mean_over_likely_spreads(nested: bool, goal: Goal) -> None:
    random = np.random.default_rng(7)
    table = random.normal(0, 0.25, (5, 1, 1)) + random.normal(0, 0.5, (5, 1, 80))
    if nested:
        apart = np.full((5, 1, 400), np.nan)
        for run in range(5):
            apart[run, :, 80 * run : 80 * run + 80] = table[run]
        table = apart
    found, size = estimated_components(table), SampleSize(80, 5)
    each = [promised(found.with_seed(seed), size, goal) for seed in found.seed_likely]
    assert promised(found, size, goal) == pytest.approx(float(np.mean(each)), abs=0.01)
    assert max(each) - min(each) > 0.2


def test_stated_components_are_known_and_two_seeds_are_these_checkpoints() -> None:
    noise, goal = VarianceComponents(0.15, 0.05, 0.45), Goal("difference", 0.1)
    pilot = replace(noise, seed_high=0.2, seed_likely=(0.02, 0.05, 0.3))
    for size, is_same in ((SampleSize(200, 5), False), (SampleSize(200, 2), True)):
        assert (promised(pilot, size, goal) == promised(noise, size, goal)) is is_same


def test_what_pilots_promise_is_found() -> None:
    """Pilots and studies of four runs that differ by 1, and effects of many sizes: promises and truth, on average.

    The power of the t test at the true spread is what is found. To take each pilot's spread for the truth promises too
    much: where it promises between 90 and 98%, three quarters to five sixths are found.
    """
    random = np.random.default_rng(11)
    size, critical = SampleSize(1000, 4), t_quantile(3.0, 0.95)
    new, plain, true = [], [], []
    for _ in range(400):
        effect = float(np.exp(random.uniform(np.log(1.0), np.log(8.0))))
        pilot = estimated_components(random.normal(0, 1, (4, 1, 1)) + np.array([0.0, 1e-6]))
        goal = Goal("difference", effect)
        new.append(promised(pilot, size, goal))
        plain.append(promised(replace(pilot, seed_likely=()), size, goal))
        true.append(1 - float(special.nctdtr(3, 2 * effect, critical)))
    found = np.array(true)
    for values, surplus in ((np.array(new), (-0.05, 0.04)), (np.array(plain), (0.05, 0.25))):
        some = (values > 0.9) & (values < 0.98)
        assert some.sum() >= 30
        assert surplus[0] < float((values[some] - found[some]).mean()) < surplus[1]


def test_the_smallest_detectable_change_is_that_of_the_estimate() -> None:
    noise = VarianceComponents(0.15, 0.05, 0.45)
    pilot = replace(noise, seed_high=0.2, seed_likely=(0.02, 0.05, 0.3))
    facts, size = ContrastFacts("harm", "b - a", 0.2), SampleSize(200, 5)
    stated, rows = (outlook(facts, each, size, known="rows") for each in (noise, pilot))
    assert rows.minimum_detectable == stated.minimum_detectable
    assert rows.decisions[0].power < stated.decisions[0].power
