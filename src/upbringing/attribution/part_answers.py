"""What each part of the protocol ``sft_or_rl`` says of one primary measure, decided by its claims alone."""

from __future__ import annotations

from collections.abc import Sequence

from upbringing.attribution import conclusion_sentences as words
from upbringing.attribution.adjusted_intervals import Adjusted
from upbringing.attribution.multiplicity import PRIMARY_LEVEL
from upbringing.formats.findings import Claim, Decision, PartMeasure

ALIKE = ("equivalent", "negligible")  # both pass the two one-sided tests
UNREADABLE = ("blocked", "not-measurable")


def readable(claims: Sequence[Claim]) -> tuple[list[Claim], str]:
    """Return the claims that say anything, and why the others do not."""
    found, reason = [], "" if claims else words.NOT_ASKED
    for claim in claims:
        if claim.verdict in UNREADABLE or claim.estimate is None or claim.blocked_by:
            reason = claim.blocked_by[0] if claim.blocked_by else words.NOT_ASKED
        elif claim.low is None:
            reason = words.ONE_CHECKPOINT
        else:
            found.append(claim)
    return found, reason


def sensitivity(claims: Sequence[Claim]) -> PartMeasure:
    """CA0: a positive control must have come out changed."""
    known, reason = readable(claims)
    if any(claim.verdict == "changed" for claim in known):
        return _said(claims, "supported")
    if not known:
        return _said(claims, "not-decided", reason)
    if all(claim.verdict in ALIKE for claim in known):
        return _said(claims, "refuted", words.CONTROL_STILL)
    return _said(claims, "not-decided", words.CONTROL_OPEN)


def similarity(claims: Sequence[Claim], adjusted: Sequence[Adjusted], *, can_move: bool) -> PartMeasure:
    """CA1: alike within the margin, which counts only where a positive control moved the measure."""
    known, reason = readable(claims)
    if not known:
        return _said(claims, "not-decided", reason)
    claim, interval = known[0], adjusted[0]
    said = _said(claims, "not-decided", words.NO_MARGIN if claim.margin is None else words.WITHIN)
    if claim.verdict == "changed" and interval.is_beyond:
        said = _said(claims, "refuted", words.BEYOND)
    elif claim.verdict in ALIKE:
        said = _said(claims, "supported") if can_move else _said(claims, "not-decided", words.NO_CONTROL)
    return said.model_copy(
        update={
            "low": interval.low,
            "high": interval.high,
            "equivalence_radius": claim.equivalence_radius,
            "profile_ratio": (claim.model_extra or {}).get("profile_ratio"),
        }
    )


def dominance(claims: Sequence[Claim]) -> PartMeasure:
    """CA2: the effect of RL is below a quarter of that of SFT.

    Refuted by the opposite test only where the effect of RL is itself told from 0 after Holm, so that many measures do
    not make a refutation out of chance.
    """
    known, reason = readable(claims)
    if not known:
        return _said(claims, "not-decided", reason)
    claim = known[0]
    if claim.dominance == "yes":
        return _said(claims, "supported")
    if claim.dominance == "no" and claim.p_adjusted is not None and claim.p_adjusted <= PRIMARY_LEVEL:
        return _said(claims, "refuted", words.NOT_DOMINATED)
    return _said(claims, "not-decided", claim.dominance_reason or words.DOMINANCE_OPEN)


def necessity(claims: Sequence[Claim]) -> PartMeasure:
    """CA3: the data of SFT make a difference though RL follows."""
    known, reason = readable(claims)
    if not known:
        return _said(claims, "not-decided", reason)
    claim = known[0]
    if claim.verdict == "changed":
        return _said(claims, "supported")
    if claim.verdict in ALIKE:
        return _said(claims, "refuted", words.ALIKE)
    return _said(claims, "not-decided", words.NEEDED_OPEN)


def is_still(rl: Sequence[Claim], data: Sequence[Claim]) -> bool:
    """Return whether neither RL (the claims of CA1) nor the data of SFT (of CA3) move a measure beyond its margin.

    Such a measure tells nothing of which of the two moves more, or whether one is needed. Source: our own reasoning.
    """
    known = [readable(claims)[0] for claims in (rl, data)]
    return all(claims and all(claim.verdict in ALIKE for claim in claims) for claims in known)


def large_effect(claims: Sequence[Claim], adjusted: Sequence[Adjusted]) -> PartMeasure:
    """CA4, CA5, CA6: an effect beyond the margin, after Holm; refuted where every way to ask comes out alike."""
    known, reason = readable(claims)
    if not known:
        return _said(claims, "not-decided", reason)
    changed = [each.is_beyond and claim.verdict == "changed" for claim, each in zip(known, adjusted, strict=True)]
    chosen = changed.index(True) if any(changed) else 0
    if any(changed):
        said = _said(claims, "supported")
    elif all(claim.verdict in ALIKE for claim in known):
        said = _said(claims, "refuted", words.ALIKE)
    else:
        said = _said(claims, "not-decided", words.NO_MARGIN if known[0].margin is None else words.WITHIN)
    return said.model_copy(update={"low": adjusted[chosen].low, "high": adjusted[chosen].high})


def _said(claims: Sequence[Claim], verdict: Decision, reason: str = "") -> PartMeasure:
    return PartMeasure(claims=tuple(claim.id for claim in claims), verdict=verdict, reason=reason)
