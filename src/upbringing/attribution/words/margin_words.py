"""The words for what a claim was held against: a margin in its unit, a ratio of rates, a default, or nothing."""

from __future__ import annotations

import math
from collections.abc import Iterable

from upbringing.formats.findings import Claim
from upbringing.formats.tree import ContrastSpec

UNBOUNDED = "no bound"
DEFAULT = "its margin is the default ({rule}), none was declared for it"
NO_MARGIN = "no margin: {reason}"
UNCORRECTED = "labels correct rates and not their ratio, so that no likeness is tested"


def size_of_margin(claim: Claim) -> str:
    """Return the margin as a sentence names it."""
    if claim.risk_ratio is not None:
        return f"a risk ratio of {claim.risk_ratio.margin:g}"
    return "?" if claim.margin is None else f"{claim.margin:g}"


def margin_of_spec(spec: ContrastSpec) -> str:
    """Return what a contrast is held against, and whether that is a default: "the default margin of 0.05 (strict)"."""
    default, rule = ("", "") if spec.margin_default is None else ("default ", f" ({spec.margin_default})")
    if spec.ratio_margin is not None:
        return f"the {default}risk ratio of {spec.ratio_margin:g}{rule}"
    return f"the {default}margin of {spec.margin:g}{rule}"


def named_margin(claim: Claim) -> str:
    """Return what a change was held against: its margin, or its ratio."""
    return size_of_margin(claim) if claim.risk_ratio is not None else f"its margin of {size_of_margin(claim)}"


def rounded_up(value: float) -> float:
    """Return ``value`` at two decimals, never below itself: likeness is not claimed within less than was shown."""
    return math.ceil(value * 100 - 1e-9) / 100


def radius(claim: Claim) -> str:
    """Return from where on the claim would hold: "margin above 0.05", or the same of a ratio."""
    if claim.risk_ratio is not None:
        found = claim.risk_ratio.radius
        return f"ratio above {_end(None if found is None else rounded_up(found))}"
    return f"margin above {'?' if claim.equivalence_radius is None else f'{rounded_up(claim.equivalence_radius):.2f}'}"


def ratio_words(claim: Claim) -> str:
    """Return the ratio of rates with its interval, and whose it is; empty without one."""
    found = claim.risk_ratio
    if found is None:
        return ""
    if found.reason:
        return f"no risk ratio: {found.reason}"
    size = "undefined" if found.estimate is None else f"{found.estimate:.2f}"
    words = f"risk ratio {size} [{_end(found.low)}, {_end(found.high)}]"
    return words if claim.corrected is None else f"{words} as judged; {UNCORRECTED}"


def margin_words(claim: Claim) -> Iterable[str]:
    """Yield where the margin is from, unless it was declared for the measure."""
    if claim.margin_default is not None:
        yield DEFAULT.format(rule=claim.margin_default)
    if claim.no_margin:
        yield NO_MARGIN.format(reason=claim.no_margin)


def _end(value: float | None) -> str:
    return UNBOUNDED if value is None else f"{value:.2f}"
