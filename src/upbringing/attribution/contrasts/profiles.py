"""Prompt by prompt: which answers flipped between two cells, and how often two answers differ by chance alone."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from upbringing.attribution.evidence.cells import ClusterValues
from upbringing.attribution.evidence.pivot import Pivot
from upbringing.attribution.statistics.pairs import discordance, flips, repeat_discordance

Vector = NDArray[np.float64]


@dataclass(frozen=True)
class Profile:
    """The agreement of two cells. ``flips``: (rose, fell, kept) over all pairs of one item in one run.

    ``discordance``: the chance that one answer of each differs, for 0/1 measures; ``noise``: the same for two
    answers of one checkpoint, where answers were repeated.
    """

    flips: tuple[int, int, int]
    discordance: float | None = None
    noise: float | None = None


def profile(found: Pivot, *, is_binary: bool) -> Profile | None:
    """Return the profile of a difference of two terms; ``None`` for other contrasts and unpaired runs."""
    if sorted(found.weights.tolist()) != [-1.0, 1.0]:
        return None
    pairs: list[tuple[ClusterValues, ClusterValues]] = []
    for row in found.found:
        first, second = row if found.weights[0] > 0 else row[::-1]
        several = max(len(first), len(second))
        if min(len(first), len(second)) not in (1, several):
            return None
        for place in range(several):
            one, other = first[place % len(first)], second[place % len(second)]
            if one is None or other is None:
                return None
            pairs.append((one, other))
    values = [_paired_items(one, other) for one, other in pairs]
    first_items, second_items = (np.concatenate(side) for side in zip(*values, strict=True))
    if not len(first_items):
        return None
    counted = flips(first_items, second_items)
    if not is_binary:
        return Profile(counted)
    return Profile(counted, discordance(first_items, second_items), _noise(found.known))


def _paired_items(one: ClusterValues, other: ClusterValues) -> tuple[Vector, Vector]:
    if np.array_equal(one.items, other.items):
        first, second = one.item_means, other.item_means
    else:
        _, left, right = np.intersect1d(one.items, other.items, return_indices=True)
        first, second = one.item_means[left], other.item_means[right]
    seen = ~(np.isnan(first) | np.isnan(second))
    return first[seen], second[seen]


def _noise(known: list[ClusterValues]) -> float | None:
    positives = np.concatenate([values.positives for values in known])
    repeats = np.concatenate([values.repeats for values in known]).astype(np.float64)
    return repeat_discordance(positives, repeats)
