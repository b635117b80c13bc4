"""Shares of a total effect, where they are defined; where they are not, the reason."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from markupsafe import Markup

from upbringing.formats.findings import Claim
from upbringing.reporting.chart import Interval
from upbringing.reporting.differences import anchor_of
from upbringing.reporting.forest import ForestRow, forest, forest_axis
from upbringing.reporting.inputs import Inputs
from upbringing.reporting.naming import claim_names
from upbringing.reporting.words import DASH, interval, plain, spanned, verdict_of

MAX_ROWS = 24  # in the picture; the table holds all
UNDEFINED = "undefined"


@dataclass(frozen=True)
class ShareLine:
    """A claim that is a part of a total effect. ``note``: why there is no share, or what qualifies it."""

    label: str
    anchor: str
    share: str
    interval: str
    note: str


@dataclass(frozen=True)
class Shares:
    """All claims for which a share was asked."""

    chart: Markup | None
    lines: tuple[ShareLine, ...]


def shares_of(inputs: Inputs) -> Shares:
    """Return the shares: primary claims first, those that are defined before those that are not."""
    asked = [claim for claim in inputs.findings.claims if claim.share is not None or _reason(claim)]
    claims = sorted(asked, key=lambda claim: (claim.share is None, claim.role != "primary"))
    drawn = [claim for claim in claims if claim.share is not None][:MAX_ROWS]
    names = claim_names(inputs, claims)
    return Shares(_chart(names, drawn) if drawn else None, tuple(_line(names, claim) for claim in claims))


def _reason(claim: Claim) -> str:
    return str(getattr(claim, "share_reason", None) or "")


def _line(names: Mapping[str, str], claim: Claim) -> ShareLine:
    is_known = claim.share is not None
    return ShareLine(
        label=names[claim.id],
        anchor=anchor_of(claim),
        share=plain(claim.share) if is_known else UNDEFINED,
        interval=_interval_text(claim) if is_known else DASH,
        note="; ".join(filter(None, (_reason(claim), _scale(claim), _orders(claim), _pattern(claim)))),
    )


def _interval_text(claim: Claim) -> str:
    return interval(claim.share_low, claim.share_high, difference=False) or "no interval"


def _scale(claim: Claim) -> str:
    return "the ranking of the parts depends on the scale" if getattr(claim, "scale_sensitive", None) else ""


def _orders(claim: Claim) -> str:
    found = getattr(claim, "order_range", None)
    if found is None:
        return ""
    ends = (found["low"], found["high"]) if isinstance(found, dict) else (found.low, found.high)
    return f"effect {spanned(*ends)} over all orders"


def _pattern(claim: Claim) -> str:
    return str(getattr(claim, "pattern", None) or "").replace("-", " ")


def _chart(names: Mapping[str, str], claims: list[Claim]) -> Markup:
    """Return the shares with their intervals; below 0 and above 1 they stand where they are, never clipped."""
    found = [_drawn(claim) for claim in claims]
    rows = [
        ForestRow(
            label=names[claim.id],
            found=each,
            verdict=verdict_of(claim),
            number=f"{plain(claim.share)} {_interval_text(claim)}",
        )
        for claim, each in zip(claims, found, strict=True)
    ]
    axis = forest_axis(min(0.0, *(each.low for each in found)), max(1.0, *(each.high for each in found)))
    return forest(rows, axis, title="Shares of the total effect", unit="share of the total", is_difference=False)


def _drawn(claim: Claim) -> Interval:
    share = claim.share or 0.0
    low = share if claim.share_low is None else claim.share_low
    high = share if claim.share_high is None else claim.share_high
    return Interval(share, low, high)
