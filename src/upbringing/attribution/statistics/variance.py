"""Where a contrast's uncertainty comes from: prompts, training seeds, and the two together.

The contrast of prompt ``i`` under seed ``s`` is ``effect + prompt_i + seed_s + cell_si``; the components are the
standard deviations of the three. "Prompts" are clusters: variants of one base request are averaged first and count
once. Where every seed has its own world (``is_nested``) prompts of one seed say nothing about another's.

Source: method of moments from the mean squares of ``crossed``; statistics-and-measures 3.3 and 3.7. Departures: a
component that comes out negative is 0; unequal numbers of scores enter by their effective numbers.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import sqrt

import numpy as np
from numpy.typing import NDArray
from scipy import special

from upbringing.attribution.statistics.crossed import Matrix, are_nested, components
from upbringing.base.errors import FormatError

CAUTION = 0.80  # one-sided confidence of the upper limit of the seeds' standard deviation
LIKELY = 16  # equally likely values that stand for what the seeds' standard deviation may be


@dataclass(frozen=True)
class VarianceComponents:
    """Standard deviations of a contrast, in its unit.

    ``seed``: between independent runs; ``None`` where only one was seen. ``subseed``: between runs that branch off one
    of them. ``cell``: of one prompt in one run beyond both. ``seed_high``: what ``seed`` may be, at one-sided
    confidence ``CAUTION``; ``None`` where the components were stated rather than estimated. ``seed_likely``: equally
    likely values of it, from the chi-squared distribution of the runs' mean square; empty where it was stated.
    """

    prompt: float
    seed: float | None
    cell: float
    subseed: float = 0.0
    is_nested: bool = False
    seed_high: float | None = None
    seed_likely: tuple[float, ...] = ()

    def __post_init__(self) -> None:
        for name in ("prompt", "seed", "cell", "subseed"):
            value = getattr(self, name)
            if value is not None and not (np.isfinite(value) and value >= 0):
                raise FormatError(f"the component {name!r} is a standard deviation, at least 0; found {value}")
        if not (self.prompt or self.seed or self.cell or self.subseed):
            raise FormatError("all components are 0: a contrast without any variance needs no planning")

    def scaled(self, factor: float) -> VarianceComponents:
        """Return the components of a contrast whose variance is ``factor`` times as large."""
        size = sqrt(factor)
        return VarianceComponents(
            prompt=self.prompt * size,
            seed=None if self.seed is None else self.seed * size,
            cell=self.cell * size,
            subseed=self.subseed * size,
            is_nested=self.is_nested,
            seed_high=None if self.seed_high is None else self.seed_high * size,
            seed_likely=tuple(each * size for each in self.seed_likely),
        )

    def with_seed(self, seed: float) -> VarianceComponents:
        """Return the components if seeds are known to differ by ``seed``."""
        return replace(self, seed=seed, seed_high=None, seed_likely=())


def estimated_components(tables: NDArray[np.float64]) -> VarianceComponents:
    """Return the components of ``tables``: (seeds, runs that branch off each, prompts), NaN where not observed.

    Raises ``FormatError`` where nothing varies, or there is one prompt only.
    """
    averaged = _mean(tables, axis=1)
    averaged = averaged[~np.isnan(averaged).all(axis=1)][:, ~np.isnan(averaged).all(axis=0)]
    if averaged.shape[1] < 2:
        raise FormatError("one prompt cluster says nothing about how prompts differ: ask more")
    if np.nanmax(averaged) == np.nanmin(averaged):
        raise FormatError("the contrast is the same on every prompt of every run: nothing shows how much it would vary")
    num_subseeds = tables.shape[1]
    if len(averaged) == 1:
        return VarianceComponents(float(averaged[0].std(ddof=1)), None, 0.0)
    subseed = _subseed_variance(tables)
    if are_nested(averaged):
        return _nested(averaged, subseed, num_subseeds)
    found = components(averaged)
    seen = ~np.isnan(averaged)
    per_prompt, per_seed = (float((seen.sum(axis=axis) ** 2).sum() / seen.sum()) for axis in (0, 1))
    taken = subseed / num_subseeds

    def seed(factor: float) -> float:
        return sqrt(max(max(found.seeds * factor - found.residual, 0.0) / per_seed - taken, 0.0))

    return VarianceComponents(
        prompt=sqrt(max(found.items - found.residual, 0.0) / per_prompt),
        seed=seed(1.0),
        cell=sqrt(found.residual * num_subseeds),
        subseed=sqrt(subseed),
        seed_high=seed(_upper(found.num_seeds - 1)),
        seed_likely=tuple(seed(factor) for factor in _factors(found.num_seeds - 1)),
    )


def _nested(averaged: Matrix, subseed: float, num_subseeds: int) -> VarianceComponents:
    """Return the components where every seed has prompts of its own: prompts and cells cannot be told apart."""
    counts = (~np.isnan(averaged)).sum(axis=1)
    within = float(np.nansum((averaged - np.nanmean(averaged, axis=1)[:, None]) ** 2)) / max(int((counts - 1).sum()), 1)
    between = float(np.nanmean(averaged, axis=1).var(ddof=1))
    noise = within * float((1 / counts).mean()) + subseed / num_subseeds
    df = len(averaged) - 1

    def seed(factor: float) -> float:
        return sqrt(max(between * factor - noise, 0.0))

    return VarianceComponents(
        prompt=sqrt(within),
        seed=seed(1.0),
        cell=0.0,
        subseed=sqrt(subseed),
        is_nested=True,
        seed_high=seed(_upper(df)),
        seed_likely=tuple(seed(factor) for factor in _factors(df)),
    )


def _subseed_variance(tables: NDArray[np.float64]) -> float:
    """Return the variance between runs that branch off one seed, beyond what their prompts explain."""
    if tables.shape[1] < 2:
        return 0.0
    found = []
    for table in tables:
        seen = ~np.isnan(table).any(axis=0)
        if seen.sum() > 1:
            mean_squares = components(table[:, seen])
            found.append((mean_squares.seeds - mean_squares.residual) / mean_squares.num_items)
    return max(float(np.mean(found)), 0.0) if found else 0.0


def _upper(df: int) -> float:
    """Return the factor from a mean square to the upper confidence limit of what it estimates."""
    return float(df / special.chdtri(df, CAUTION))


def _factors(df: int) -> list[float]:
    """Return equally likely factors from a mean square to what it estimates, the largest first."""
    middles = 1 - (np.arange(LIKELY) + 0.5) / LIKELY
    return [float(df / each) for each in special.chdtri(df, middles)]


def _mean(tables: NDArray[np.float64], axis: int) -> Matrix:
    seen = ~np.isnan(tables)
    counts = seen.sum(axis=axis)
    sums = np.where(seen, tables, 0.0).sum(axis=axis)
    mean: Matrix = np.where(counts > 0, sums / np.maximum(counts, 1), np.nan)
    return mean
