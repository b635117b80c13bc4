"""What a claim says of a judge whose errors no human labels show."""

from __future__ import annotations

from upbringing.formats.findings import Claim

DECIDED = ("changed", "negligible", "equivalent")
BY_WORD = "So says a judge whose errors no human labels show."
GAP_ALLOWED = (
    "No human labels show how its judge errs: the interval allows for errors that differ by up to {gap:.2f} between "
    "checkpoints."
)
NO_DOMINANCE_LABELS = "dominance was not tested: no human labels show how far the judge's errors differ"
SHARE_UNCHECKED = "no human labels show how far the judge's errors differ between checkpoints"


def with_judge(claim: Claim, said: str) -> str:
    """Return the sentence ``said`` of a claim with what no label shows of its judge, if anything."""
    if claim.error_gap is not None and claim.estimate is not None:
        return f"{said} {GAP_ALLOWED.format(gap=claim.error_gap)}"
    is_by_word = claim.calibration == "uncalibrated" and claim.verdict in DECIDED
    return f"{said} {BY_WORD}" if is_by_word else said
