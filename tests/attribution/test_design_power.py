"""What designs detect for the same work: the reference's table, and the comparison that it draws from it."""

from __future__ import annotations

import numpy as np
import pytest

from upbringing.attribution.power.design_power import design_table, designs_for_runs, detectable
from upbringing.attribution.statistics.inference import t_inference
from upbringing.base.errors import FormatError

STAGES = ("a", "b", "c", "d")


@pytest.mark.parametrize(
    ("factors", "expected"), [(2, (2.66, 1.85, 1.33)), (3, (1.60, 1.22, 0.91)), (4, (1.06, 0.83, 0.64))]
)
def test_main_effects_of_factorials_are_those_of_the_reference(factors: int, expected: tuple[float, ...]) -> None:
    found = [design_table(STAGES[:factors], seeds)[-1].pooled for seeds in (2, 3, 5)]
    assert found == pytest.approx(expected, abs=0.006)


def test_two_arms_are_those_of_the_reference() -> None:
    assert [detectable(2.0, seeds, 2 * (seeds - 1)) for seeds in (3, 5, 10)] == pytest.approx(
        (3.07, 2.02, 1.32), abs=0.006
    )


def test_twenty_four_runs_as_a_factorial_find_more_than_pairwise_arms_when_noise_is_pooled() -> None:
    found = {each.design.name: each for each in designs_for_runs(("a", "b", "c"), 24)}
    whole, arms = found["2^3, full factorial"], found["pairwise arms, placebo"]
    assert (whole.seeds, whole.num_runs, arms.seeds, arms.num_runs) == (3, 24, 6, 24)
    assert whole.pooled is not None
    assert arms.pooled is not None
    assert whole.pooled < 0.75 * arms.pooled
    assert whole.paired is not None
    assert arms.paired is not None
    assert whole.paired > arms.paired  # paired by seed, three seeds stay three seeds


def test_paired_detection_agrees_with_simulated_contrasts_of_each_seed() -> None:
    paired = next(each for each in design_table(("a", "b", "c"), 5) if each.design.name.startswith("2^3,")).paired
    assert paired is not None
    random = np.random.default_rng(2)
    weights = np.repeat([0.25, -0.25], 4)
    runs = random.normal(0, 1, (4000, 5, 8)) + random.normal(0, 2, (4000, 5, 1))  # what a seed shares cancels
    contrast = runs @ weights + paired
    errors = contrast.std(axis=1, ddof=1) / 5**0.5
    found = [t_inference(mean, error, 4, "t").p for mean, error in zip(contrast.mean(axis=1), errors, strict=True)]
    assert np.mean([p is not None and p < 0.05 for p in found]) == pytest.approx(0.80, abs=0.025)


def test_one_seed_shows_no_noise() -> None:
    assert all((each.pooled, each.paired) == (None, None) for each in design_table(STAGES, 1))
    with pytest.raises(FormatError, match="no design for 4 stages has two seeds in 9 pipelines"):
        designs_for_runs(STAGES, 9)
    with pytest.raises(FormatError, match="at least one seed"):
        design_table(STAGES, 0)
    with pytest.raises(FormatError, match="2 to 8 stages"):
        design_table(("a",), 3)
