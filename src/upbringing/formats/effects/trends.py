"""Trends over a dose or a start time: orthogonal polynomial contrasts for levels at any distances.

Source: Draper and Smith 1998, section 22.2. Departures: scaled to the unit of the measure, so that margins apply and
the unit of the dose does not matter.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence

import numpy as np

LINEAR, QUADRATIC = 1, 2
_NUMBER = re.compile(r"[+-]?[0-9]+(\.[0-9]+)?([eE][+-]?[0-9]+)?([%kMBT]?)")
_SCALES = {"": 1.0, "%": 0.01, "k": 1e3, "M": 1e6, "B": 1e9, "T": 1e12}


def trend(levels: Sequence[float], degree: int) -> tuple[float, ...]:
    """Return one weight per level, in the order given, for the trend of ``degree`` over the levels.

    Linear (1): how far the least-squares line rises from the lowest level to the highest. Quadratic (2): how far the
    least-squares parabola at the two outermost levels lies, on average, above its value half-way between them.

    Raises ``ValueError`` for fewer than ``degree + 1`` distinct levels, levels that repeat or are not finite.
    """
    places = np.asarray(levels, dtype=np.float64)
    if degree not in (LINEAR, QUADRATIC):
        raise ValueError(f"a trend is linear (1) or quadratic (2), found degree {degree}")
    if not np.isfinite(places).all() or len(set(places.tolist())) < len(places):
        raise ValueError(f"the levels of a trend must be finite and distinct, found {list(levels)}")
    if len(places) <= degree:
        raise ValueError(f"a trend of degree {degree} needs {degree + 1} levels or more, found {len(places)}")
    scaled = (places - (places.min() + places.max()) / 2) / ((places.max() - places.min()) / 2)  # ends at -1 and 1
    polynomial = scaled - scaled.mean()
    if degree == QUADRATIC:
        square = scaled**2
        polynomial = square - square.mean() - (square @ polynomial) / (polynomial @ polynomial) * polynomial
    weights = polynomial / (polynomial @ polynomial)
    return tuple((weights * (2.0 if degree == LINEAR else 1.0)).tolist())


def number_of(level: str) -> float | None:
    """Return the number that a level's name is (``0.2``, ``20%``, ``2M``), or ``None`` when it is a word."""
    found = _NUMBER.fullmatch(level)
    if found is None:
        return None
    suffix = found.group(3)
    number = float(level.removesuffix(suffix)) * _SCALES[suffix]
    return number if math.isfinite(number) else None
