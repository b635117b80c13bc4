"""Tests in a family: exact where an exact answer exists, never below the plain test, right where few runs vary."""

import numpy as np
import pytest
from scipy import special

from upbringing.attribution.statistics.crossed import crossed_inference
from upbringing.attribution.statistics.far_tail import Spreads, far_p, half_widths, quantile, tail
from upbringing.attribution.statistics.inference import t_inference
from upbringing.formats.findings import Spread

ONLY_RUNS = Spread(items=0.0, runs=0.25, residual=0.0, items_df=99.0, runs_df=4.0)
ONLY_PROMPTS = Spread(items=0.25, runs=0.0, residual=0.1, items_df=30.0, runs_df=4.0)
MIXED = Spread(items=1.0, runs=0.4, residual=0.3, items_df=60.0, runs_df=4.0)


@pytest.mark.parametrize("statistic", [0.5, 2.0, 5.0, 12.0])
@pytest.mark.parametrize("runs_df", [2.0, 4.0, 9.0])
def test_where_only_runs_vary_it_is_the_t_test_over_runs(statistic: float, runs_df: float) -> None:
    spread = ONLY_RUNS.model_copy(update={"runs_df": runs_df})
    exact = float(special.stdtr(runs_df, -statistic))
    assert tail(statistic, runs_df * 3, spread) == pytest.approx(exact, rel=1e-9)


def test_where_runs_cannot_vary_it_is_the_plain_test() -> None:
    assert tail(2.5, 30.0, ONLY_PROMPTS) == float(special.stdtr(30.0, -2.5))
    assert tail(2.5, None) == float(special.ndtr(-2.5))
    assert quantile(0.95, 30.0, ONLY_PROMPTS) == pytest.approx(float(special.stdtrit(30.0, 0.975)))


@pytest.mark.parametrize("spread", [MIXED, MIXED.model_copy(update={"residual": 1.2, "added": 0.2})])
def test_it_is_the_mean_over_the_variance_that_runs_may_have(spread: Spread) -> None:
    runs = spread.runs * spread.runs_df / np.random.default_rng(0).chisquare(spread.runs_df, 1_000_000)
    least = np.maximum(np.maximum(spread.items + runs - spread.residual, spread.items), runs)
    is_prompts_alone = runs <= min(spread.residual, spread.items)
    prompts = np.where(is_prompts_alone, spread.items, max(spread.items - spread.residual, 0.0)) + spread.added
    share = np.maximum(prompts / (least + spread.added), 1e-4)
    gap = 2.5 * spread.variance**0.5
    drawn = special.stdtr(spread.items_df / share**2, -gap / np.sqrt(least + spread.added))
    error = float(drawn.std() / 1000)
    assert tail(2.5, 1e9, spread) == pytest.approx(float(drawn.mean()), abs=4 * error)


@pytest.mark.parametrize("confidence", [0.95, 0.99, 1 - 0.05 / 24])
def test_the_quantile_is_where_the_tail_is_what_was_asked(confidence: float) -> None:
    at = quantile(confidence, 40.0, MIXED)
    assert tail(at, 40.0, MIXED) == pytest.approx((1 - confidence) / 2, rel=1e-6)
    assert at > float(special.stdtrit(40.0, (1 + confidence) / 2))


def test_a_family_never_helps_and_an_inference_without_runs_keeps_its_p() -> None:
    random = np.random.default_rng(3)
    for _ in range(50):
        found = crossed_inference(random.normal(0.1, 1.0, (5, 40)) + random.normal(0, 0.2, (5, 1)))
        together = far_p(found)
        assert found.p is not None
        assert together is not None
        assert found.p <= together <= 1
    plain = t_inference(0.3, 0.1, 4.0, "seed means")
    assert far_p(plain) == plain.p
    assert far_p(t_inference(0.3, 0.0, 4.0, "nothing varies")) is None


def test_the_far_tail_holds_its_level_where_the_plain_test_does_not() -> None:
    """8,000 null studies of 5 runs x 50 prompts whose runs vary: how often is p below 5% / 24?"""
    random, level, num = np.random.default_rng(7), 0.05 / 24, 8_000
    noise = random.normal(0, 1.0, (num, 5, 50)) + random.normal(0, 0.6, (num, 1, 50))
    tables = noise + random.normal(0, 0.3, (num, 5, 1))
    found = [crossed_inference(table) for table in tables]
    plain = np.mean([each.p is not None and each.p <= level for each in found])
    together = np.mean([(p := far_p(each)) is not None and p <= level for each in found])
    assert plain > 2 * level  # the fault is there to be mended
    assert together <= level + 4 * (level / num) ** 0.5


def test_an_effect_far_above_the_noise_is_found_in_a_family_of_24() -> None:
    random = np.random.default_rng(11)
    found = crossed_inference(random.normal(0.5, 0.5, (5, 200)) + random.normal(0, 0.05, (5, 1)))
    p = far_p(found)
    assert p is not None
    assert p <= 0.05 / 24


def test_half_widths_of_a_plan_are_the_quantiles_of_single_tests() -> None:
    parts = [MIXED, MIXED.model_copy(update={"residual": 1.2}), ONLY_RUNS.model_copy(update={"items_df": 60.0})]
    items, runs, residual, added = (
        np.array([getattr(each, name) for each in parts]) for name in ("items", "runs", "residual", "added")
    )
    spreads = Spreads(items, runs, residual, added, items_df=60.0, runs_df=4.0)
    beyond, dfs = 0.05 / 48, [9.0, 12.0, 4.0]
    errors = np.array([each.variance**0.5 for each in parts])
    plain = special.stdtrit(np.array(dfs), 1 - beyond) * errors
    alone = [quantile(1 - 2 * beyond, df, each) for df, each in zip(dfs, parts, strict=True)]
    assert half_widths(plain, beyond, spreads) == pytest.approx(np.array(alone) * errors, rel=1e-4)


@pytest.mark.parametrize("num_tests", [24, 200])
def test_a_plan_with_three_runs_and_many_tests_knows_how_far_the_tail_reaches(num_tests: int) -> None:
    spreads = Spreads(np.array([1.0, 1.0]), np.array([0.05, 2.0]), np.array([0.3, 0.3]), np.zeros(2), 60.0, 2.0)
    beyond = 0.05 / (2 * num_tests)
    errors = np.sqrt(np.array([1.0, 2.7]))
    plain = special.stdtrit(np.array([60.0, 8.0]), 1 - beyond) * errors
    alone = [
        quantile(1 - 2 * beyond, df, MIXED.model_copy(update={"runs": runs, "runs_df": 2.0}))
        for df, runs in ((60.0, 0.05), (8.0, 2.0))
    ]
    assert half_widths(plain, beyond, spreads) == pytest.approx(np.array(alone) * errors, rel=3e-3)
