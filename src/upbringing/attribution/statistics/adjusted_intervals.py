"""Intervals for several questions at once: by Holm where a margin decides, by Bonferroni where figures are compared."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from upbringing.attribution.statistics.far_tail import quantile, tail
from upbringing.attribution.statistics.inference import CONFIDENCE, normal_quantile, t_quantile
from upbringing.attribution.statistics.multiplicity import PRIMARY_LEVEL, holm
from upbringing.attribution.statistics.risk_ratio import Ratio
from upbringing.formats.findings import Claim, Corrected, Spread


@dataclass(frozen=True)
class Adjusted:
    """An interval at the confidence that Holm leaves its place, and whether it lies wholly beyond the margin.

    ``low`` and ``high`` are ``None`` where the claim has no interval; ``is_beyond`` is false without a margin.
    ``ratio_margin``: of a claim that a ratio of rates decides; then the interval is that of the ratio, and an end is
    ``None`` where no event bounds it.
    """

    low: float | None
    high: float | None
    is_beyond: bool
    ratio_margin: float | None = None


def adjusted_intervals(
    claims: Sequence[Claim], num_asked: int, ratios: Mapping[str, Ratio] | None = None
) -> tuple[Adjusted, ...]:
    """Return the Holm-adjusted interval of each claim. ``num_asked``: questions in the family, unanswered ones too.

    The hypothesis of each place is "the change is at most its margin", at 5% over the family (Holm 1979). The
    claim of rank k from the largest evidence gets the confidence ``1 - 0.05 / (num_asked - k + 1)``. What widened the
    95% interval (answers that could not be scored) widens these too. Where labels correct a claim, its corrected number
    is meant. One question alone keeps its 95% interval. ``ratios``: by id, the ratios of the claims that are held
    against one; the hypothesis of such a claim is "the ratio is at most its margin, either way".
    """
    num = max(num_asked, len(claims))
    by_ratio = [_ratio_of(claim, ratios or {}) for claim in claims]
    known = [
        _p_beyond(claim, num) if ratio is None else ratio.p_beyond(_margin_of(claim), in_family=num > 1)
        for claim, ratio in zip(claims, by_ratio, strict=True)
    ]
    p_values = np.array(known + [1.0] * (num - len(claims)))
    adjusted = holm(p_values)[: len(claims)]
    ranks = np.argsort(np.argsort(p_values, kind="stable"), kind="stable")[: len(claims)]
    return tuple(
        _interval(claim, num, num - int(rank), is_beyond=bool(p <= PRIMARY_LEVEL))
        if ratio is None
        else _ratio_interval(ratio, _margin_of(claim), num, num - int(rank), is_beyond=bool(p <= PRIMARY_LEVEL))
        for claim, ratio, rank, p in zip(claims, by_ratio, ranks, adjusted, strict=True)
    )


def _ratio_of(claim: Claim, ratios: Mapping[str, Ratio]) -> Ratio | None:
    """Return the ratio that decides a claim: none where labels correct its rates, for nothing corrects their ratio."""
    return ratios.get(claim.id) if claim.risk_ratio is not None and claim.corrected is None else None


def _margin_of(claim: Claim) -> float:
    """Return the ratio that a claim is held against."""
    assert claim.risk_ratio is not None
    return claim.risk_ratio.margin


def _ratio_interval(ratio: Ratio, margin: float, num_asked: int, num_left: int, *, is_beyond: bool) -> Adjusted:
    if ratio.limits is None:
        return Adjusted(None, None, False, margin)
    low, high = ratio.limits(1 - PRIMARY_LEVEL / num_left, in_family=num_asked > 1)
    return Adjusted(low, high if math.isfinite(high) else None, is_beyond, margin)


@dataclass(frozen=True)
class Together:
    """An interval that holds, with 95% confidence, together with those of all ``num`` questions of its family."""

    low: float
    high: float
    num: int


def simultaneous_intervals(claims: Iterable[Claim]) -> dict[str, Together]:
    """Return by id the Bonferroni-t interval of every primary claim in a family of two or more.

    Each has the confidence ``1 - 0.05 / num``: statistics-and-measures 3.5, for figures that invite comparing claims.
    The family is the one that Holm corrects: a question that something blocks counts. The quantile is that of the far
    tail, and what widened the 95% interval widens these too. Source: Dunn 1961. Departures: none.
    """
    families: dict[str, list[Claim]] = {}
    for claim in claims:
        if claim.role == "primary" and (claim.p is not None or claim.blocked_by):
            families.setdefault(claim.family, []).append(claim)
    found: dict[str, Together] = {}
    for members in families.values():
        num = len(members)
        for claim in members if num > 1 else ():
            number = claim.corrected or claim
            if number.p is not None and (ends := _at(number, 1 - PRIMARY_LEVEL / num, num)) is not None:
                found[claim.id] = Together(*_possible(claim, number, ends), num)
    return found


def _sides(number: Claim | Corrected) -> tuple[float, float, float, float] | None:
    """Return where the interval begins to widen (downwards, upwards) and its two 95% half-widths."""
    if number.estimate is None or number.low is None or number.high is None:
        return None
    lowest = min(number.bounds.get("low", number.estimate), number.estimate)
    highest = max(number.bounds.get("high", number.estimate), number.estimate)
    return lowest, highest, max(lowest - number.low, 0.0), max(number.high - highest, 0.0)


def _p_beyond(claim: Claim, num_asked: int) -> float:
    """Return the two-sided p-value of "the change is at most the margin": where the interval touches the margin."""
    number = claim.corrected or claim
    sides = _sides(number)
    if sides is None or claim.margin is None:
        return 1.0
    lowest, highest, below, above = sides
    gap, width = max((lowest - claim.margin, below), (-claim.margin - highest, above))
    if gap <= 0 or width <= 0:
        return 1.0
    return 2 * tail(gap / width * _quantile(number.df, CONFIDENCE), number.df, _spread(number, num_asked))


def _interval(claim: Claim, num_asked: int, num_left: int, *, is_beyond: bool) -> Adjusted:
    number = claim.corrected or claim
    ends = _at(number, 1 - PRIMARY_LEVEL / num_left, num_asked)
    return Adjusted(None, None, False) if ends is None else Adjusted(*_possible(claim, number, ends), is_beyond)


def _at(number: Claim | Corrected, confidence: float, num_asked: int) -> tuple[float, float] | None:
    """Return the interval of a number at another confidence; ``None`` where it has none."""
    sides = _sides(number)
    if sides is None:
        return None
    lowest, highest, below, above = sides
    wider = quantile(confidence, number.df, _spread(number, num_asked)) / _quantile(number.df, CONFIDENCE)
    return lowest - below * wider, highest + above * wider


def _possible(claim: Claim, number: Claim | Corrected, ends: tuple[float, float]) -> tuple[float, float]:
    """Return ``ends`` within what rates can differ by, where a cut end of the 95% interval shows it is of rates."""
    lowest = sum(weight for weight in claim.weights.values() if weight < 0)
    highest = sum(weight for weight in claim.weights.values() if weight > 0)
    is_cut = number.low == lowest or number.high == highest
    return (max(ends[0], lowest), min(ends[1], highest)) if is_cut else ends


def _spread(number: Claim | Corrected, num_asked: int) -> Spread | None:
    return number.spread if num_asked > 1 else None


def _quantile(df: float | None, confidence: float) -> float:
    return normal_quantile(confidence) if df is None else t_quantile(df, confidence)
