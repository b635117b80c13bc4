"""The number of a claim or a level that decides: corrected by people's labels where it was, else as judged."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from upbringing.formats.findings import Claim
from upbringing.reporting.chart import Interval
from upbringing.reporting.words import interval, plain, several, signed

Limits = tuple[float | None, float | None, float | None]
"""Estimate, low, high."""


@dataclass(frozen=True)
class Deciding:
    """An estimate with its interval. ``judged``: the same as the judge has it, where labels corrected it."""

    estimate: float | None
    low: float | None
    high: float | None
    judged: Limits | None = None

    def drawn(self, seeds: tuple[float, ...]) -> Interval | None:
        """Return it for a chart; ``None`` without a number. ``seeds``: single runs, which are always as judged."""
        if self.estimate is None:
            return None
        low, high = _ends(self.estimate, self.low, self.high)
        judged = None
        if self.judged is not None and self.judged[0] is not None:
            judged = (self.judged[0], *_ends(*self.judged))
        return Interval(self.estimate, low, high, seeds, judged)


def _ends(estimate: float | None, low: float | None, high: float | None) -> tuple[float, float]:
    assert estimate is not None
    return estimate if low is None else low, estimate if high is None else high


def of_claim(claim: Claim) -> Deciding:
    """Return the number that decides a claim."""
    judged = (claim.estimate, claim.low, claim.high)
    found = claim.corrected
    return Deciding(*judged) if found is None else Deciding(found.estimate, found.low, found.high, judged)


def of_level(row: Mapping[str, Any]) -> Deciding:
    """Return the number of a line of the table of levels: its corrected rate where labels allow one."""
    judged = (number(row.get("estimate")), number(row.get("low")), number(row.get("high")))
    corrected = number(row.get("corrected"))
    if corrected is None:
        return Deciding(*judged)
    return Deciding(corrected, number(row.get("corrected_low")), number(row.get("corrected_high")), judged)


def number(value: object) -> float | None:
    """Return a value of a table as a number; ``None`` for anything else."""
    return float(value) if isinstance(value, int | float) else None


def correction_of(claim: Claim) -> str:
    """Return by what a claim was corrected and what stood there before; why it was not; or nothing."""
    found = claim.corrected
    if found is not None:
        some = "" if found.seeds == claim.units.seeds else f" on {found.seeds} of {claim.units.seeds} seeds"
        judged = f"{signed(claim.estimate)} {interval(claim.low, claim.high)}".strip()
        return f"corrected by {several(found.labels, 'human label')}{some}; as judged {judged}"
    if claim.uncorrected is not None:
        return f"not corrected for the judge's errors: {claim.uncorrected}"
    if claim.error_gap is not None:
        return f"no human label shows how this judge errs: the interval allows for a gap of {claim.error_gap:.2f}"
    return "no human label calibrates this judge" if claim.calibration == "uncalibrated" else ""


def judged_text(found: Interval, places: int, *, difference: bool) -> str:
    """Return what the judge alone says, where labels corrected it; else nothing."""
    if found.judged is None:
        return ""
    estimate, low, high = found.judged
    value = signed(estimate, places) if difference else plain(estimate, places)
    return f"corrected by human labels; as judged {value} {interval(low, high, places, difference=difference)}"
