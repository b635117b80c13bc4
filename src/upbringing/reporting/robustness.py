"""What other estimators make of a primary claim, as a small table beside what it rests on."""

from __future__ import annotations

from collections.abc import Iterable

from upbringing.formats.findings import Claim, Robustness
from upbringing.reporting.figure import TableRow
from upbringing.reporting.words import DASH, decimals, interval, signed

ESTIMATORS = {"multi-bootstrap": "Multi-Bootstrap", "glmm": "mixed model"}
COLUMNS = ("estimator", "estimate", "95% interval", "beside this claim")
TITLE = "Other estimators"
WIDENED = "compared before unscored answers widen the interval of this claim"
OTHERWISE = "another estimator says otherwise"


def title_of(claim: Claim) -> str:
    """Return the caption of the table."""
    return f"{TITLE}, {WIDENED}" if claim.bounds else TITLE


def rows_of(claim: Claim) -> tuple[TableRow, ...]:
    """Return the claim's own number as it was judged, and below it those of other estimators; none without them."""
    if not claim.robustness:
        return ()
    own = _row("this claim, as judged", claim.scale, claim.estimate, claim.low, claim.high)
    return (own, *(_other(line) for line in claim.robustness))


def disagreement_of(claim: Claim) -> str:
    """Return that another estimator says otherwise; empty where none does."""
    return OTHERWISE if any(list(_differences(line)) for line in claim.robustness) else ""


def _other(line: Robustness) -> TableRow:
    name = ESTIMATORS.get(line.method, line.method)
    if line.estimate is None:
        return TableRow(name, (DASH, DASH, f"not estimated: {line.reason}"))
    found = _row(name, line.scale, line.estimate, line.low, line.high)
    estimate, limits, _ = found.cells
    if line.df is not None:
        limits = f"{limits} by t, {line.df:.0f} degrees of freedom"
    if line.wald_low is not None:
        limits = f"{limits}; {interval(line.wald_low, line.wald_high)} by Wald"
    return TableRow(found.label, (estimate, limits, _agreement(line)))


def _row(name: str, scale: str, estimate: float | None, low: float | None, high: float | None) -> TableRow:
    places = decimals(max((abs(value) for value in (low, high) if value is not None), default=1.0))
    label = f"{name}, log-odds" if scale == "logit" else name
    return TableRow(label, (signed(estimate, places), interval(low, high, places) or DASH, DASH))


def _agreement(line: Robustness) -> str:
    if differences := list(_differences(line)):
        return f"disagrees: {', '.join(differences)}"
    return "agrees" if line.agrees_excludes_zero else "its own intervals differ on zero"


def _differences(line: Robustness) -> Iterable[str]:
    if line.agrees_sign is False:
        yield "another sign"
    if line.agrees_excludes_zero is False:
        yield "zero seen otherwise"
