"""The Multi-Bootstrap: the same as drawing one by one, planted effects held, nothing made of nothing."""

from __future__ import annotations

import numpy as np
import pytest

from upbringing.attribution.statistics import multi_bootstrap as module
from upbringing.attribution.statistics.multi_bootstrap import NUM_DRAWS, draw_counts, multi_bootstrap
from upbringing.base.streams import stream
from upbringing.validation.drawing import draw
from upbringing.validation.planted import EFFECTIVE, NULL
from upbringing.validation.process import HIGH, Design
from upbringing.validation.scenarios import Scenario

DIFFERENCE = np.array([1.0, -1.0])


def table(seed: int, *, runs: int = 4, clusters: int = 30, missing: float = 0.0) -> np.ndarray:
    """Two terms of 0/1 answers whose runs and clusters vary, with cells that were not observed."""
    random = np.random.default_rng(seed)
    logits = random.normal(0, 1, clusters) + random.normal(0, 0.6, (2, runs))[..., None] + 0.5
    value = (random.random(logits.shape) < 1 / (1 + np.exp(-logits))).astype(np.float64)
    value[:, random.random((runs, clusters)) < missing] = np.nan
    return value


def one_by_one(value: np.ndarray, random: np.random.Generator, *, is_nested: bool) -> np.ndarray:
    """The difference of two terms in each draw, drawn in a loop."""
    difference = value[0] - value[1]
    found = []
    for _ in range(NUM_DRAWS):
        runs = random.choice(len(difference), len(difference))
        if is_nested:
            own = [difference[run][~np.isnan(difference[run])] for run in runs]
            found.append(np.mean([random.choice(each, len(each)).mean() for each in own]))
        else:
            clusters = random.choice(difference.shape[1], difference.shape[1])
            found.append(np.nanmean(difference[np.ix_(runs, clusters)]))
    return np.array(found)


def nested(value: np.ndarray) -> np.ndarray:
    """The same answers, each run with clusters of its own."""
    _, runs, clusters = value.shape
    apart = np.full((2, runs, runs * clusters), np.nan)
    for run in range(runs):
        apart[:, run, run * clusters : (run + 1) * clusters] = value[:, run]
    return apart


def test_counts_are_draws_with_replacement() -> None:
    counts = draw_counts(np.random.default_rng(0), 7, 5000)
    assert counts.shape == (5000, 7)
    assert set(counts.sum(axis=1).tolist()) == {7}
    assert counts.mean(axis=0) == pytest.approx(np.ones(7), abs=0.06)
    assert counts.var(axis=0) == pytest.approx(np.full(7, 6 / 7), abs=0.08)  # multinomial: n p (1 - p)


@pytest.mark.parametrize("missing", [0.0, 0.2])
def test_count_matrices_are_draws_one_by_one(missing: float) -> None:
    value = table(1, missing=missing)
    found = multi_bootstrap(value, DIFFERENCE, np.random.default_rng(2), runs_vary=True)
    drawn = one_by_one(value, np.random.default_rng(3), is_nested=False)
    assert found is not None
    assert found.estimate == pytest.approx(np.nanmean(value[0] - value[1]))
    error = 4 * drawn.std() * np.sqrt(0.025 * 0.975 / NUM_DRAWS) / 0.06  # of a 2.5% quantile of a normal, twice over
    assert (found.low, found.high) == pytest.approx(tuple(np.quantile(drawn, (0.025, 0.975))), abs=error)


def test_nested_prompts_are_drawn_inside_the_runs_that_are_drawn() -> None:
    value = nested(table(4, clusters=12))
    found = multi_bootstrap(value, DIFFERENCE, np.random.default_rng(5), runs_vary=True)
    drawn = one_by_one(value, np.random.default_rng(6), is_nested=True)
    assert found is not None
    error = 4 * drawn.std() * np.sqrt(0.025 * 0.975 / NUM_DRAWS) / 0.06
    assert (found.low, found.high) == pytest.approx(tuple(np.quantile(drawn, (0.025, 0.975))), abs=error)


