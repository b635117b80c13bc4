"""What a study of a given size will see: the true standard error of a contrast, and how its estimate will scatter.

The estimators are those of ``crossed``: prompts crossed with seeds, seed means where prompts nest in seeds, prompts
alone below three seeds. Their estimated standard errors and degrees of freedom follow from independent mean squares
with chi-square distributions; these are replaced by equally likely quantiles, so nothing is drawn at random. What few
runs of a pilot leave open of how much runs differ is averaged over in the same way (an expected power, or assurance):
else half of all pilots, whose runs happened to be alike, would promise what the study cannot keep.

Source: our own derivation, statistics-and-measures 3.3 and 3.7. Departures: scores are taken to be normal and the
table complete.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import lru_cache
from math import sqrt

import numpy as np
from numpy.typing import NDArray
from scipy import special

from upbringing.attribution.evidence.design import ENOUGH_UNITS
from upbringing.attribution.statistics.far_tail import Spreads
from upbringing.attribution.statistics.variance import VarianceComponents
from upbringing.base.errors import FormatError

Vector = NDArray[np.float64]
SEED_NODES, PROMPT_NODES = 60, 7  # quantiles that stand for a mean square; that of the residual hardly scatters
SINGLE_NODES = 400  # where there is one mean square only
FEW_SEED_NODES, FEW_PROMPT_NODES, FEW_SINGLE_NODES = 20, 3, 60  # where the seeds' own spread is averaged over too


@dataclass(frozen=True)
class SampleSize:
    """``prompts``: clusters that each run is asked. ``seeds``: independent runs. ``subseeds``: branched off each."""

    prompts: int
    seeds: int
    subseeds: int = 1

    def __post_init__(self) -> None:
        if self.prompts < 2 or self.seeds < 1 or self.subseeds < 1:
            raise FormatError(
                f"a study has at least 2 prompts, 1 seed and 1 run of each seed; found {self.prompts}, {self.seeds} "
                f"and {self.subseeds}"
            )

    @property
    def is_recipe(self) -> bool:
        """Return whether there are enough independent runs for a claim about the recipe."""
        return self.seeds >= ENOUGH_UNITS


@dataclass(frozen=True)
class Sampling:
    """The ``standard_error`` of a contrast by its components; ``errors`` and ``dfs``: equally likely estimates of it.

    ``true_errors``: the true one behind each of these estimates, ``standard_error`` where the components are known.
    ``df``: Satterthwaite's at the expected mean squares. ``spreads``: what the ``errors`` are made of, where prompts
    and seeds are crossed.
    """

    standard_error: float
    df: float
    errors: Vector
    dfs: Vector
    true_errors: Vector
    spreads: Spreads | None = None


@lru_cache(maxsize=1024)  # three tests and many sizes ask for the same
def sampling(components: VarianceComponents, size: SampleSize) -> Sampling | None:
    """Return how the contrast will be estimated; ``None`` where it rests on seeds whose spread is not known.

    Below three seeds the seeds are fixed: the contrast is about these checkpoints.
    """
    if components.seed_likely and size.is_recipe:
        parts = [_sampling(components.with_seed(seed), size, are_few=True) for seed in components.seed_likely]
        return _mixed(_sampling(replace(components, seed_likely=()), size), parts)
    return _sampling(components, size)


def _sampling(components: VarianceComponents, size: SampleSize, *, are_few: bool = False) -> Sampling | None:
    if not size.is_recipe:
        runs = 1 if components.is_nested else size.seeds * size.subseeds
        spread = sqrt(components.prompt**2 + components.cell**2 / runs)
        prompts = size.prompts * size.seeds if components.is_nested else size.prompts
        return _single(spread / sqrt(prompts), prompts - 1, SINGLE_NODES)
    if components.seed is None:
        return None
    seed = components.seed**2 + components.subseed**2 / size.subseeds
    cell = components.cell**2 / size.subseeds
    if components.is_nested:
        error = sqrt((seed + (components.prompt**2 + cell) / size.prompts) / size.seeds)
        return _single(error, size.seeds - 1, FEW_SINGLE_NODES if are_few else SINGLE_NODES)
    return _crossed((components.prompt**2, seed, cell), size, are_few=are_few)


def _mixed(plain: Sampling | None, parts: list[Sampling | None]) -> Sampling | None:
    """Return the sampling whose estimates are those of ``parts``, one for each likely spread of the seeds."""
    known = [part for part in parts if part is not None]
    if plain is None or not known:
        return plain
    spreads = [part.spreads for part in known if part.spreads is not None]
    joined = None
    if spreads:
        items, runs, residual, added = (
            np.concatenate([getattr(each, name) for each in spreads]) for name in ("items", "runs", "residual", "added")
        )
        joined = Spreads(items, runs, residual, added, spreads[0].items_df, spreads[0].runs_df)
    return Sampling(
        standard_error=plain.standard_error,
        df=plain.df,
        errors=np.concatenate([part.errors for part in known]),
        dfs=np.concatenate([part.dfs for part in known]),
        true_errors=np.concatenate([part.true_errors for part in known]),
        spreads=joined,
    )


def floor(components: VarianceComponents, size: SampleSize) -> float | None:
    """Return the standard error that no number of prompts goes below; ``None`` where it is not known.

    ``seed / sqrt(seeds)``: 0 below three seeds, where the claim is about these checkpoints.
    """
    if not size.is_recipe:
        return 0.0
    if components.seed is None:
        return None
    return sqrt((components.seed**2 + components.subseed**2 / size.subseeds) / size.seeds)


def _single(standard_error: float, df: int, nodes: int) -> Sampling:
    squares = _quantiles(df, nodes)
    dfs, true = (np.full(nodes, value) for value in (float(df), standard_error))
    return Sampling(standard_error, float(df), standard_error * np.sqrt(squares), dfs, true)


def _crossed(variances: tuple[float, float, float], size: SampleSize, *, are_few: bool) -> Sampling:
    """Return the sampling of the crossed estimator from the variances of prompts, seeds and cells.

    The formulas are those of ``crossed.Components``.
    """
    (prompt, seed, cell), num_prompts, num_seeds = variances, size.prompts, size.seeds
    nodes = (FEW_PROMPT_NODES, FEW_SEED_NODES) if are_few else (PROMPT_NODES, SEED_NODES)
    dfs = (num_prompts - 1, num_seeds - 1, (num_prompts - 1) * (num_seeds - 1))
    of_prompts, of_seeds = num_seeds * prompt + cell, num_prompts * seed + cell
    expected = _estimates(np.array([of_prompts]), np.array([of_seeds]), cell, dfs)
    prompts, seeds = np.meshgrid(_quantiles(dfs[0], nodes[0]), _quantiles(dfs[1], nodes[1]))
    prompts, seeds = of_prompts * prompts.ravel(), of_seeds * seeds.ravel()
    squares, estimated = _estimates(prompts, seeds, cell, dfs)
    num = num_prompts * num_seeds
    nothing = np.zeros(len(squares))
    error = float(np.sqrt((of_prompts + of_seeds - cell) / num))
    return Sampling(
        standard_error=error,
        true_errors=nothing + error,
        df=float(expected[1][0]),
        errors=np.sqrt(squares / num),
        dfs=estimated,
        spreads=Spreads(prompts / num, seeds / num, nothing + cell / num, nothing, float(dfs[0]), float(dfs[1])),
    )


def _estimates(prompts: Vector, seeds: Vector, residual: float, dfs: tuple[int, int, int]) -> tuple[Vector, Vector]:
    """Return the estimator's numerator and degrees of freedom for mean squares of prompts, seeds and the residual."""
    numerator = np.maximum(np.maximum(prompts + seeds - residual, prompts), seeds)
    below = prompts**2 / dfs[0] + seeds**2 / dfs[1] + residual**2 / dfs[2]
    return numerator, np.maximum(float(dfs[1]), numerator**2 / below)


@lru_cache(maxsize=4096)
def _quantiles(df: int, num: int) -> Vector:
    """Return ``num`` equally likely values of a chi-square variable over its degrees of freedom, with mean 1."""
    middles = 1 - (np.arange(num) + 0.5) / num
    squares: Vector = special.chdtri(float(df), middles) / df
    scaled: Vector = squares / squares.mean()
    return scaled
