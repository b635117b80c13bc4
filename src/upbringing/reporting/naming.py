"""Names of claims in lists that mix measures, conditions and splits: no two lines of a list may read the same."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

from upbringing.formats.findings import Claim
from upbringing.reporting.inputs import Inputs
from upbringing.reporting.words import LOG_ODDS


def claim_names(inputs: Inputs, claims: Sequence[Claim]) -> Mapping[str, str]:
    """Return by id measure and contrast of each claim, with split, condition and scale where others share these two."""
    short = {claim.id: f"{inputs.label(claim.measure)}: {claim.contrast}" for claim in claims}
    shared = Counter(short.values())
    return {
        claim.id: f"{short[claim.id]} ({_place(claim)})" if shared[short[claim.id]] > 1 else short[claim.id]
        for claim in claims
    }


def _place(claim: Claim) -> str:
    split = f"split {claim.split}" if claim.split else "all questions"
    parts = (split, claim.condition, LOG_ODDS if claim.scale == "logit" else "")
    return ", ".join(part for part in parts if part and part != "default")
