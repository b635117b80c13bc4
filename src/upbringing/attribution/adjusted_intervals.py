"""Intervals corrected by Holm for several questions that a margin decides."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from upbringing.attribution.far_tail import quantile, tail
from upbringing.attribution.inference import CONFIDENCE, normal_quantile, t_quantile
from upbringing.attribution.multiplicity import PRIMARY_LEVEL, holm
from upbringing.formats.findings import Claim


@dataclass(frozen=True)
class Adjusted:
    """An interval at the confidence that Holm leaves its place, and whether it lies wholly beyond the margin.

    ``low`` and ``high`` are ``None`` where the claim has no interval; ``is_beyond`` is false without a margin.
    """

    low: float | None
    high: float | None
    is_beyond: bool


def adjusted_intervals(claims: Sequence[Claim], num_asked: int) -> tuple[Adjusted, ...]:
    """Return the Holm-adjusted interval of each claim. ``num_asked``: questions in the family, unanswered ones too.

    The hypothesis of each place is "the change is at most its margin", at 5% over the family (Holm 1979). The
    claim of rank k from the largest evidence gets the confidence ``1 - 0.05 / (num_asked - k + 1)``. What widened the
    95% interval (answers that could not be scored) widens these too.
    """
    unanswered = max(num_asked - len(claims), 0)
    p_values = np.array([_p_beyond(claim) for claim in claims] + [1.0] * unanswered)
    adjusted = holm(p_values)[: len(claims)]
    ranks = np.argsort(np.argsort(p_values, kind="stable"), kind="stable")[: len(claims)]
    return tuple(
        _interval(claim, len(p_values) - int(rank), is_beyond=bool(p <= PRIMARY_LEVEL))
        for claim, rank, p in zip(claims, ranks, adjusted, strict=True)
    )


def _sides(claim: Claim) -> tuple[float, float, float, float] | None:
    """Return where the interval begins to widen (downwards, upwards) and its two 95% half-widths."""
    if claim.estimate is None or claim.low is None or claim.high is None:
        return None
    lowest = min(claim.bounds.get("low", claim.estimate), claim.estimate)
    highest = max(claim.bounds.get("high", claim.estimate), claim.estimate)
    return lowest, highest, max(lowest - claim.low, 0.0), max(claim.high - highest, 0.0)


def _p_beyond(claim: Claim) -> float:
    """Return the two-sided p-value of "the change is at most the margin": where the interval touches the margin."""
    sides = _sides(claim)
    if sides is None or claim.margin is None:
        return 1.0
    lowest, highest, below, above = sides
    gap, width = max((lowest - claim.margin, below), (-claim.margin - highest, above))
    if gap <= 0 or width <= 0:
        return 1.0
    return 2 * tail(gap / width * _quantile(claim.df, CONFIDENCE), claim.df, claim.spread)


def _interval(claim: Claim, num_left: int, *, is_beyond: bool) -> Adjusted:
    sides = _sides(claim)
    if sides is None:
        return Adjusted(None, None, False)
    lowest, highest, below, above = sides
    confidence = 1 - PRIMARY_LEVEL / num_left
    wider = quantile(confidence, claim.df, claim.spread) / _quantile(claim.df, CONFIDENCE)
    return Adjusted(lowest - below * wider, highest + above * wider, is_beyond)


def _quantile(df: float | None, confidence: float) -> float:
    return normal_quantile(confidence) if df is None else t_quantile(df, confidence)
