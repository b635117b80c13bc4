"""Estimators as values per prompt cluster whose mean is the estimate, so that one inference serves all.

A mean has its cluster means; a ratio of sums its linearised residuals; an AUROC its jackknife pseudo-values,
centred on the AUROC itself.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from upbringing.attribution.evidence.columns import Codes, Numbers


def group_sums(group: NDArray[np.int64], values: Numbers, num_groups: int) -> Numbers:
    """Return the sum of ``values`` in each group."""
    return np.bincount(group, weights=values, minlength=num_groups).astype(np.float64)


def mean_values(group: NDArray[np.int64], values: Numbers, num_groups: int) -> Numbers:
    """Return the mean of the values of each group that are not NaN; NaN for a group without any."""
    seen = ~np.isnan(values)
    counts = np.bincount(group[seen], minlength=num_groups)
    sums = group_sums(group[seen], values[seen], num_groups)
    result: Numbers = np.where(counts > 0, sums / np.maximum(counts, 1), np.nan)
    return result


def ratio_values(totals: Numbers, weights: Numbers) -> Numbers:
    """Return values per cluster with mean ``sum(totals) / sum(weights)`` (linearised); NaN without weight.

    The jackknife's first-order term: ratio + (total - ratio x weight) / mean weight.
    """
    seen = weights > 0
    result = np.full(len(weights), np.nan)
    if seen.any():
        ratio = totals[seen].sum() / weights[seen].sum()
        result[seen] = ratio + (totals[seen] - ratio * weights[seen]) / weights[seen].mean()
    return result


def auroc_values(group: NDArray[np.int64], values: Numbers, is_harmful: NDArray[np.bool_], num_groups: int) -> Numbers:
    """Return jackknife pseudo-values per cluster with mean AUROC (harmful above benign, ties count half).

    Leaving a cluster out leaves out its harmful items and its benign twins. NaN where the AUROC, with or
    without the cluster, is undefined.
    """
    seen = ~np.isnan(values)
    harmful, benign = seen & is_harmful, seen & ~is_harmful
    result = np.full(num_groups, np.nan)
    present = np.bincount(group[seen], minlength=num_groups) > 0
    harmful_group, benign_group = group[harmful], group[benign]
    num_harmful, num_benign = len(harmful_group), len(benign_group)
    if not num_harmful or not num_benign:
        return result
    wins = _wins(values[harmful], values[benign])
    losses = num_harmful - _wins(values[benign], values[harmful])  # harmful items above each benign one
    whole = wins.sum()
    auroc = whole / (num_harmful * num_benign)
    rest_harmful = num_harmful - np.bincount(harmful_group, minlength=num_groups)
    rest_benign = num_benign - np.bincount(benign_group, minlength=num_groups)
    without = (
        whole
        - group_sums(harmful_group, wins, num_groups)
        - group_sums(benign_group, losses, num_groups)
        + _wins_inside(harmful_group, values[harmful], benign_group, values[benign], num_groups)
    )
    usable = present & (rest_harmful > 0) & (rest_benign > 0)
    num = int(usable.sum())
    if num:
        left_out = without[usable] / (rest_harmful[usable] * rest_benign[usable])
        pseudo = num * auroc - (num - 1) * left_out
        result[usable] = pseudo - pseudo.mean() + auroc
    return result


def auroc_bounds(
    group: NDArray[np.int64], sides: tuple[Numbers, Numbers], is_harmful: NDArray[np.bool_], num_groups: int
) -> tuple[Numbers, Numbers]:
    """Return ``auroc_values`` at the lowest and the highest AUROC that values between ``sides`` (low, high) allow.

    The AUROC is lowest where harmful items rank as low as they may and benign ones as high.
    """
    low, high = sides
    return (
        auroc_values(group, np.where(is_harmful, low, high), is_harmful, num_groups),
        auroc_values(group, np.where(is_harmful, high, low), is_harmful, num_groups),
    )


def _wins(above: Numbers, below: Numbers) -> Numbers:
    """Return for each of ``above`` how many of ``below`` it exceeds, ties counted half."""
    ordered = np.sort(below)
    wins: Numbers = (np.searchsorted(ordered, above, "left") + np.searchsorted(ordered, above, "right")) / 2
    return wins


def _wins_inside(
    harmful_group: NDArray[np.int64],
    harmful: Numbers,
    benign_group: NDArray[np.int64],
    benign: Numbers,
    num_groups: int,
) -> Numbers:
    """Return the wins between harmful and benign items of the same cluster, per cluster."""
    order = np.argsort(benign_group, kind="stable")
    ordered_group, ordered = benign_group[order], benign[order]
    start = np.searchsorted(ordered_group, harmful_group, "left")
    count = np.searchsorted(ordered_group, harmful_group, "right") - start
    left = np.repeat(np.arange(len(harmful)), count)
    offset = np.arange(len(left)) - np.repeat(np.cumsum(count) - count, count)
    right = np.repeat(start, count) + offset
    wins = (harmful[left] > ordered[right]) + 0.5 * (harmful[left] == ordered[right])
    return group_sums(harmful_group[left], wins, num_groups)


def compact(codes: Codes) -> tuple[Codes, NDArray[np.int64]]:
    """Return the distinct codes in order, and for each entry its place among them."""
    distinct, place = np.unique(codes, return_inverse=True)
    return distinct, place.astype(np.int64)
