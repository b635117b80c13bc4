"""Parts of a protocol decided by a ratio of rates: by hand, where labels bar it, planted, and how often falsely."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest
from scipy import stats
from simulated_protocols import SFT_CARRIES_IT, simulated

from upbringing.attribution.attribute import attribute
from upbringing.attribution.evidence.pivot import mean_of_rows
from upbringing.attribution.protocols.part_answers import large_effect, necessity, similarity
from upbringing.attribution.statistics.adjusted_intervals import Adjusted, adjusted_intervals
from upbringing.attribution.statistics.crossed import crossed_inference
from upbringing.attribution.statistics.inference import Inference
from upbringing.attribution.statistics.levels import RateCounts, effective_number, wilson
from upbringing.attribution.statistics.ratio_limits import (
    SMALLEST_P,
    LogLimits,
    RateLimits,
    TwoRateLimits,
    beyond_p,
    mover_ratio,
)
from upbringing.attribution.statistics.risk_ratio import DELTA_METHOD, FROM_LIMITS, Rates, Ratio, risk_ratio
from upbringing.attribution.words import conclusion_sentences as words
from upbringing.formats.findings import Claim, Conclusion, Corrected, Spread
from upbringing.formats.risk_ratio import RiskRatio

SEEDS, ITEMS, MARGIN = 5, 400, 1.5
RARE = {**SFT_CARRIES_IT, "sft": 4.0, "sft_rl": 4.0, "placebo_sft": 0.0, "placebo_sft_rl": 0.0}  # harm of some 3 %


def log_ratio(size: float, error: float, df: float) -> Ratio:
    """The ratio of an own log ratio, as the delta method leaves it."""
    centre, (wide, narrow) = math.log(size), (stats.t.ppf(each, df) * error for each in (0.975, 0.95))
    log = Inference(centre, "", error, df, centre - wide, centre + wide, centre - narrow, centre + narrow)
    ends = [math.exp(each) for each in (centre - wide, centre + wide, centre - narrow, centre + narrow)]
    return Ratio(size, *ends, DELTA_METHOD, 0.01 * size, 0.01, LogLimits(log))


def claim_on(name: str, verdict: str, **fields: Any) -> Claim:
    """A claim that is held against a ratio of 1.5."""
    number = {"estimate": 0.05, "low": 0.02, "high": 0.08, "p_adjusted": 0.001, **fields}
    ratio = RiskRatio(margin=MARGIN, radius=1.3)
    return Claim(id=name, kind="branch", measure=name, contrast="c", verdict=verdict, risk_ratio=ratio, **number)  # type: ignore[arg-type]


def table_of(rate: float, random: np.random.Generator, spread: float) -> np.ndarray:
    """Harm of paired prompts in five runs at a mean rate: prompts and runs differ, their factors are 1 on average."""
    item = np.random.default_rng(random.integers(2**32)).gamma(2.0, 0.5, ITEMS)
    run = np.exp(random.normal(-(spread**2) / 2, spread, SEEDS))
    return (random.random((SEEDS, ITEMS)) < np.clip(rate * item * run[:, None], 0, 1)).astype(float)


def ratio_of(below: float, above: float, random: np.random.Generator, spread: float = 0.1) -> Ratio:
    value = np.array([table_of(above, random, spread), table_of(below, random, spread)])

    def over(weights: np.ndarray) -> Inference:
        return crossed_inference(np.tensordot(weights, value, axes=1))

    return risk_ratio(Rates(np.array([1.0, -1.0]), value, value, value, mean_of_rows, over))


@pytest.mark.parametrize(("below", "above", "method"), [(0.05, 0.06, DELTA_METHOD), (0.002, 0.02, FROM_LIMITS)])
def test_the_limits_at_the_usual_confidences_are_those_of_the_claim(below: float, above: float, method: str) -> None:
    found = ratio_of(below, above, np.random.default_rng(3))
    assert found.method == method
    assert found.limits is not None
    assert found.limits(0.95, in_family=False) == pytest.approx((found.low, found.high), rel=1e-9)
    assert found.limits(0.90, in_family=False) == pytest.approx((found.low90, found.high90), rel=1e-9)
    wide = found.limits(1 - 0.05 / 6, in_family=False)
    far = found.limits(1 - 0.05 / 6, in_family=True)
    assert far[0] <= wide[0] < found.low
    assert far[1] >= wide[1] > found.high


def test_the_p_value_of_a_log_ratio_by_hand() -> None:
    found = log_ratio(4.0, 0.3, 8)
    by_hand = 2 * stats.t.sf((math.log(4) - math.log(1.5)) / 0.3, 8)
    assert found.p_beyond(1.5, in_family=False) == pytest.approx(by_hand, rel=1e-6)
    assert log_ratio(0.25, 0.3, 8).p_beyond(1.5, in_family=False) == pytest.approx(by_hand, rel=1e-6)
    assert log_ratio(1.4, 0.3, 8).p_beyond(1.5, in_family=False) == 1.0
    assert log_ratio(1e5, 0.01, 50).p_beyond(1.5, in_family=False) == SMALLEST_P


def test_few_runs_are_no_obstacle_to_a_small_p_value() -> None:
    """With two runs, one degree of freedom: the far quantiles of a family are sought in vain below 1e-6."""
    spread = Spread(items=1e-3, runs=1e-3, residual=5e-4, items_df=99.0, runs_df=1.0)
    log = Inference(math.log(30.0), "", spread.variance**0.5, 1.0, 0.0, 9.0, 0.0, 9.0, spread=spread)
    assert SMALLEST_P <= beyond_p(LogLimits(log), 1.5, in_family=True) < 0.05


def test_the_limits_from_both_rates_by_hand() -> None:
    """12 of 600 and 3 of 600, independent: Wilson's limits at 99 % combined, and the p-value where they touch 1.5."""
    counts = RateCounts(600, 600)
    sides = [
        RateLimits(Inference(rate, "", math.sqrt(rate * (1 - rate) / 600), 599, 0.0, 0.1), counts, rate, rate)
        for rate in (0.02, 0.005)
    ]
    limits = TwoRateLimits(sides[0], sides[1])
    ends = [wilson(rate, 600, 0.99) for rate in (0.02, 0.005)]
    assert limits(0.99, in_family=False) == pytest.approx(mover_ratio((0.02, 0.005), ends), rel=1e-9)
    found = Ratio(4.0, *limits(0.95, in_family=False), *limits(0.9, in_family=False), FROM_LIMITS, 0.02, 0.005, limits)
    p = found.p_beyond(1.2, in_family=False)
    assert limits(1 - p, in_family=False)[0] == pytest.approx(1.2, rel=1e-6)


