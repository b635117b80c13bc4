"""Whether a refusal direction that grew does more to refusals: an intersection-union of three claims, per contrast.

A direction grows only if what it does grows: its length, the refusals that taking it out removes and those that adding
it brings must all have risen, the latter two beyond a random direction. Tested is the largest of the three one-sided
p-values, corrected by Holm over the contrasts of one role. Refuted is it where the direction grew and both effects are
shown to have grown by less than the margin (without a margin: not to have grown at all). Void where adding the
direction moves refusals on neither checkpoint: such an assay would show no growth either way. Source:
statistics-and-measures 4.7; Berger 1982 for the intersection-union test. Departures: the void.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from upbringing.attribution.protocols.direction_questions import DirectionPlan, Key
from upbringing.attribution.protocols.part_answers import UNREADABLE
from upbringing.attribution.statistics.multiplicity import EXPLORATORY_LEVEL, PRIMARY_LEVEL, holm
from upbringing.attribution.statistics.one_sided import one_sided_p_values
from upbringing.attribution.words.conclusion_sentences import ONE_CHECKPOINT
from upbringing.attribution.words.direction_sentences import LACKING, NOT_ASKED, PARTS, Verdict, Word
from upbringing.attribution.words.sentences import NO_SPREAD, NOT_MEASURED
from upbringing.formats.findings import Claim

Role = Literal["primary", "exploratory"]


@dataclass(frozen=True)
class DirectionVerdict:
    """What one contrast says. ``claims``: by part, those that were asked. ``reason``: why it says nothing, if so.

    ``p``: of the conjunction, corrected; ``words``: by part, what its own claim shows.
    """

    plan: DirectionPlan
    claims: Mapping[str, Claim]
    assays: tuple[Claim, ...]
    verdict: Verdict
    p: float
    reason: str
    words: Mapping[str, Word]


@dataclass(frozen=True)
class _Evidence:
    """The claims of one contrast with the p-values of "all three grew" and of "it grew and does no more"."""

    plan: DirectionPlan
    claims: Mapping[str, Claim]
    assays: tuple[Claim, ...]
    reason: str = ""
    grew: float = 1.0
    no_more: float = 1.0
    is_dead: bool = False


def direction_verdicts(plans: Sequence[DirectionPlan], claims: Sequence[Claim]) -> tuple[DirectionVerdict, ...]:
    """Return what the claims of a study say of its refusal directions, a verdict per contrast."""
    by_key: dict[Key, Claim] = {}
    for claim in claims:
        by_key.setdefault((claim.measure, claim.condition, claim.split, claim.contrast), claim)
    found = [_evidence(plan, by_key) for plan in plans]
    grew = _corrected([(each.plan.role, each.grew) for each in found])
    no_more = _corrected([(each.plan.role, each.no_more) for each in found])
    return tuple(_verdict(*each) for each in zip(found, grew, no_more, strict=True))


def _corrected(tests: Sequence[tuple[Role, float]]) -> list[float]:
    """Return the p-values corrected by Holm within each role, in the order given."""
    result = [1.0] * len(tests)
    for role in ("primary", "exploratory"):
        members = [place for place, (own, _) in enumerate(tests) if own == role]
        values = holm(np.array([tests[place][1] for place in members]))
        for place, value in zip(members, values.tolist(), strict=True):
            result[place] = value
    return result


def _evidence(plan: DirectionPlan, by_key: Mapping[Key, Claim]) -> _Evidence:
    keys = dict(zip(PARTS, (plan.growth, plan.removed, plan.brought), strict=True))
    claims = {part: by_key[key] for part, key in keys.items() if key is not None and key in by_key}
    assays = tuple(by_key[key] for key in plan.assays if key in by_key)
    lacking = [LACKING[part] for part in PARTS if part not in claims]
    if lacking:
        return _Evidence(plan, claims, assays, NOT_ASKED.format(lacking=" and ".join(lacking)))
    reasons = [_unread(claim) for claim in claims.values()]
    known_assays = [claim for claim in assays if not _unread(claim)]
    reasons += [] if known_assays else [_unread(claim) for claim in assays]
    if any(reasons):
        return _Evidence(plan, claims, assays, next(filter(None, reasons)).rstrip("."))
    p = {part: one_sided_p_values(claim, 1.0, plan.margin or 0.0) for part, claim in claims.items()}
    moves = min(one_sided_p_values(claim, 1.0, None)[0] for claim in known_assays)
    return _Evidence(
        plan,
        claims,
        assays,
        grew=max(above for above, _ in p.values()),
        no_more=max(p["growth"][0], p["removed"][1], p["brought"][1]),
        is_dead=moves * len(plan.assays) > PRIMARY_LEVEL,
    )


def _unread(claim: Claim) -> str:
    """Return why a claim has no interval to be tested by; empty where it has one."""
    if claim.low is not None and claim.verdict not in UNREADABLE and not claim.blocked_by:
        return ""
    if claim.estimate is None or claim.verdict in UNREADABLE or claim.blocked_by:
        return claim.blocked_by[0] if claim.blocked_by else NOT_MEASURED
    return ONE_CHECKPOINT if claim.verdict == "equivalent" else NO_SPREAD


def _verdict(found: _Evidence, grew: float, no_more: float) -> DirectionVerdict:
    words: dict[str, Word] = {part: _word(claim) for part, claim in found.claims.items()}
    verdict: Verdict = "void" if found.is_dead else "not-decided"
    if not found.reason and not found.is_dead and grew <= PRIMARY_LEVEL:
        verdict = "supported"
        words = dict.fromkeys(PARTS, "rose")
    elif not found.reason and not found.is_dead and no_more <= PRIMARY_LEVEL:
        verdict = "refuted"
        kept: Word = "fell" if found.plan.margin is None else "not"
        words = {part: kept if words[part] != "fell" else "fell" for part in PARTS} | {"growth": "rose"}
    return DirectionVerdict(found.plan, found.claims, found.assays, verdict, grew, found.reason, words)


def _word(claim: Claim) -> Word:
    """Return what a claim shows by itself, corrected for all that was asked."""
    number = claim.corrected or claim
    level = PRIMARY_LEVEL if claim.role == "primary" else EXPLORATORY_LEVEL
    is_moved = claim.p_adjusted is not None and claim.p_adjusted <= level
    if number.estimate is None or number.low is None or number.high is None or claim.blocked_by:
        return "open"
    if is_moved and claim.verdict in ("changed", "negligible") and not number.low <= 0 <= number.high:
        return "rose" if number.estimate > 0 else "fell"
    return "not" if claim.verdict == "equivalent" else "open"
