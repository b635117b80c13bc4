"""Ratios of two contrasts by test inversion: every ratio that the contrast's own test does not reject.

Source: Fieller 1954; von Luxburg and Franz 2009 for the geometry of the sets. Departures: the test is that of the
crossed estimator, whose standard error and degrees of freedom change with the ratio, so the set is found numerically;
where answers were unscored, the test is widened as every other interval is.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy import optimize

from upbringing.attribution.contrasts.cell_tables import CellTables, Vector
from upbringing.attribution.contrasts.estimates import Ends, over_units
from upbringing.attribution.evidence.design import Units
from upbringing.attribution.evidence.pivot import Matrix
from upbringing.attribution.statistics.crossed import are_nested, combined_components, inference_of
from upbringing.attribution.statistics.equivalence import excludes_zero, widened
from upbringing.attribution.statistics.inference import Inference

ANGLES = 60  # directions tried for the edges of the set, before they are found exactly
ANGLE_TOLERANCE = 1e-13

Combined = Callable[[float, float], Inference]
"""The inference for ``one x numerator + other x denominator``."""
Bounds = Callable[[float, float], Ends]
"""The lowest and highest of the same."""


@dataclass(frozen=True)
class Ratio:
    """A ratio and its 95% set. ``low`` and ``high`` are ``None`` for a set without bounds, or without an interval.

    ``denominator``: its own inference.
    """

    value: float | None
    low: float | None
    high: float | None
    denominator: Inference


def ratio(tables: CellTables, numerator: Vector, denominator: Vector) -> Ratio:
    """Return numerator / denominator (weights on the cells of ``tables``) with all ratios that its test allows."""
    return ratio_of(_combined(tables, numerator, denominator))


def ratio_of(combined: Combined) -> Ratio:
    """Return the ratio of two contrasts with all ratios that the test of their weighted sums allows."""
    below = combined(0.0, 1.0)
    if not excludes_zero(below):  # then any ratio, however large, passes the test
        return Ratio(None, None, None, below)
    estimate = combined(1.0, 0.0).estimate / below.estimate
    at = math.atan(estimate)
    if combined(math.cos(at), -math.sin(at)).low is None:  # nothing varied around the ratio itself
        return Ratio(estimate, None, None, below)

    def excess(angle: float) -> float:
        """Return how far the interval of numerator - tan(angle) x denominator lies from zero; negative inside."""
        found = combined(math.cos(angle), -math.sin(angle))
        if found.low is None or found.high is None:
            return abs(found.estimate)
        return max(found.low, -found.high)

    low, high = _edges(excess, at)
    return Ratio(estimate, low, high, below)


def _edges(excess: Callable[[float], float], at: float) -> tuple[float, float]:
    """Return the outermost ratios that are not rejected; ``at``: the angle of the estimate, which never is."""
    grid = [float(angle) for angle in np.linspace(-math.pi / 2, math.pi / 2, ANGLES + 1)]
    inside = [angle for angle in grid[1:-1] if excess(angle) <= 0] + [at]
    first, last = min(inside), max(inside)
    outer_left = max(angle for angle in grid if angle < first)
    outer_right = min(angle for angle in grid if angle > last)
    low, high = (
        math.tan(optimize.brentq(excess, outer, inner, xtol=ANGLE_TOLERANCE))
        for outer, inner in ((outer_left, first), (outer_right, last))
    )
    return low, high


def _combined(tables: CellTables, numerator: Vector, denominator: Vector) -> Combined:
    """Return the test of every weighted sum of the two, the same as for any other contrast of these cells."""
    one, other = tables.contrast(numerator), tables.contrast(denominator)
    return combined_of(
        tables.units,
        one,
        other,
        lambda first, second: tables.bounds(first * numerator + second * denominator),
    )


def combined_of(units: Units, one: Matrix, other: Matrix, bounds: Bounds) -> Combined:
    """Return the test of every weighted sum of two tables (units, clusters) that miss the same places.

    ``bounds``: the lowest and highest value of a weighted sum, wherever unscored answers may lie.
    """
    seen = ~np.isnan(one).all(axis=1)
    one, other = one[seen], other[seen]
    is_crossed = units.estimand != "artefact" and len(one) > 1 and not are_nested(one)
    squares = None
    if is_crossed and (~np.isnan(one)).any(axis=0).sum() > 1:
        squares = combined_components(one, other)  # one computation for all ratios

    def combined(first: float, second: float) -> Inference:
        found = (
            over_units(units, first * one + second * other)
            if squares is None
            else inference_of(squares.at(first, second))
        )
        return widened(found, *bounds(first, second))

    return combined
