"""The core estimator: prompts crossed with seeds (recipe level), and what remains of it with one seed.

Source: our own derivation, statistics-and-measures section 3.3: two-way (Cameron, Gelbach and Miller) variance
components with a Satterthwaite degree-of-freedom correction and a floor. Departures: cells of the table that
were not observed are left out of every sum; the complete table gives the formulas of that section exactly.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from upbringing.attribution.statistics.inference import Inference, t_inference
from upbringing.formats.findings import Spread

Matrix = NDArray[np.float64]
NEGLIGIBLE_VARIANCE = 1e-24  # variances below are rounding of identical values of order 1


@dataclass(frozen=True)
class Components:
    """Mean squares of a seeds x prompts table. ``num_scores`` is the number of observed cells."""

    mean: float
    items: float
    seeds: float
    residual: float
    num_items: int
    num_seeds: int
    num_scores: int
    residual_df: int

    @property
    def numerator(self) -> float:
        """``max(MSI + MSS - MSE, MSI, MSS)``: never below either one-way variance."""
        return max(self.items + self.seeds - self.residual, self.items, self.seeds)

    @property
    def variance(self) -> float:
        """Squared standard error of the mean."""
        return self.numerator / self.num_scores

    @property
    def df(self) -> float:
        """Satterthwaite degrees of freedom, at least the number of seeds less one."""
        below = self.items**2 / (self.num_items - 1) + self.seeds**2 / (self.num_seeds - 1)
        if self.residual_df > 0:
            below += self.residual**2 / self.residual_df
        floor = float(self.num_seeds - 1)
        return max(floor, self.numerator**2 / below) if below > 0 else floor

    @property
    def spread(self) -> Spread:
        """What the squared standard error is made of."""
        return Spread(
            items=self.items / self.num_scores,
            runs=self.seeds / self.num_scores,
            residual=self.residual / self.num_scores,
            items_df=self.num_items - 1.0,
            runs_df=self.num_seeds - 1.0,
        )

    @property
    def sampled_df(self) -> float:
        """``df`` of a contrast that some labels corrected: the prompts' where runs show no spread of their own.

        That is where the runs' mean square is within the residual's, so that the numerator is the prompts' alone. The
        noise of labels fills the residual, which makes this frequent; ``df`` would take the runs' mean square for part
        of the numerator, and intervals of 95% would hold 97 to 98%.
        """
        is_prompts_alone = self.seeds <= self.residual and self.numerator == self.items
        return float(self.num_items - 1) if is_prompts_alone else self.df


def components(table: Matrix) -> Components:
    """Return the mean squares of ``table`` (seeds, prompts), NaN where not observed; at least 2 x 2."""
    seen = ~np.isnan(table)
    if not seen.all():
        inside = np.ix_(seen.any(axis=1), seen.any(axis=0))
        table, seen = table[inside], seen[inside]
    num_seeds, num_items = table.shape
    num_scores = int(seen.sum())
    mean = float(table[seen].sum() / num_scores)
    deviation = np.where(seen, table - mean, 0.0)
    by_item, by_seed = deviation.sum(axis=0), deviation.sum(axis=1)
    # in the complete table: sum over items of (S x (item mean - mean))^2 / (S (N-1)) = S x variance of item means
    items = float(by_item @ by_item) / num_scores * num_items / (num_items - 1)
    seeds = float(by_seed @ by_seed) / num_scores * num_seeds / (num_seeds - 1)
    residual_df = num_scores - num_items - num_seeds + 1
    residual = _residual_square(deviation, seen) / residual_df if residual_df > 0 else 0.0
    return Components(mean, items, seeds, residual, num_items, num_seeds, num_scores, max(residual_df, 0))


def _residual_square(deviation: Matrix, seen: NDArray[np.bool_]) -> float:
    """Return the residual sum of squares of the additive (seed + prompt) least-squares fit."""
    if seen.all():
        rest = deviation - deviation.mean(axis=0) - deviation.mean(axis=1)[:, None]
        return float((rest**2).sum())
    weight = seen.astype(np.float64)
    per_item, per_seed = weight.sum(axis=0), weight.sum(axis=1)
    # prompts are eliminated first: the reduced system has one unknown per seed and rank seeds - 1
    reduced = np.diag(per_seed) - (weight / per_item) @ weight.T
    right = deviation.sum(axis=1) - (weight / per_item) @ deviation.sum(axis=0)
    seed_effect = np.linalg.lstsq(reduced, right, rcond=None)[0]
    item_effect = (deviation.sum(axis=0) - seed_effect @ weight) / per_item
    rest = np.where(seen, deviation - seed_effect[:, None] - item_effect, 0.0)
    return float((rest**2).sum())


def crossed_inference(table: Matrix, *, is_sampled: bool = False) -> Inference:
    """Return the recipe-level inference for the mean of ``table`` (seeds, prompts); needs 2 x 2 or more.

    ``is_sampled``: the values carry the noise of drawing the labels that corrected them (``Components.sampled_df``).
    """
    found = components(table)
    return inference_of(found, found.sampled_df if is_sampled else found.df)


def inference_of(found: Components, df: float | None = None) -> Inference:
    """Return the recipe-level inference from mean squares. ``df``: those of ``found`` unless given."""
    standard_error = float(np.sqrt(found.variance)) if found.variance > NEGLIGIBLE_VARIANCE else 0.0
    df = found.df if df is None else df
    return t_inference(found.mean, standard_error, df, "crossed prompts x seeds", found.spread)


@dataclass(frozen=True)
class CombinedComponents:
    """The mean squares of all weighted sums of two tables that miss the same cells: quadratic forms of the weights.

    ``both``: of their sum; ``apart``: of first - second.
    """

    first: Components
    second: Components
    both: Components
    apart: Components

    def at(self, one: float, other: float) -> Components:
        """Return the components of ``one x first + other x second``."""

        def square(name: str) -> float:
            cross = (getattr(self.both, name) - getattr(self.apart, name)) / 4
            own = one**2 * getattr(self.first, name) + other**2 * getattr(self.second, name)
            return float(max(own + 2 * one * other * cross, 0.0))

        return replace(
            self.first,
            mean=one * self.first.mean + other * self.second.mean,
            items=square("items"),
            seeds=square("seeds"),
            residual=square("residual"),
        )


def combined_components(first: Matrix, second: Matrix) -> CombinedComponents:
    """Return the mean squares of every weighted sum of two tables (seeds, prompts) that miss the same cells."""
    return CombinedComponents(
        components(first), components(second), components(first + second), components(first - second)
    )


def are_nested(table: Matrix) -> bool:
    """Return whether no prompt was seen under two seeds (each root seed has its own world)."""
    return bool((~np.isnan(table)).sum(axis=0).max(initial=0) <= 1)


def is_spread_unseen(table: Matrix) -> bool:
    """Return whether prompts are nested in several seeds whose means coincide, so that seeds show no spread at all."""
    seen = ~np.isnan(table)
    means = np.nanmean(table[seen.any(axis=1)], axis=1) if seen.any() else np.zeros(0)
    return len(means) > 1 and are_nested(table) and float(means.var()) <= NEGLIGIBLE_VARIANCE


def seed_means_inference(table: Matrix) -> Inference:
    """Return the inference over seed means, t with S-1 degrees of freedom, for prompts nested in seeds.

    Where the seed means coincide exactly, the spread of prompts inside the seeds stands in for it.
    """
    table = table[(~np.isnan(table)).any(axis=1)]  # a unit that shares no prompt with the others says nothing
    means = np.nanmean(table, axis=1)
    num_seeds = len(means)
    variance = float(means.var(ddof=1)) / num_seeds if num_seeds > 1 else 0.0
    if variance <= NEGLIGIBLE_VARIANCE:
        counts = (~np.isnan(table)).sum(axis=1)
        inside = np.where(counts > 1, np.nanvar(table, axis=1) / np.maximum(counts - 1, 1), 0.0)
        variance = float(inside.sum()) / num_seeds**2
    standard_error = float(np.sqrt(variance)) if variance > NEGLIGIBLE_VARIANCE else 0.0
    return t_inference(float(means.mean()), standard_error, num_seeds - 1.0, "seed means")


def prompts_inference(values: NDArray[np.float64]) -> Inference:
    """Return the artefact-level inference: t over prompt clusters, these checkpoints fixed."""
    values = values[~np.isnan(values)]
    num = len(values)
    variance = float(values.var(ddof=1)) / num if num > 1 else 0.0
    standard_error = float(np.sqrt(variance)) if variance > NEGLIGIBLE_VARIANCE else 0.0
    return t_inference(float(values.mean()), standard_error, num - 1.0, "prompt clusters")
