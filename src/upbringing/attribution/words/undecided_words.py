"""Why a claim is not decided, in words: what forbids a verdict, and what its test could have found."""

from __future__ import annotations

from upbringing.attribution.evidence.cells import SHARE_UNITS
from upbringing.formats.findings import Claim

CORRECTED = "it leaves out zero alone, but not corrected for everything that was asked"
SIGN_UNCERTAIN = "its sign depends on the answers that could not be scored"
SIGN_BY_JUDGE = "its sign depends on how far the errors of its judge differ"
SIGN_BY_BOTH = "its sign depends on how far the errors of its judge differ, and on answers that could not be scored"
WOULD_BE_FOUND = "a change of {size:.2f} would be found with 80% power"
NOT_EVEN_THE_LARGEST = "not even the largest change of rates there can be would be found with 80% power"


def why_undecided(claim: Claim) -> list[str]:
    """Return the reasons why a claim is not decided, and the change that its test would find."""
    reasons = list(claim.blocked_by)
    low, high = (claim.low, claim.high) if claim.corrected is None else (claim.corrected.low, claim.corrected.high)
    if not reasons and low is not None and high is not None and (low > 0 or high < 0):
        reasons.append(CORRECTED)
    if claim.bounds and claim.bounds["low"] < 0 < claim.bounds["high"]:
        reasons.append(sign_uncertain(claim))
    if claim.minimum_detectable is not None:
        reasons.append(_would_be_found(claim, claim.minimum_detectable))
    return reasons


def sign_uncertain(claim: Claim) -> str:
    """Return on what the sign of a claim depends whose bounds hold zero: the unscored, the judge, or both."""
    if claim.error_gap is None:
        return SIGN_UNCERTAIN
    return SIGN_BY_BOTH if claim.unscored else SIGN_BY_JUDGE


def _would_be_found(claim: Claim, size: float) -> str:
    """Return what the test would find: of rates never more than they can differ by."""
    most = sum(weight for weight in claim.weights.values() if weight > 0)
    is_of_rates = claim.unit in SHARE_UNITS and claim.scale == "natural" and claim.weights
    return NOT_EVEN_THE_LARGEST if is_of_rates and size > most else WOULD_BE_FOUND.format(size=size)


def left_open(claim: Claim) -> float:
    """Return how far the truth may lie from the estimate whatever the number of prompts and seeds.

    Answers without a score, and errors of a rule that no labels check, may put it there.
    """
    number = claim if claim.corrected is None else claim.corrected
    low, high = number.bounds.get("low"), number.bounds.get("high")
    if number.estimate is None or low is None or high is None:
        return 0.0
    return max(number.estimate - low, high - number.estimate, 0.0)


def is_beyond_evidence(claim: Claim) -> bool:
    """Return whether what seeds and prompts do not shrink is as large as the margin."""
    return claim.margin is not None and bool(claim.bounds) and left_open(claim) >= claim.margin
