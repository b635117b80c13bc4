"""Checks without chance of the planner: published tables, floors, and the fewest prompts and seeds that decide."""

from __future__ import annotations

from math import sqrt

from upbringing.attribution.power.design_power import detectable
from upbringing.attribution.power.needed import margin_floor, prompts_needed, seeds_needed
from upbringing.attribution.power.power import Goal, is_decided
from upbringing.attribution.power.sampling import SampleSize, floor, sampling
from upbringing.attribution.statistics.variance import VarianceComponents

# statistics-and-measures 3.7: smallest detectable effect by paired seeds, in SDs of the per-seed effect
DETECTABLE = {3: 3.26, 4: 2.13, 5: 1.68, 6: 1.43, 8: 1.16, 10: 1.00, 15: 0.78, 20: 0.66}
ROUNDED = 0.01
SEED, TOLERANCE = 0.05, 1e-12
COMPONENTS = VarianceComponents(prompt=0.15, seed=SEED, cell=0.45)  # the second example of the same section


def published_powers_match() -> tuple[int, int]:
    """Return how many published detectable effects are reached to the published digits."""
    found = [detectable(1.0, seeds, seeds - 1) for seeds in DETECTABLE]
    cases = [
        each is not None and abs(each - published) <= ROUNDED
        for each, published in zip(found, DETECTABLE.values(), strict=True)
    ]
    return sum(cases), len(cases)


def sizes_are_the_smallest() -> tuple[int, int]:
    """Return how many planned sizes decide while one less does not, and how many floors are what seeds leave.

    The floor of the standard error is seed / sqrt(seeds); no number of prompts decides a margin below ``margin_floor``.
    """
    cases = []
    for seeds in (3, 5, 10):
        size = SampleSize(prompts=200, seeds=seeds)
        reached = floor(COMPONENTS, size)
        cases.append(reached is not None and abs(reached - SEED / sqrt(seeds)) < TOLERANCE)
        lowest = margin_floor(COMPONENTS, size, Goal("equivalence", 0.1))
        assert lowest is not None
        cases.append(prompts_needed(COMPONENTS, size, Goal("equivalence", 0.99 * lowest)) is None)
        for goal in (Goal("equivalence", 1.2 * lowest), Goal("difference", 0.25)):
            num = prompts_needed(COMPONENTS, size, goal)
            cases.append(num is not None and _decides(num, seeds, goal) and not _decides(num - 1, seeds, goal))
    for goal in (Goal("equivalence", 0.05), Goal("difference", 0.15), Goal("noninferiority", 0.05)):
        num = seeds_needed(COMPONENTS, SampleSize(prompts=400, seeds=3), goal)
        cases.append(num is not None and _decides(400, num, goal) and (num == 3 or not _decides(400, num - 1, goal)))
    return sum(cases), len(cases)


def _decides(prompts: int, seeds: int, goal: Goal) -> bool:
    found = sampling(COMPONENTS, SampleSize(prompts=prompts, seeds=seeds)) if prompts > 1 else None
    return found is not None and is_decided(found, goal)
