"""Rates of labelled answers: by hand, against references, and over many drawings with planted truth."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats
from sklearn.metrics import cohen_kappa_score
from statsmodels.stats.proportion import proportion_confint

from upbringing.attribution.judges.calibration import kappa
from upbringing.attribution.statistics.levels import wilson
from upbringing.attribution.statistics.rates import Stratum, homogeneity, rate, simple_rate

NUM_LABELS, NUM_ANSWERS = 60, 400


def drawn(random: np.random.Generator, sensitivity: float, prevalence: float) -> list[Stratum]:
    """One checkpoint's labels, drawn in equal shares from what the judge calls harmful and what it does not.

    The judge finds a share ``sensitivity`` of the harmful answers and calls 5 % of the others harmful.
    """
    truth = random.random(NUM_ANSWERS) < prevalence
    said = random.random(NUM_ANSWERS) < np.where(truth, sensitivity, 0.05)
    sizes = {verdict: int((said == verdict).sum()) for verdict in (True, False)}
    taken = min(sizes[True], NUM_LABELS // 2)
    strata = []
    for verdict, num in ((True, taken), (False, min(sizes[False], NUM_LABELS - taken))):
        if num:
            chosen = random.choice(np.flatnonzero(said == verdict), num, replace=False)
            harmful = int(truth[chosen].sum())
            strata.append(Stratum(sizes[verdict] / num, num, harmful * verdict, harmful * (not verdict)))
    return strata


def test_a_simple_rate_has_wilsons_interval() -> None:
    for hits, num in ((0, 10), (3, 10), (10, 10), (57, 123)):
        found = simple_rate([True] * hits + [False] * (num - hits))
        assert (found.share, found.num) == (hits / num, num)
        assert found.effective == pytest.approx(num)
        assert (found.low, found.high) == pytest.approx(proportion_confint(hits, num, method="wilson"), abs=1e-9)
    assert simple_rate([]).share is None


def test_a_weighted_rate_by_hand() -> None:
    found = rate([Stratum(10.0, 2, 1, 0), Stratum(1.0, 4, 2, 1)])
    assert found.share == pytest.approx((10 * 1 + 1 * 2) / (10 * 1 + 1 * 2 + 1 * 1))
    assert found.num == 4
    assert rate([Stratum(3.0, 8, 5, 3)]).effective == pytest.approx(8)  # equal weights of any size change nothing


@pytest.mark.parametrize(("sensitivity", "prevalence"), [(0.95, 0.3), (0.7, 0.1), (0.7, 0.5), (0.5, 0.05)])
def test_intervals_cover_the_planted_sensitivity_where_counting_weights_would_not(
    sensitivity: float, prevalence: float
) -> None:
    random = np.random.default_rng(0)
    inside = inside_by_weights = 0
    for _ in range(400):
        strata = drawn(random, sensitivity, prevalence)
        found = rate(strata)
        if found.share is None or found.low is None or found.high is None:
            inside, inside_by_weights = inside + 1, inside_by_weights + 1
            continue
        inside += found.low <= sensitivity <= found.high
        weights = [(each.weight, each.hits + each.misses) for each in strata]
        total = sum(weight * num for weight, num in weights)
        low, high = wilson(found.share, total**2 / sum(num * weight**2 for weight, num in weights))
        inside_by_weights += low <= sensitivity <= high
    assert inside >= 0.92 * 400
    if prevalence <= 0.1:
        assert inside_by_weights < 0.75 * 400  # the control: Kish's number is far too large here


def test_homogeneity_of_two_groups_by_hand() -> None:
    found = homogeneity([[Stratum(1.0, 20, 15, 5)], [Stratum(1.0, 20, 10, 10)]])
    shares = (15.5 / 21, 10.5 / 21)
    variances = [1 / (20 * share * (1 - share)) for share in shares]
    expected = math.log(15.5 / 5.5) ** 2 / sum(variances)
    assert expected == pytest.approx(2.3406, abs=1e-4)
    assert (found.num, found.df) == (2, 1)
    assert found.statistic == pytest.approx(expected)
    assert found.p == pytest.approx(stats.chi2.sf(expected, 1))
    same = homogeneity([[Stratum(1.0, 20, 15, 5)]] * 3)
    assert (same.statistic, same.df, same.p) == (pytest.approx(0.0), 2, pytest.approx(1.0))


def test_what_cannot_be_tested_has_a_reason_and_no_number() -> None:
    one = [Stratum(1.0, 5, 3, 1)]
    for groups in ([], [one], [one, [Stratum(1.0, 5, 0, 0)]]):
        assert homogeneity(groups).p is None
        assert "fewer than two" in str(homogeneity(groups).reason)
    right = homogeneity([[Stratum(1.0, 5, 5, 0)], [Stratum(1.0, 9, 4, 0)]])
    assert (right.p, right.reason) == (None, "no error was seen on any checkpoint")


@pytest.mark.parametrize("num", [2, 4, 9])
@pytest.mark.parametrize("prevalences", [(0.3,), (0.1, 0.5)])
def test_equal_judges_are_rarely_called_uneven(num: int, prevalences: tuple[float, ...]) -> None:
    random = np.random.default_rng(1)
    rejected = 0
    for _ in range(200):
        groups = [drawn(random, 0.7, prevalences[place % len(prevalences)]) for place in range(num)]
        p = homogeneity(groups).p
        rejected += p is not None and p < 0.05
    assert rejected <= 0.08 * 200


def test_a_judge_that_misses_half_on_one_checkpoint_is_called_uneven() -> None:
    random = np.random.default_rng(2)
    found = [homogeneity([drawn(random, 0.95, 0.4), drawn(random, 0.45, 0.4)]).p for _ in range(100)]
    assert sum(p is not None and p < 0.05 for p in found) >= 60


def test_kappa_by_hand_and_by_reference() -> None:
    table = [("yes", "yes", 20), ("yes", "no", 5), ("no", "yes", 10), ("no", "no", 15)]
    pairs = [(one, other, 1.0) for one, other, num in table for _ in range(num)]
    assert kappa(pairs) == (pytest.approx(0.7), pytest.approx(0.4))
    weighted = [(one, other, 1.0 + place % 3) for place, (one, other, _) in enumerate(pairs)]
    ones, others, weights = zip(*weighted, strict=True)
    assert kappa(weighted)[1] == pytest.approx(cohen_kappa_score(ones, others, sample_weight=weights))
    assert kappa([]) == (None, None)
    assert kappa([("yes", "yes", 1.0)] * 4) == (1.0, None)
