"""Whether one start beats others on a measure: an intersection-union test, and what each start then says."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from upbringing.attribution.protocols.part_answers import readable, why_open
from upbringing.attribution.statistics.multiplicity import PRIMARY_LEVEL
from upbringing.attribution.statistics.one_sided import one_sided_p_values
from upbringing.attribution.words import conclusion_sentences as words
from upbringing.formats.findings import Claim, Decision, PartMeasure
from upbringing.formats.start_protocol import ENDS, start_contrast_name

NO_DIRECTION = "the measure has no better direction"
OPEN = "it may be better than both ends, or not"
NOT_BETTER = "an end is worse by at most the margin"


@dataclass(frozen=True)
class StartEvidence:
    """One-sided p-values of a start on a measure. ``better``: it beats all others; ``worse``: not by the margin."""

    claims: tuple[str, ...]
    better: float = 1.0
    worse: float = 1.0
    reason: str = ""


def start_evidence(start: str, measure: str, claims: Sequence[Claim], direction: str) -> StartEvidence:
    """Return whether a start in between beats both ends."""
    return beats([start_contrast_name(start, end) for end in ENDS], measure, claims, direction)


def beats(names: Sequence[str], measure: str, claims: Sequence[Claim], direction: str) -> StartEvidence:
    """Return whether a start beats every other that the contrasts ``names`` hold it against."""
    asked = [
        claim for claim in claims if claim.contrast in names and claim.measure == measure and claim.role == "primary"
    ]
    ids = tuple(claim.id for claim in asked)
    known, reason = readable(asked)
    if len(known) != len(names) or not names:
        return StartEvidence(ids, reason=reason or words.NOT_ASKED)
    if direction == "neutral":
        return StartEvidence(ids, reason=NO_DIRECTION)
    sign = sign_of(direction)
    tests = [one_sided_p_values(claim, sign, claim.margin) for claim in known]
    better = max(p for p, _ in tests)
    worse = min(1.0, len(names) * min(p for _, p in tests))
    return StartEvidence(ids, better, worse, why_open(known[0], "", words.BY_RATIO))


def sign_of(direction: str) -> float:
    """Return the sign of a change for the better."""
    return -1.0 if direction.startswith("lower") else 1.0


def start_measure(
    evidence: StartEvidence, adjusted: float, *, refuted: str = NOT_BETTER, undecided: str = OPEN
) -> PartMeasure:
    """Return what the evidence says of a measure. ``adjusted``: the p-value of "it beats all", corrected."""
    verdict: Decision = "not-decided"
    if adjusted <= PRIMARY_LEVEL:
        verdict = "supported"
    elif evidence.worse <= PRIMARY_LEVEL:
        verdict = "refuted"
    reason = {"supported": "", "refuted": refuted, "not-decided": evidence.reason or undecided}[verdict]
    return PartMeasure(claims=evidence.claims, verdict=verdict, reason=reason)


def overall(verdicts: Sequence[Decision]) -> Decision:
    """Return supported where some are, refuted where all are."""
    if "supported" in verdicts:
        return "supported"
    return "refuted" if verdicts and set(verdicts) == {"refuted"} else "not-decided"
