"""How reliable scores are: intraclass correlations, split halves and standardised gaps, each with an exact interval.

Intervals have 95 % coverage, and checkpoints of one recipe count as one: what is alike must not look like certainty.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import special

from upbringing.attribution.statistics.inference import CONFIDENCE

Matrix = NDArray[np.float64]
TAIL = (1 - CONFIDENCE) / 2
NO_SPREAD = 1e-24  # variances below are rounding


@dataclass(frozen=True)
class Interval:
    """A number with its 95 % interval."""

    value: float
    low: float
    high: float


def variance_ratio(between: float, within: float, df: tuple[float, float]) -> Interval | None:
    """Return true ``between / within`` mean squares with its F interval; ``None`` where neither varies.

    ``df``: of the two mean squares.
    """
    if within <= NO_SPREAD:
        return None if between <= NO_SPREAD else Interval(np.inf, np.inf, np.inf)
    ratio = between / within
    upper = float(special.fdtri(df[0], df[1], 1 - TAIL))
    lower = float(special.fdtri(df[0], df[1], TAIL))
    return Interval(ratio, ratio / upper, ratio / lower)


def repeated_icc(table: Matrix, num_independent: int) -> Interval | None:
    """Return the reliability of mean scores over repeats, ICC(1, k), from ``table`` (checkpoints, repeats).

    ``num_independent``: how many checkpoints count as independent. Source: Shrout and Fleiss 1979. Departures: degrees
    of freedom between checkpoints are those of the independent ones, which widens the interval.
    """
    repeats = table.shape[1]
    between = repeats * float(table.mean(axis=1).var(ddof=1))
    within = float(table.var(axis=1, ddof=1).mean())
    found = variance_ratio(between, within, (num_independent - 1.0, num_independent * (repeats - 1.0)))
    return None if found is None else _transformed(found, lambda ratio: 1 - 1 / ratio if ratio else -np.inf)


def crossed_icc(table: Matrix, num_independent: int) -> Interval | None:
    """Return the consistency of one score, ICC(3, 1), from ``table`` (checkpoints, templates).

    That a template moves all checkpoints alike is no inconsistency. Source and departures: as ``repeated_icc``.
    """
    num, templates = table.shape
    between = templates * float(table.mean(axis=1).var(ddof=1))
    within = _rest(table) / ((num - 1) * (templates - 1))
    df = (num_independent - 1.0, (num_independent - 1.0) * (templates - 1.0))
    found = variance_ratio(between, within, df)
    return None if found is None else _transformed(found, lambda ratio: _single(ratio, templates))


def _single(ratio: float, repeats: int) -> float:
    return 1.0 if np.isinf(ratio) else (ratio - 1) / (ratio + repeats - 1)


def signal_to_noise(groups: Sequence[Sequence[float]]) -> Interval | None:
    """Return the standard deviation between recipes over that between runs of one recipe, from scores per recipe.

    Groups of one run say nothing. ``None`` with fewer than two groups or where nothing varies.
    """
    usable = [np.array(group) for group in groups if len(group) > 1]
    if len(usable) < 2:
        return None
    sizes = np.array([len(group) for group in usable], dtype=np.float64)
    total = float(sizes.sum())
    means = np.array([group.mean() for group in usable])
    df = (len(usable) - 1.0, total - len(usable))
    between = float(sizes @ (means - float(sizes @ means) / total) ** 2) / df[0]
    within = sum(float(((group - group.mean()) ** 2).sum()) for group in usable) / df[1]
    return _spreads(variance_ratio(between, within, df), (total - float(sizes @ sizes) / total) / df[0])


def paired_signal_to_noise(table: Matrix) -> Interval | None:
    """Return the same from ``table`` (recipes, seeds) of runs that share seeds: what a seed does to all is no noise.

    ``None`` with fewer than two of either or where nothing varies.
    """
    recipes, seeds = table.shape
    if min(recipes, seeds) < 2:
        return None
    df = (recipes - 1.0, (recipes - 1.0) * (seeds - 1.0))
    between = seeds * float(table.mean(axis=1).var(ddof=1))
    return _spreads(variance_ratio(between, _rest(table) / df[1], df), float(seeds))


def _rest(table: Matrix) -> float:
    """Return the sum of squares that rows and columns leave."""
    rest = table - table.mean(axis=0) - table.mean(axis=1)[:, None] + table.mean()
    return float((rest**2).sum())


def _spreads(ratio: Interval | None, size: float) -> Interval | None:
    """Return the ratio of standard deviations behind a ratio of mean squares of groups of ``size``."""
    return None if ratio is None else _transformed(ratio, lambda value: float(np.sqrt(max(value - 1, 0.0) / size)))


def split_half(first: Matrix, second: Matrix, num_independent: int) -> Interval | None:
    """Return the reliability of the whole from the correlation of two halves over checkpoints.

    ``None`` where a half does not vary or fewer than four checkpoints are independent. Source: Spearman 1910, Brown
    1910; Fisher's interval.
    """
    found = correlation(first, second, num_independent)
    return None if found is None else _transformed(found, lambda value: 2 * value / (1 + value) if value > 0 else value)


def correlation(one: Matrix, other: Matrix, num_independent: int, *, ranks: bool = False) -> Interval | None:
    """Return Pearson's correlation with Fisher's interval, or Spearman's with the wider one for ranks.

    Source for ranks: Bonett and Wright 2000.
    """
    if num_independent < 4 or min(one.var(), other.var()) <= NO_SPREAD:
        return None
    if ranks:
        one, other = _ranks(one), _ranks(other)
    value = float(np.clip(np.corrcoef(one, other)[0, 1], -1.0, 1.0))
    spread = (1 + value**2 / 2 if ranks else 1.0) ** 0.5 / (num_independent - 3) ** 0.5
    centre = float(np.arctanh(np.clip(value, -1 + 1e-12, 1 - 1e-12)))
    reach = float(special.ndtri(1 - TAIL)) * spread
    return Interval(value, float(np.tanh(centre - reach)), float(np.tanh(centre + reach)))


def _ranks(values: Matrix) -> Matrix:
    ordered = np.sort(values)
    mean: Matrix = (np.searchsorted(ordered, values, "left") + np.searchsorted(ordered, values, "right")) / 2
    return mean


def standardised_gap(one: Sequence[float], other: Sequence[float]) -> Interval | None:
    """Return the difference of the means of two groups of runs over their pooled deviation, noncentral t interval.

    ``None`` where all runs are the same; infinite where runs differ between the groups only.
    """
    first, second = np.array(one), np.array(other)
    df = len(first) + len(second) - 2
    pooled = float(((first - first.mean()) ** 2).sum() + ((second - second.mean()) ** 2).sum()) / df
    return _gap(float(first.mean() - second.mean()), pooled, df, (1 / len(first) + 1 / len(second)) ** 0.5)


def paired_gap(one: Sequence[float], other: Sequence[float]) -> Interval | None:
    """Return the same of runs that are paired, over the deviation of one run beyond what its pair shares."""
    change = np.array(one) - np.array(other)
    return _gap(float(change.mean()), float(change.var(ddof=1)) / 2, len(change) - 1, (2 / len(change)) ** 0.5)


def _gap(gap: float, variance: float, df: int, scale: float) -> Interval | None:
    if variance <= NO_SPREAD:
        infinite = float(np.copysign(np.inf, gap))
        return None if abs(gap) <= NO_SPREAD**0.5 else Interval(infinite, infinite, infinite)
    statistic = gap / variance**0.5 / scale
    low, high = (float(special.nctdtrinc(df, tail, statistic)) * scale for tail in (1 - TAIL, TAIL))
    return Interval(gap / variance**0.5, low, high)


def rank_separation(one: Sequence[float], other: Sequence[float]) -> float:
    """Return the chance that a run of the first group scores above one of the second, ties counted half (AUROC)."""
    first, second = np.array(one)[:, None], np.array(other)[None, :]
    return float(((first > second) + 0.5 * (first == second)).mean())


def _transformed(found: Interval, change: Callable[[float], float]) -> Interval:
    return Interval(change(found.value), change(found.low), change(found.high))
