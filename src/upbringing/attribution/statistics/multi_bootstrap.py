"""The Multi-Bootstrap: runs and prompts drawn again with replacement, beside the crossed estimator.

Source: Sellam et al. 2022, "The MultiBERTs" (arXiv 2106.16163): seeds are drawn with one draw for both arms, prompts
once for all cells, and the interval lies between percentiles of the means that come out. Departures: below three runs
the runs are fixed, as the claim is about them; prompts that are nested in runs (a world for each) are drawn inside each
run that was drawn; what was not observed is left out of every mean; ratios and AUROCs are drawn as linearised values.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from upbringing.attribution.statistics.crossed import NEGLIGIBLE_VARIANCE, are_nested
from upbringing.attribution.statistics.inference import CONFIDENCE, Inference

Matrix = NDArray[np.float64]
Counts = NDArray[np.int64]

NUM_DRAWS = 2000
MULTI_BOOTSTRAP = "multi-bootstrap"
MAX_COUNTS = 2_000_000  # counts held at a time: draws are made in blocks of so many


def multi_bootstrap(
    value: Matrix, weights: Matrix, random: np.random.Generator, *, runs_vary: bool, is_logit: bool = False
) -> Inference | None:
    """Return the percentile interval of ``sum of weight x mean`` (with ``is_logit``: x log-odds of the mean).

    ``value``: (terms, runs, prompt clusters), NaN where nothing was observed; clusters that a run lacks in a term are
    left out of that run. ``None`` where nothing varied, or a rate that was drawn is 0 or 1 and so has no log-odds.
    """
    value = _paired(value)
    if not runs_vary:
        value = _over_runs(value)
    seen = ~np.isnan(value[0])
    value, seen = value[:, seen.any(axis=1)][:, :, seen.any(axis=0)], seen[seen.any(axis=1)][:, seen.any(axis=0)]
    if not seen.size:
        return None
    nested = runs_vary and len(seen) > 1 and are_nested(value[0])
    found = _mean_of_runs(value) if nested else np.where(seen, value, 0.0).sum(axis=(1, 2)) / seen.sum()
    drawn = np.concatenate(list(_nested_means(value, random) if nested else _crossed_means(value, random)))
    drawn = drawn[~np.isnan(drawn).any(axis=1)]  # a draw of cells that were all missing has no mean
    if is_logit:
        if not ((drawn > 0) & (drawn < 1)).all() or not ((found > 0) & (found < 1)).all():
            return None
        drawn, found = np.log(drawn / (1 - drawn)), np.log(found / (1 - found))
    values = drawn @ weights
    if not len(values) or float(values.var()) <= NEGLIGIBLE_VARIANCE:
        return None
    low, high = np.quantile(values, ((1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2)).tolist()
    return Inference(estimate=float(found @ weights), method=MULTI_BOOTSTRAP, low=low, high=high)


def draw_counts(random: np.random.Generator, num: int, num_draws: int) -> Counts:
    """Return how often each of ``num`` things stands in each draw of ``num`` with replacement: (draws, things)."""
    chosen = random.integers(0, num, (num_draws, num)) + num * np.arange(num_draws)[:, None]
    counts: Counts = np.bincount(chosen.ravel(), minlength=num_draws * num).reshape(num_draws, num)
    return counts


def _paired(value: Matrix) -> Matrix:
    """Return the values without those that have no counterpart in every term."""
    whole: Matrix = np.where(np.isnan(value).any(axis=0), np.nan, value)
    return whole


def _over_runs(value: Matrix) -> Matrix:
    """Return each cluster's mean over the runs that have it, as if of a single run."""
    seen = ~np.isnan(value)
    counts = seen.sum(axis=1, keepdims=True)
    sums = np.where(seen, value, 0.0).sum(axis=1, keepdims=True)
    means: Matrix = np.where(counts > 0, sums / np.maximum(counts, 1), np.nan)
    return means


def _mean_of_runs(value: Matrix) -> Matrix:
    """Return per term the mean of the runs' means."""
    means: Matrix = np.nanmean(value, axis=2).mean(axis=1)
    return means


def _blocks(num: int, width: int) -> Iterator[int]:
    """Yield sizes of blocks of at most ``MAX_COUNTS`` counts that add up to ``num`` draws of ``width`` things."""
    size = max(1, MAX_COUNTS // width)
    for first in range(0, num, size):
        yield min(size, num - first)


def _crossed_means(value: Matrix, random: np.random.Generator) -> Iterator[Matrix]:
    """Yield the means of each term (draws, terms), runs and clusters drawn apart; a single run is always itself."""
    _, num_runs, num_clusters = value.shape
    seen = ~np.isnan(value[0])
    filled = np.where(seen, value, 0.0)
    runs = draw_counts(random, num_runs, NUM_DRAWS)
    first = 0
    for size in _blocks(NUM_DRAWS, num_clusters):
        own, clusters = runs[first : first + size].astype(np.float64), draw_counts(random, num_clusters, size)
        observed = np.einsum("dk,dk->d", own @ seen.astype(np.float64), clusters)
        sums = np.stack([np.einsum("dk,dk->d", own @ term, clusters) for term in filled], axis=1)
        yield np.where(observed > 0, sums.T / np.maximum(observed, 1), np.nan).T
        first += size


def _nested_means(value: Matrix, random: np.random.Generator) -> Iterator[Matrix]:
    """Yield the means over runs of each term (draws, terms); each run that is drawn draws prompts of its own anew."""
    num_terms, num_runs, _ = value.shape
    runs = draw_counts(random, num_runs, NUM_DRAWS)
    total = np.zeros((NUM_DRAWS, num_terms))
    for place in range(num_runs):
        own = value[:, place, ~np.isnan(value[0, place])]
        draw_of = np.repeat(np.arange(NUM_DRAWS), runs[:, place])
        sizes = _blocks(len(draw_of), own.shape[1])
        parts = [draw_counts(random, own.shape[1], size) @ own.T / own.shape[1] for size in sizes]
        means = np.concatenate(parts) if parts else np.zeros((0, num_terms))
        for term in range(num_terms):
            total[:, term] += np.bincount(draw_of, means[:, term], NUM_DRAWS)
    yield total / num_runs
