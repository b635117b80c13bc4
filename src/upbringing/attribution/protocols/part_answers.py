"""What each part of the protocol ``sft_or_rl`` says of one primary measure, and what all protocols share."""

from __future__ import annotations

from collections.abc import Sequence

from upbringing.attribution.statistics.adjusted_intervals import Adjusted
from upbringing.attribution.statistics.multiplicity import PRIMARY_LEVEL
from upbringing.attribution.words import conclusion_sentences as words
from upbringing.formats.findings import Claim, Decision, PartMeasure

ALIKE = ("equivalent", "negligible")  # both pass the two one-sided tests
UNREADABLE = ("blocked", "not-measurable")
ENOUGH_RUNS = 5  # independent runs that a protocol asks for


def num_runs(claim: Claim) -> int:
    """Return how many independent runs a claim rests on, as far as it says: seeds on one start, else roots."""
    return claim.units.seeds if claim.estimand == "recipe-given-start" else claim.units.roots


def readable(claims: Sequence[Claim]) -> tuple[list[Claim], str]:
    """Return the claims that say anything, and why the others do not."""
    found, reason = [], "" if claims else words.NOT_ASKED
    for claim in claims:
        if claim.verdict in UNREADABLE or claim.estimate is None or claim.blocked_by:
            reason = claim.blocked_by[0] if claim.blocked_by else words.NOT_ASKED
        elif claim.low is None:
            reason = words.ONE_CHECKPOINT if claim.verdict == "equivalent" else words.NO_INTERVAL
        else:
            found.append(claim)
    return found, reason


def why_open(claim: Claim, undecided: str, by_ratio: str | None = None) -> str:
    """Return why a claim leaves its question open: for lack of a margin, or ``undecided``.

    ``by_ratio``: the reason where it is held against a ratio; absent = a ratio serves as well as a margin.
    """
    if claim.risk_ratio is not None:
        return claim.risk_ratio.reason or by_ratio or undecided
    return words.NO_MARGIN if claim.margin is None else undecided


def why_undecided(claim: Claim, interval: Adjusted) -> str:
    """Return why neither likeness nor a change beyond the margin is shown: of a claim on a ratio, what that lacks."""
    if claim.risk_ratio is None:
        return why_open(claim, words.WITHIN)
    margin = claim.risk_ratio.margin
    if claim.corrected is not None:
        return words.LABELLED_RATIO.format(margin=margin)
    if interval.ratio_margin is None:
        return claim.risk_ratio.reason or words.UNTESTED_RATIO.format(margin=margin)
    return words.WITHIN_RATIO.format(margin=margin)


def why_alike(claim: Claim) -> str:
    """Return within what a claim is alike."""
    ratio = claim.risk_ratio
    return words.ALIKE if ratio is None else words.ALIKE_RATIO.format(margin=ratio.margin)


def by_ratio(claim: Claim, sentence: str) -> str:
    """Return what is said of a decision because a ratio made it; nothing of one by a margin on the difference."""
    return "" if claim.risk_ratio is None else sentence.format(margin=claim.risk_ratio.margin)


def sensitivity(claims: Sequence[Claim]) -> PartMeasure:
    """CA0: a positive control must have come out changed."""
    known, reason = readable(claims)
    if any(claim.verdict == "changed" for claim in known):
        return answered(claims, "supported")
    if not known:
        return answered(claims, "not-decided", reason)
    if all(claim.verdict in ALIKE for claim in known):
        return answered(claims, "refuted", words.CONTROL_STILL)
    return answered(claims, "not-decided", words.CONTROL_OPEN)


def similarity(claims: Sequence[Claim], adjusted: Sequence[Adjusted], *, can_move: bool) -> PartMeasure:
    """CA1: alike within the margin, which counts only where a positive control moved the measure.

    Where the margin is a ratio of rates, that decides likeness and what lies beyond.
    """
    known, reason = readable(claims)
    if not known:
        return answered(claims, "not-decided", reason)
    claim, interval = known[0], adjusted[0]
    said = answered(claims, "not-decided", why_undecided(claim, interval))
    if claim.verdict == "changed" and interval.is_beyond:
        said = answered(claims, "refuted", by_ratio(claim, words.BEYOND_RATIO) or words.BEYOND)
    elif claim.verdict in ALIKE and can_move:
        said = answered(claims, "supported", by_ratio(claim, words.ALIKE_RATIO))
    elif claim.verdict in ALIKE:
        said = answered(claims, "not-decided", words.NO_CONTROL)
    ratio = claim.risk_ratio if interval.ratio_margin is not None else None
    return said.model_copy(
        update={
            **_ends(interval),
            "equivalence_radius": claim.equivalence_radius if ratio is None else ratio.radius,
            "profile_ratio": (claim.model_extra or {}).get("profile_ratio"),
        }
    )


def _ends(interval: Adjusted) -> dict[str, float | None]:
    """Return the interval that decides a part as its fields, and of a ratio what it is held against."""
    return {"low": interval.low, "high": interval.high, "ratio_margin": interval.ratio_margin}


def dominance(claims: Sequence[Claim]) -> PartMeasure:
    """CA2: the effect of RL is below a quarter of that of SFT.

    Refuted by the opposite test only where the effect of RL is itself told from 0 after Holm, so that many measures do
    not make a refutation out of chance.
    """
    known, reason = readable(claims)
    if not known:
        return answered(claims, "not-decided", reason)
    claim = known[0]
    if claim.dominance == "yes":
        return answered(claims, "supported")
    if claim.dominance == "no" and claim.p_adjusted is not None and claim.p_adjusted <= PRIMARY_LEVEL:
        return answered(claims, "refuted", words.NOT_DOMINATED)
    return answered(claims, "not-decided", claim.dominance_reason or words.DOMINANCE_OPEN)


def necessity(claims: Sequence[Claim]) -> PartMeasure:
    """CA3: the data of SFT make a difference though RL follows."""
    known, reason = readable(claims)
    if not known:
        return answered(claims, "not-decided", reason)
    claim = known[0]
    if claim.verdict == "changed":
        return answered(claims, "supported")
    if claim.verdict in ALIKE:
        return answered(claims, "refuted", why_alike(claim))
    return answered(claims, "not-decided", words.NEEDED_OPEN)


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
        return answered(claims, "not-decided", reason)
    changed = [each.is_beyond and claim.verdict == "changed" for claim, each in zip(known, adjusted, strict=True)]
    chosen = changed.index(True) if any(changed) else 0
    if any(changed):
        said = answered(claims, "supported", by_ratio(known[chosen], words.BEYOND_RATIO))
    elif all(claim.verdict in ALIKE for claim in known):
        said = answered(claims, "refuted", words.listed(why_alike(claim) for claim in known))
    else:
        said = answered(claims, "not-decided", why_undecided(known[0], adjusted[0]))
    return said.model_copy(update=_ends(adjusted[chosen]))


def answered(claims: Sequence[Claim], verdict: Decision, reason: str = "") -> PartMeasure:
    """Return what a part says of a measure by all of its claims."""
    return PartMeasure(claims=tuple(claim.id for claim in claims), verdict=verdict, reason=reason)
