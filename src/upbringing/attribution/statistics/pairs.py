"""Two checkpoints, one seed each: discordant prompts, McNemar's mid-p, square-and-add intervals, flips."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray
from scipy import special, stats

from upbringing.attribution.statistics.inference import CONFIDENCE, EQUIVALENCE_CONFIDENCE, Inference
from upbringing.attribution.statistics.levels import wilson

Vector = NDArray[np.float64]
Bounds = tuple[float, float]
MAX_NORMAL = 8.0  # p = 1e-15, below which 1 - p is not told from 1
BISECTIONS = 40


def mcnemar_mid_p(rose: int, fell: int) -> float:
    """Return McNemar's two-sided mid-p from the two discordant counts; 1 when nothing was discordant.

    Source: Fagerland, Lydersen and Laake 2013.
    """
    total = rose + fell
    if total == 0:
        return 1.0
    point = float(stats.binom.pmf(min(rose, fell), total, 0.5))
    if rose == fell:
        return 1.0 - point / 2
    return float(2 * stats.binom.cdf(min(rose, fell), total, 0.5)) - point


def newcombe_interval(counts: tuple[int, int, int, int], confidence: float = CONFIDENCE) -> Bounds:
    """Return the square-and-add interval for the paired difference ``first - second``.

    ``counts``: (both 1, only first 1, only second 1, both 0). Source: Newcombe 1998, method 10, whose
    correlation is corrected for continuity.
    """
    both, first, second, neither = counts
    num = sum(counts)
    rates = ((both + first) / num, (both + second) / num)
    bounds = [wilson(rate, num, confidence) for rate in rates]
    return square_and_add((1.0, -1.0), rates, bounds, _phi(both, first, second, neither))


def _phi(both: int, first: int, second: int, neither: int) -> float:
    """Return the continuity-corrected correlation; 0 where a margin is empty."""
    margins = (both + first) * (second + neither) * (both + second) * (first + neither)
    if margins == 0:
        return 0.0
    cross = float(both * neither - first * second)
    if cross > 0:
        cross = max(cross - sum((both, first, second, neither)) / 2, 0)
    return float(cross / np.sqrt(margins))


def square_and_add(
    weights: Sequence[float], rates: Sequence[float], bounds: Sequence[Bounds], correlation: float = 0.0
) -> Bounds:
    """Return bounds for ``sum of weight x rate`` from the bounds of each rate.

    ``correlation`` is between the two rates of a difference and 0 for anything else, which is conservative for
    paired cells. Source: Newcombe 1998; Zou and Donner 2008 for more than two terms.
    """
    centre = float(np.dot(weights, rates))
    sides = []
    for upward in (False, True):
        arms = np.array(
            [
                weight * ((high - rate) if (weight > 0) == upward else (low - rate))
                for weight, rate, (low, high) in zip(weights, rates, bounds, strict=True)
            ]
        )
        square = float(arms @ arms)
        if correlation and len(arms) == 2:
            square -= 2 * correlation * float(abs(arms[0] * arms[1]))
        sides.append(np.sqrt(max(square, 0.0)))
    return centre - float(sides[0]), centre + float(sides[1])


def paired_binary_inference(first: Vector, second: Vector) -> Inference:
    """Return the artefact-level inference for ``mean(first - second)`` of paired 0/1 values."""
    rose, fell, _ = flips(first, second)
    both = int(((first == 1) & (second == 1)).sum())
    counts = (both, rose, fell, len(first) - both - rose - fell)
    low, high = newcombe_interval(counts)
    low90, high90 = newcombe_interval(counts, EQUIVALENCE_CONFIDENCE)
    return Inference(
        estimate=(rose - fell) / len(first),
        method="McNemar mid-p, Newcombe square-and-add",
        low=low,
        high=high,
        low90=low90,
        high90=high90,
        p=mcnemar_mid_p(rose, fell),
    )


def flips(first: Vector, second: Vector) -> tuple[int, int, int]:
    """Return how many pairs rose (``first > second``), fell and kept their value."""
    rose, fell = int((first > second).sum()), int((first < second).sum())
    return rose, fell, len(first) - rose - fell


def discordance(first: Vector, second: Vector) -> float:
    """Return the chance that one answer of each differs; values are shares of positive answers per prompt."""
    return float((first * (1 - second) + second * (1 - first)).mean())


def repeat_discordance(positives: Vector, repeats: Vector) -> float | None:
    """Return the chance that two answers of one checkpoint to one prompt differ; needs two answers or more."""
    several = repeats > 1
    if not several.any():
        return None
    ones, num = positives[several], repeats[several]
    return float((2 * ones * (num - ones) / (num * (num - 1))).mean())


def rates_inference(estimate: float, weights: Sequence[float], rates: Sequence[float], num_prompts: int) -> Inference:
    """Return an honest interval for a contrast of rates in which nothing varied: their Wilson bounds combined.

    ``num_prompts``: independent prompts behind each rate; seeds that all agree add none. ``p`` is the level at which
    the interval just touches zero.
    """

    def bounds(confidence: float) -> Bounds:
        return square_and_add(weights, rates, [wilson(rate, num_prompts, confidence) for rate in rates])

    (low, high), (low90, high90) = bounds(CONFIDENCE), bounds(EQUIVALENCE_CONFIDENCE)
    return Inference(
        estimate=estimate,
        method="Wilson bounds combined",
        low=low,
        high=high,
        low90=low90,
        high90=high90,
        p=_touching_level(bounds, estimate),
    )


def _touching_level(bounds: Callable[[float], Bounds], estimate: float) -> float:
    """Return 1 - the confidence at which the bound nearest to zero reaches it, by bisection on the normal scale."""
    if estimate == 0:
        return 1.0
    near, far = 0.0, MAX_NORMAL
    for _ in range(BISECTIONS):
        middle = (near + far) / 2
        low, high = bounds(1 - 2 * float(special.ndtr(-middle)))
        near, far = (middle, far) if low > 0 or high < 0 else (near, middle)
    return float(2 * special.ndtr(-near))
