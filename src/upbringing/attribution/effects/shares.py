"""Shares of a total effect, where they are defined: never clipped, never made to sum to one, on both scales."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from upbringing.attribution.contrasts.cell_tables import CellTables, Vector, cell_tables, in_log_odds
from upbringing.attribution.contrasts.fieller import Ratio, ratio
from upbringing.attribution.evidence.cells import Evidence, Source
from upbringing.attribution.evidence.design import Design
from upbringing.attribution.statistics.unpaired import RUNS_APART
from upbringing.attribution.validity.validity import Validity
from upbringing.attribution.words.sentences import (
    LEFT_OUT,
    NEAR_LIMIT,
    NO_LOG_ODDS,
    NO_SPREAD,
    NOT_MEASURED,
    SHARE_AS_JUDGED,
    TOTAL_NOT_FOUND,
    TOTAL_WITHIN_MARGIN,
)
from upbringing.formats.tree import ContrastSpec

FLOOR, CEILING = 0.03, 0.97  # beyond these a difference of rates says more about the limit than about the stage
SMALL_TOTAL_EFFECT = 0.5  # of a rate; below it shares are imprecise with any affordable number of prompts and seeds


@dataclass(frozen=True)
class Share:
    """A share with its 95% set; ``reason`` says why there is none. ``total``: the estimate it is a share of."""

    value: float | None = None
    low: float | None = None
    high: float | None = None
    reason: str | None = None
    total: float | None = None


@dataclass(frozen=True)
class Shares:
    """A share on the natural scale and, for rates, in log-odds."""

    natural: Share
    log_odds: Share | None


@dataclass(frozen=True)
class Asked:
    """Which share: ``part`` of ``whole`` (weights of cells), on the scale of the claim and beyond its margin."""

    part: Mapping[str, float]
    whole: Mapping[str, float]
    margin: float | None = None
    scale: str = "natural"


def asked_of(spec: ContrastSpec) -> Asked:
    """Return the share that a contrast asks for."""
    return Asked(spec.weights, spec.share_of, spec.margin, spec.scale)


def shares(evidence: Evidence, design: Design, validity: Validity, source: Source, asked: Asked) -> Shares:
    """Return the share of a contrast in a total, by inverting the test of ``part - share x whole``.

    A share is defined only where the total's 95% interval leaves out zero and the total exceeds the margin; rates near
    0 or 1 have none on the natural scale, edited weights none unless they are shown to predict retrained branches.
    """
    cells = tuple(dict.fromkeys((*asked.part, *asked.whole)))
    left_out = dict.fromkeys(cell.partition("@")[0] for cell in cells if cell not in design.cells)
    if left_out:
        return Shares(Share(reason=LEFT_OUT.format(arms=", ".join(left_out))), None)
    if (barred := validity.no_share(cells, source)) is not None:
        return Shares(Share(reason=barred), None)
    reasons = validity.reasons((cell, source) for cell in cells)
    tables = None if reasons else cell_tables(evidence, design, cells, source)
    if tables is None:
        return Shares(Share(reason=reasons[0].text if reasons else NOT_MEASURED), None)
    if tables.units.runs:
        return Shares(Share(reason=RUNS_APART), None)
    is_rate = evidence.is_share(source.measure)
    part, whole = tables.vector(asked.part), tables.vector(asked.whole)
    is_logit = asked.scale == "logit"
    natural = share_in(tables, part, whole, None if is_logit else asked.margin, is_rate=is_rate)
    log_odds = _of_log_odds(tables, part, whole, asked.margin if is_logit else None) if is_rate else None
    return Shares(natural, log_odds)


def share_in(tables: CellTables, part: Vector, whole: Vector, margin: float | None, *, is_rate: bool) -> Share:
    """Return the share on the natural scale; ``part`` and ``whole`` are weights on the cells of ``tables``."""
    found = _share(tables, part, whole, margin)
    if is_rate and ((tables.means < FLOOR) | (tables.means > CEILING)).any():
        near = NEAR_LIMIT.format(floor=FLOOR, ceiling=CEILING)
        return Share(reason=found.reason or near, total=found.total)
    return found


def _of_log_odds(tables: CellTables, part: Vector, whole: Vector, margin: float | None) -> Share:
    moved = in_log_odds(tables)
    return Share(reason=NO_LOG_ODDS) if moved is None else _share(moved, part, whole, margin)


def _share(tables: CellTables, part: Vector, whole: Vector, margin: float | None) -> Share:
    found = ratio(tables, part, whole)
    reason = _why_undefined(found, margin)
    total = None if found.value is None else found.denominator.estimate
    return Share(reason=reason, total=total) if reason else Share(found.value, found.low, found.high, None, total)


def _why_undefined(found: Ratio, margin: float | None) -> str | None:
    if found.denominator.low is None:
        return NO_SPREAD
    if found.value is None:
        return TOTAL_NOT_FOUND
    if margin is not None and abs(found.denominator.estimate) <= margin:
        return TOTAL_WITHIN_MARGIN.format(margin=f"{margin:g}")
    return NO_SPREAD if found.low is None else None


def share_fields(found: Shares | None, asked: Asked) -> dict[str, Any]:
    """Return the fields of a claim that its share fills, on the scale of the claim; the other scale stands beside."""
    if found is None:
        return {}
    is_logit = asked.scale == "logit" and found.log_odds is not None
    own = found.log_odds if is_logit and found.log_odds is not None else found.natural
    return {
        "share": own.value,
        "share_low": own.low,
        "share_high": own.high,
        "share_reason": own.reason,
        "share_of": dict(asked.whole),
        "share_total": own.total,
    }


def blanked(fields: dict[str, Any], reason: str = SHARE_AS_JUDGED) -> dict[str, Any]:
    """Return ``fields`` of a claim without what rests on verdicts as judged: share (for this ``reason``), order range,
    pattern."""
    parts: dict[str, Any] = {"pattern": None, "order_range": None}
    if fields.get("share_of"):
        parts |= {"share": None, "share_low": None, "share_high": None, "share_reason": reason}
    other = fields["other_scale"]
    return {**fields, **parts, "other_scale": {name: other[name] for name in other if not name.startswith("share")}}


def other_share(found: Shares | None, scale: str) -> dict[str, Any]:
    """Return the share on the scale that the claim is not on, as fields of ``other_scale``; empty if there is none."""
    if found is None or found.log_odds is None:
        return {}
    name, other = ("natural", found.natural) if scale == "logit" else ("logit", found.log_odds)
    return {
        "scale": name,
        "share": other.value,
        "share_low": other.low,
        "share_high": other.high,
        "share_reason": other.reason,
    }


def is_scale_sensitive(estimates: Sequence[tuple[float, float]]) -> bool:
    """Return whether contributions (natural, log-odds) to one total rank differently on the two scales."""
    ranks = [sorted(range(len(estimates)), key=lambda index: estimates[index][scale]) for scale in (0, 1)]
    return ranks[0] != ranks[1]
