"""What a claim is about, in its own sentence: a verdict on single checkpoints is never read as one on their recipe."""

from __future__ import annotations

from upbringing.formats.findings import Claim

THESE_CHECKPOINTS = "This is about these checkpoints only, not about the recipe."
DECIDED = ("changed", "negligible", "equivalent")


def with_scope(claim: Claim, said: str) -> str:
    """Return the sentence ``said`` of a claim with its scope, where a verdict holds for these checkpoints alone."""
    is_narrow = claim.estimand == "artefact" and claim.units.seeds > 0 and claim.low is not None
    return f"{said} {THESE_CHECKPOINTS}" if is_narrow and claim.verdict in DECIDED else said