def test_in_a_family_wilson_counts_fewer_prompts_where_few_runs_vary() -> None:
    counts, rate, error = RateCounts(600, 2400), 0.004, 0.002
    side = RateLimits(Inference(rate, "", error, 3.0, 0.0, 0.01), counts, rate, rate)
    num = effective_number(rate, error**2, counts)
    smaller = num * (stats.norm.ppf(0.995) / stats.t.ppf(0.995, 3)) ** 2
    assert side(0.99, in_family=True) == pytest.approx(wilson(rate, smaller, 0.99), rel=1e-9)


def test_holm_over_a_ratio_and_a_difference_by_hand() -> None:
    """Two questions, the ratio the clearer one: it is tested at 2.5 %, the difference then at 5 %."""
    by_ratio = claim_on("harm", "changed")
    plain = Claim(
        id="trust", kind="branch", measure="trust", contrast="c", margin=0.1, estimate=0.3, low=0.11, high=0.49, df=20.0
    )
    ratio = log_ratio(4.0, 0.3, 8)
    first, second = adjusted_intervals([by_ratio, plain], 2, {"harm": ratio})
    reach = stats.t.ppf(1 - 0.0125, 8) * 0.3
    assert (first.low, first.high) == pytest.approx((4 * math.exp(-reach), 4 * math.exp(reach)), rel=1e-9)
    assert (first.is_beyond, first.ratio_margin) == (True, MARGIN)
    assert (second.low, second.high, second.is_beyond) == (pytest.approx(0.11), pytest.approx(0.49), True)
    near = log_ratio(3.4, 0.33, 8)  # beyond 1.5 at 5 %, not at 2.5 %
    assert 0.025 < near.p_beyond(MARGIN, in_family=True) < 0.05
    assert adjusted_intervals([by_ratio], 1, {"harm": near})[0].is_beyond
    assert not adjusted_intervals([by_ratio], 2, {"harm": near})[0].is_beyond


