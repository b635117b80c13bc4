"""How many prompts, or how many seeds, decide a margin; and when no number of them does."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import lru_cache
from math import inf

from upbringing.attribution.evidence.design import ENOUGH_UNITS
from upbringing.attribution.power.power import Goal, is_decided, smallest_at_least, smallest_decided
from upbringing.attribution.power.sampling import SampleSize, sampling
from upbringing.attribution.statistics.variance import VarianceComponents

MOST_PROMPTS = 10_000_000  # stands for as many as one likes
MOST_SEEDS = 10_000


def prompts_needed(components: VarianceComponents, size: SampleSize, goal: Goal) -> int | None:
    """Return the fewest prompts (per seed) that decide ``goal`` with the seeds of ``size``; ``None`` = none do."""
    return _fewest(lambda num: _decides(components, replace(size, prompts=num), goal), 2, MOST_PROMPTS)


def seeds_needed(components: VarianceComponents, size: SampleSize, goal: Goal) -> int | None:
    """Return the fewest seeds (three or more) that decide ``goal`` with the prompts of ``size``; ``None`` = none do."""
    return _fewest(lambda num: _decides(components, replace(size, seeds=num), goal), ENOUGH_UNITS, MOST_SEEDS)


def margin_floor(components: VarianceComponents, size: SampleSize, goal: Goal) -> float | None:
    """Return the smallest margin that any number of prompts decides with the seeds of ``size``; ``None`` = not known.

    It need not be the one at most prompts: the less prompts scatter, the fewer degrees of freedom the seeds leave.
    """
    known = []
    num = 2
    while num < 2 * MOST_PROMPTS:
        if (each := sampling(components, replace(size, prompts=num))) is None:
            return None
        known.append((smallest_at_least(each, goal), num, each))
        num *= 4
    found = inf
    for bound, _, each in sorted(known, key=lambda one: one[:2]):
        if bound >= found:  # no size from here on goes below it
            break
        found = min(found, smallest_decided(each, goal))
    return found


@lru_cache(maxsize=4096)  # the searches of one contrast meet at the same sizes
def _decides(components: VarianceComponents, size: SampleSize, goal: Goal) -> bool:
    found = sampling(components, size)
    return found is not None and is_decided(found, goal)


def _fewest(decides: Callable[[int], bool], least: int, most: int) -> int | None:
    """Return the smallest number from ``least`` to ``most`` that decides, looking at every doubling first."""
    if decides(least):
        return least
    low, high = least, 2 * least
    while not decides(high):
        if high >= most:
            return None
        low, high = high, min(2 * high, most)
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if decides(middle) else (middle, high)
    return high
