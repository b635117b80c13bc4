"""What a study of a given size will see: the true standard error of a contrast, and how its estimate will scatter.

The estimators are those of ``crossed``: prompts crossed with seeds, seed means where prompts nest in seeds, prompts
alone below three seeds. Their estimated standard errors and degrees of freedom follow from independent mean squares
with chi-square distributions; these are replaced by equally likely quantiles, so nothing is drawn at random.

Source: our own derivation, statistics-and-measures 3.3 and 3.7. Departures: scores are taken to be normal and the
table complete.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from math import sqrt

import numpy as np
from numpy.typing import NDArray
from scipy import special

from upbringing.attribution.design import ENOUGH_UNITS
from upbringing.attribution.far_tail import Spreads
from upbringing.attribution.variance import VarianceComponents
from upbringing.base.errors import FormatError

Vector = NDArray[np.float64]
SEED_NODES, PROMPT_NODES = 60, 7  # quantiles that stand for a mean square; that of the residual hardly scatters
SINGLE_NODES = 400  # where there is one mean square only


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
    """The true ``standard_error`` of a contrast; ``errors`` and ``dfs``: equally likely estimates of it.

    ``df``: Satterthwaite's at the expected mean squares. ``spreads``: what the ``errors`` are made of, where prompts
    and seeds are crossed.
    """

    standard_error: float
    df: float
    errors: Vector
    dfs: Vector
    spreads: Spreads | None = None


@lru_cache(maxsize=1024)  # three tests and many sizes ask for the same
def sampling(components: VarianceComponents, size: SampleSize) -> Sampling | None:
    """Return how the contrast will be estimated; ``None`` where it rests on seeds whose spread is not known.

    Below three seeds the seeds are fixed: the contrast is about these checkpoints.
    """
    if not size.is_recipe:
        runs = 1 if components.is_nested else size.seeds * size.subseeds
        spread = sqrt(components.prompt**2 + components.cell**2 / runs)
        prompts = size.prompts * size.seeds if components.is_nested else size.prompts
        return _single(spread / sqrt(prompts), prompts - 1)
    if components.seed is None:
        return None
    seed = components.seed**2 + components.subseed**2 / size.subseeds
    cell = components.cell**2 / size.subseeds
    if components.is_nested:
        return _single(sqrt((seed + (components.prompt**2 + cell) / size.prompts) / size.seeds), size.seeds - 1)
    return _crossed(components.prompt**2, seed, cell, size.prompts, size.seeds)


def floor(components: VarianceComponents, size: SampleSize) -> float | None:
    """Return the standard error that no number of prompts goes below; ``None`` where it is not known.

    ``seed / sqrt(seeds)``: 0 below three seeds, where the claim is about these checkpoints.
    """
    if not size.is_recipe:
        return 0.0
    if components.seed is None:
        return None
    return sqrt((components.seed**2 + components.subseed**2 / size.subseeds) / size.seeds)


def _single(standard_error: float, df: int) -> Sampling:
    squares = _quantiles(df, SINGLE_NODES)
    return Sampling(standard_error, float(df), standard_error * np.sqrt(squares), np.full(len(squares), float(df)))


def _crossed(prompt: float, seed: float, cell: float, num_prompts: int, num_seeds: int) -> Sampling:
    """Return the sampling of the crossed estimator from variances; the formulas are those of ``crossed.Components``."""
    dfs = (num_prompts - 1, num_seeds - 1, (num_prompts - 1) * (num_seeds - 1))
    of_prompts, of_seeds = num_seeds * prompt + cell, num_prompts * seed + cell
    expected = _estimates(np.array([of_prompts]), np.array([of_seeds]), cell, dfs)
    prompts, seeds = np.meshgrid(_quantiles(dfs[0], PROMPT_NODES), _quantiles(dfs[1], SEED_NODES))
    prompts, seeds = of_prompts * prompts.ravel(), of_seeds * seeds.ravel()
    squares, estimated = _estimates(prompts, seeds, cell, dfs)
    num = num_prompts * num_seeds
    nothing = np.zeros(len(squares))
    return Sampling(
        standard_error=float(np.sqrt((of_prompts + of_seeds - cell) / num)),
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
