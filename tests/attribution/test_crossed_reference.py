"""The crossed estimator against others' numbers: statsmodels' ANOVA and its two-way cluster-robust covariance."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from upbringing.attribution.statistics.crossed import components, crossed_inference

pandas = pytest.importorskip("pandas")
linear_model = pytest.importorskip("statsmodels.regression.linear_model")
formula = pytest.importorskip("statsmodels.formula.api")
anova = pytest.importorskip("statsmodels.stats.anova")
sandwich = pytest.importorskip("statsmodels.stats.sandwich_covariance")

SIZES = ((3, 20), (5, 40), (2, 7))
SPREADS = ((1.0, 0.0), (0.3, 0.8), (0.0, 0.0))


def table_of(size: tuple[int, int], spread: tuple[float, float]) -> np.ndarray:
    """Seeds x prompts with effects of prompts and of seeds of the given deviations, and noise of 1."""
    random = np.random.default_rng(sum(size))
    seeds, prompts = size
    effects = random.normal(0, spread[0], (1, prompts)) + random.normal(0, spread[1], (seeds, 1))
    table: np.ndarray = 0.2 + effects + random.normal(0, 1, size)
    return table


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("spread", SPREADS)
def test_mean_squares_are_those_of_a_two_way_anova(size: tuple[int, int], spread: tuple[float, float]) -> None:
    table = table_of(size, spread)
    seed, prompt = (each.ravel() for each in np.indices(size))
    frame = pandas.DataFrame({"y": table.ravel(), "seed": seed, "prompt": prompt})
    lines = anova.anova_lm(formula.ols("y ~ C(seed) + C(prompt)", frame).fit())
    squares = lines["sum_sq"] / lines["df"]
    found = components(table)
    assert found.seeds == pytest.approx(squares["C(seed)"], rel=1e-9)
    assert found.items == pytest.approx(squares["C(prompt)"], rel=1e-9)
    assert found.residual == pytest.approx(squares["Residual"], rel=1e-9)


@pytest.mark.parametrize("size", SIZES)
def test_the_squared_error_is_that_of_clustering_both_ways(size: tuple[int, int]) -> None:
    """Cameron, Gelbach and Miller: V(prompts) + V(seeds) - V(both), each with its own correction for few clusters.

    statsmodels gives the three parts without corrections; the third one is of the single scores, for which the crossed
    estimator takes the residual mean square. So two are compared here, and the rest in the ANOVA above.
    """
    table = table_of(size, (0.3, 0.8))
    (num_seeds, num_items), num = size, table.size
    fit = linear_model.OLS(table.ravel(), np.ones((num, 1))).fit()
    seed, prompt = (each.ravel() for each in np.indices(size))
    _, of_seeds, of_prompts = sandwich.cov_cluster_2groups(fit, seed, prompt, use_correction=False)
    found = components(table)
    few_seeds, few_prompts = num_seeds / (num_seeds - 1), num_items / (num_items - 1)
    assert found.seeds / num == pytest.approx(float(of_seeds[0, 0]) * few_seeds, rel=1e-9)
    assert found.items / num == pytest.approx(float(of_prompts[0, 0]) * few_prompts, rel=1e-9)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("spread", SPREADS)
def test_the_interval_is_satterthwaites_by_hand(size: tuple[int, int], spread: tuple[float, float]) -> None:
    """Expected mean squares of the two-way random model: E(MSI) + E(MSS) - E(MSE) over N S is the mean's variance."""
    table = table_of(size, spread)
    num_seeds, num_items = size
    by_seed, by_prompt, mean = table.mean(axis=1), table.mean(axis=0), table.mean()
    squares = np.array(
        [
            num_seeds * ((by_prompt - mean) ** 2).sum() / (num_items - 1),
            num_items * ((by_seed - mean) ** 2).sum() / (num_seeds - 1),
            ((table - by_seed[:, None] - by_prompt + mean) ** 2).sum() / ((num_items - 1) * (num_seeds - 1)),
        ]
    )
    dfs = np.array([num_items - 1, num_seeds - 1, (num_items - 1) * (num_seeds - 1)])
    numerator = max(squares[0] + squares[1] - squares[2], squares[0], squares[1])
    df = max(num_seeds - 1, numerator**2 / (squares**2 / dfs).sum())
    low, high = stats.t.interval(0.95, df, loc=mean, scale=np.sqrt(numerator / table.size))
    found = crossed_inference(table)
    assert (found.low, found.high, found.df) == pytest.approx((low, high, df), rel=1e-9)