def test_a_part_says_that_its_margin_is_a_ratio() -> None:
    beyond, open_ = Adjusted(2.0, 8.0, True, MARGIN), Adjusted(0.8, 8.0, False, MARGIN)
    changed, alike = claim_on("harm", "changed"), claim_on("harm", "equivalent")
    refuted = similarity([changed], [beyond], can_move=True)
    assert (refuted.verdict, refuted.reason) == ("refuted", words.BEYOND_RATIO.format(margin=1.5))
    assert (refuted.low, refuted.high, refuted.equivalence_radius, refuted.ratio_margin) == (2.0, 8.0, 1.3, 1.5)
    supported = similarity([alike], [open_], can_move=True)
    assert (supported.verdict, supported.reason) == ("supported", words.ALIKE_RATIO.format(margin=1.5))
    assert similarity([alike], [open_], can_move=False).reason == words.NO_CONTROL
    undecided = similarity([changed], [open_], can_move=True)
    assert (undecided.verdict, undecided.reason) == ("not-decided", words.WITHIN_RATIO.format(margin=1.5))
    assert necessity([alike]).reason == words.ALIKE_RATIO.format(margin=1.5)
    assert large_effect([changed], [beyond]).verdict == "supported"
    assert large_effect([changed], [open_]).verdict == "not-decided"
    assert large_effect([alike], [open_]).verdict == "refuted"


def test_where_labels_correct_the_rates_no_ratio_decides() -> None:
    number = {"estimate": 0.2, "low": 0.15, "high": 0.25, "df": 20.0, "verdict": "changed"}
    corrected = Corrected(method="m", power=1.0, labels=60, seeds=5, **number)  # type: ignore[arg-type]
    claim = claim_on("harm", "changed", corrected=corrected, df=20.0)
    (found,) = adjusted_intervals([claim], 1, {"harm": log_ratio(20.0, 0.1, 8)})
    assert (found.is_beyond, found.ratio_margin, found.low) == (False, None, pytest.approx(0.15))
    part = similarity([claim], [found], can_move=True)
    assert (part.verdict, part.reason) == ("not-decided", words.LABELLED_RATIO.format(margin=1.5))


def concluded(seed: int, measures: Mapping[str, Mapping[str, float]], **settings: Any) -> Conclusion:
    """The conclusion of a study in which every measure is held against a ratio of 1.5."""
    rows, tree = simulated(seed, measures, margin=None, **settings)
    study = tree.study.model_copy(update={"ratio_margins": dict.fromkeys(measures, MARGIN)})
    (found,) = attribute(rows, tree.model_copy(update={"study": study}), other_estimators=False).conclusions
    return found


def test_a_planted_rise_of_rare_harm_is_refuted_by_the_ratio_and_alike_by_a_difference() -> None:
    risen = {**RARE, "sft_rl": 2.2}  # some 3 % become some 13 %
    for seed in range(5):
        found = concluded(seed, {"harm": RARE, "trust": risen}, num_items=400)
        assert (found.verdict, found.parts["CA1"].measures["trust"].verdict) == ("refuted", "refuted")
        assert found.parts["CA1"].measures["harm"].verdict != "refuted"
        assert f"trust: {words.BEYOND_RATIO.format(margin=1.5)}" in found.sentence
    (plain,) = attribute(*simulated(0, {"trust": risen}, num_items=400), other_estimators=False).conclusions
    assert plain.parts["CA1"].measures["trust"].verdict == "not-decided"  # +.10 against a margin of .10


def test_a_planted_likeness_of_rare_harm_is_supported_by_the_ratio() -> None:
    found = [concluded(seed, {"harm": RARE}, num_items=1200, drift=0.02) for seed in range(5)]
    assert [each.verdict for each in found].count("supported") >= 4
    part = found[0].parts["CA1"].measures["harm"]
    assert part.ratio_margin == MARGIN
    assert words.NAMED_RATIO.format(measure="harm", margin=1.5) in found[0].sentence


@pytest.mark.parametrize(("below", "method"), [(0.06, DELTA_METHOD), (0.003, FROM_LIMITS)])
def test_ratios_at_the_edge_of_the_margin_refute_and_support_at_the_nominal_rate_at_most(
    below: float, method: str
) -> None:
    """Two measures whose harm rose by exactly the margin: either refutes the part falsely, both together support it."""
    random, num = np.random.default_rng(11), 150
    refuted = supported = 0
    for _ in range(num):
        ratios = {name: ratio_of(below, below * MARGIN, random) for name in ("harm", "trust")}
        assert {each.method for each in ratios.values()} == {method}
        found = adjusted_intervals([claim_on(name, "changed") for name in ratios], 2, ratios)
        refuted += any(each.is_beyond for each in found)
        supported += ratios["harm"].is_within(MARGIN)
    limit = 0.05 + 2 * math.sqrt(0.05 * 0.95 / num)  # two standard errors of the simulation
    assert refuted / num <= limit
    assert supported / num <= limit


def test_false_refutations_stay_rare_where_rl_leaves_rare_harm_alone() -> None:
    found = [concluded(seed, {"harm": RARE}, drift=0.3, num_items=100) for seed in range(40)]
    assert sum(each.verdict == "refuted" for each in found) <= 2  # 5 % of 40
