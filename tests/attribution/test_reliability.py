"""Intraclass correlations, halves and gaps against their textbook values."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from upbringing.attribution.statistics.reliability import (
    correlation,
    crossed_icc,
    paired_gap,
    paired_signal_to_noise,
    rank_separation,
    repeated_icc,
    signal_to_noise,
    split_half,
    standardised_gap,
)

# Shrout and Fleiss 1979, table 2: six targets, four judges
RATINGS = np.array([[9, 2, 5, 8], [6, 1, 3, 2], [8, 4, 6, 8], [7, 1, 2, 6], [10, 5, 6, 9], [6, 2, 4, 7]], dtype=float)


def test_the_ratings_of_shrout_and_fleiss() -> None:
    crossed, repeated = crossed_icc(RATINGS, 6), repeated_icc(RATINGS, 6)
    assert crossed is not None
    assert repeated is not None
    assert crossed.value == pytest.approx(0.71, abs=0.006)  # ICC(3, 1)
    assert repeated.value == pytest.approx(0.44, abs=0.006)  # ICC(1, 4)
    assert crossed.low < crossed.value < crossed.high
    assert (crossed.low, crossed.high) == pytest.approx((0.342, 0.946), abs=0.002)  # as R's psych prints


def test_fewer_independent_checkpoints_widen_the_interval() -> None:
    all_six, three = crossed_icc(RATINGS, 6), crossed_icc(RATINGS, 3)
    assert all_six is not None
    assert three is not None
    assert three.low < all_six.low
    assert three.high > all_six.high


def test_identical_repeats_are_wholly_reliable_and_equal_checkpoints_tell_nothing() -> None:
    found = repeated_icc(np.array([[0.1, 0.1], [0.5, 0.5], [0.9, 0.9]]), 3)
    assert found is not None
    assert found.value == 1.0
    assert repeated_icc(np.full((3, 2), 0.5), 3) is None


def test_halves_are_put_together_by_spearman_and_brown() -> None:
    one, other = np.array([1.0, 2, 3, 4, 5]), np.array([2.0, 1, 4, 3, 5])
    raw, whole = correlation(one, other, 5), split_half(one, other, 5)
    assert raw is not None
    assert whole is not None
    assert raw.value == pytest.approx(0.8)
    assert whole.value == pytest.approx(1.6 / 1.8)
    reach = stats.norm.ppf(0.975) / np.sqrt(2)
    assert raw.low == pytest.approx(np.tanh(np.arctanh(0.8) - reach))
    assert split_half(one, other, 3) is None
    assert split_half(one, np.ones(5), 5) is None


def test_rank_correlation_agrees_with_scipy() -> None:
    random = np.random.default_rng(0)
    one, other = random.random(20).round(1), random.random(20).round(1)
    found = correlation(one, other, 20, ranks=True)
    assert found is not None
    assert found.value == pytest.approx(stats.spearmanr(one, other).statistic)


def test_signal_to_noise_by_hand() -> None:
    # means 1 and 5: between 2 x 8 = 16 with one degree of freedom; within 2: variance of recipes (16 - 2) / 2 = 7
    found = signal_to_noise([[0.0, 2.0], [4.0, 6.0], [3.0]])
    assert found is not None
    assert found.value == pytest.approx(np.sqrt(7 / 2))
    assert signal_to_noise([[0.0, 2.0]]) is None


def test_paired_signal_to_noise_takes_out_what_seeds_share() -> None:
    table = np.array([[0.0, 10.0, 20.0], [4.0, 15.0, 23.0]])
    # rows differ by 4, 5, 3: residual sum of squares 1, two degrees of freedom; between 3 x 8 = 24: (24 / .5 - 1) / 3
    found = paired_signal_to_noise(table)
    assert found is not None
    assert found.value == pytest.approx(np.sqrt((24 / 0.5 - 1) / 3))
    assert paired_signal_to_noise(table[:1]) is None


def test_a_standardised_gap_has_the_noncentral_interval() -> None:
    one, other = [2.0, 4.0, 3.0, 5.0, 1.0], [1.0, 2.0, 0.0, 3.0, -1.0]
    found = standardised_gap(one, other)
    assert found is not None
    assert found.value == pytest.approx(2 / np.sqrt(2.5))
    scale = np.sqrt(2 / 5)
    statistic = found.value / scale
    for side, tail in ((found.low, 0.975), (found.high, 0.025)):
        assert stats.nct.cdf(statistic, 8, side / scale) == pytest.approx(tail, abs=1e-6)
    assert standardised_gap([1.0, 1.0], [1.0, 1.0]) is None
    apart = standardised_gap([1.0, 1.0], [0.0, 0.0])
    assert apart is not None
    assert apart.low == np.inf


def test_pairs_are_held_against_what_they_do_not_share() -> None:
    one, other = [1.2, 5.1, 9.3], [1.0, 5.0, 9.0]  # differ by .2, .1, .3: variance .01, of one run .005
    found = paired_gap(one, other)
    assert found is not None
    assert found.value == pytest.approx(0.2 / np.sqrt(0.005))
    assert stats.nct.cdf(0.2 / np.sqrt(0.01 / 3), 2, found.low / np.sqrt(2 / 3)) == pytest.approx(0.975, abs=1e-6)


def test_rank_separation_counts_ties_half() -> None:
    assert rank_separation([1.0, 2.0], [1.0, 0.0]) == pytest.approx(3.5 / 4)


def test_intervals_of_reliability_cover() -> None:
    random = np.random.default_rng(0)
    inside = 0
    for _ in range(500):  # true reliability of the mean of three repeats: 1 / (1 + .5 / 3)
        table = random.normal(0, 1, (12, 1)) + random.normal(0, np.sqrt(0.5), (12, 3))
        found = repeated_icc(table, 12)
        assert found is not None
        inside += found.low <= 1 / (1 + 0.5 / 3) <= found.high
    assert 0.93 <= inside / 500 <= 0.97
