"""Rates with Wilson intervals, weighted where labels were drawn with unequal probabilities."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import NormalDist

DEFAULT_CONFIDENCE = 0.95


@dataclass(frozen=True)
class Rate:
    """A share with its interval. ``share``, ``low``, ``high`` are ``None`` where nothing was counted.

    ``effective``: the number of equally weighted cases that carry as much (Kish); ``num``: cases counted.
    """

    share: float | None
    low: float | None
    high: float | None
    num: int
    effective: float


def wilson(share: float, num: float, confidence: float = DEFAULT_CONFIDENCE) -> tuple[float, float]:
    """Return the Wilson interval of ``share`` in ``num`` (may be effective) trials; ``num`` is positive.

    Source: Wilson 1927. Departures: none.
    """
    z = NormalDist().inv_cdf(0.5 + confidence / 2)
    centre = (share + z * z / (2 * num)) / (1 + z * z / num)
    half = z / (1 + z * z / num) * math.sqrt(share * (1 - share) / num + z * z / (4 * num * num))
    return max(0.0, centre - half), min(1.0, centre + half)


def rate(hits: Sequence[bool], weights: Sequence[float] | None = None, confidence: float = DEFAULT_CONFIDENCE) -> Rate:
    """Return the weighted share of ``hits``. ``weights`` are inverse sampling probabilities, ``None`` = equal.

    With unequal weights the interval uses Kish's effective number, an approximation.
    """
    given = [1.0] * len(hits) if weights is None else list(weights)
    total = sum(given)
    if not hits or total <= 0:
        return Rate(None, None, None, len(hits), 0.0)
    share = sum(weight for hit, weight in zip(hits, given, strict=True) if hit) / total
    effective = total * total / sum(weight * weight for weight in given)
    low, high = wilson(share, effective, confidence)
    return Rate(share, low, high, len(hits), effective)