def test_fixed_runs_leave_the_noise_of_prompts() -> None:
    value = table(7, clusters=400)
    found = multi_bootstrap(value, DIFFERENCE, np.random.default_rng(8), runs_vary=False)
    means = (value[0] - value[1]).mean(axis=0)
    assert found is not None
    assert found.low is not None
    assert found.high is not None
    assert (found.high - found.low) / 2 == pytest.approx(1.96 * means.std() / np.sqrt(400), rel=0.08)


def test_blocks_of_draws_change_nothing_of_what_is_drawn(monkeypatch: pytest.MonkeyPatch) -> None:
    value = table(9)
    whole = multi_bootstrap(value, DIFFERENCE, np.random.default_rng(1), runs_vary=True)
    monkeypatch.setattr(module, "MAX_COUNTS", 30 * 17)
    assert multi_bootstrap(value, DIFFERENCE, np.random.default_rng(1), runs_vary=True) == whole


def test_one_stream_gives_one_interval() -> None:
    value = table(10)
    one, again, other = (
        multi_bootstrap(value, DIFFERENCE, stream(0, "bootstrap", name), runs_vary=True) for name in ("a", "a", "b")
    )
    assert one == again != other


def test_clusters_that_a_term_lacks_are_left_out() -> None:
    value = table(11, clusters=20)
    longer = np.concatenate([value, np.full((2, 4, 5), 1.0)], axis=2)
    longer[0, :, 20:] = np.nan
    whole = multi_bootstrap(value, DIFFERENCE, np.random.default_rng(0), runs_vary=True)
    assert multi_bootstrap(longer, DIFFERENCE, np.random.default_rng(0), runs_vary=True) == whole


def test_log_odds_are_of_the_rates_that_are_drawn() -> None:
    value = table(12, clusters=200)
    found = multi_bootstrap(value, DIFFERENCE, np.random.default_rng(0), runs_vary=True, is_logit=True)
    rates = value.mean(axis=(1, 2))
    assert found is not None
    assert found.estimate == pytest.approx(float(DIFFERENCE @ np.log(rates / (1 - rates))))
    value[0] = 1.0
    assert multi_bootstrap(value, DIFFERENCE, np.random.default_rng(0), runs_vary=True, is_logit=True) is None


def test_what_does_not_vary_has_no_interval() -> None:
    assert multi_bootstrap(np.ones((2, 4, 30)), DIFFERENCE, np.random.default_rng(0), runs_vary=True) is None
    assert multi_bootstrap(np.full((2, 4, 30), np.nan), DIFFERENCE, np.random.default_rng(0), runs_vary=True) is None


@pytest.mark.parametrize("scenario", [NULL, EFFECTIVE], ids=["null", "effect of 0.26"])
def test_the_truth_is_held_as_often_as_percentiles_can(scenario: Scenario) -> None:
    """Published for 5 runs of high noise: 94% (statistics-and-measures 7.4); three Monte Carlo errors of 200 are 5."""
    scenario = scenario.with_noise(HIGH)
    planted, design = scenario.contrasts[0], Design(num_items=100, num_seeds=5)
    held, found_change = 0, 0
    for number in range(200):
        drawn = draw(scenario, design, stream(number, "bootstrap"))
        value = drawn.table(planted.weights)[None]
        found = multi_bootstrap(value, np.ones(1), stream(number, "draws"), runs_vary=True)
        assert found is not None
        assert found.low is not None
        assert found.high is not None
        held += found.low <= scenario.truth(planted) <= found.high
        found_change += found.low > 0 or found.high < 0
    assert 0.88 <= held / 200 <= 0.99
    assert found_change / 200 >= 0.6 if scenario.truth(planted) else found_change / 200 <= 0.12
