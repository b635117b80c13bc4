"""The protocol ``documents_and_chats``: what chats that show a trait carry beyond their own distribution.

Source: statistics-and-measures, section 6, claim C. Supported = the effect of the chats out of their distribution came
out changed on some primary measure, corrected by Holm over them; "midtraining amplifies" = the interaction goes where
the effect of the chats goes. Departures: refuted needs likeness on every primary measure and a positive control that
moved it; the interaction is signed by the effect that it is to amplify; what is retained is held against a threshold
fixed in advance.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from upbringing.attribution.effects.retention import Retention
from upbringing.attribution.protocols.chat_evidence import ChatEvidence
from upbringing.attribution.protocols.chat_qualifiers import qualifiers
from upbringing.attribution.protocols.part_answers import ALIKE, answered, readable, sensitivity, why_alike, why_open
from upbringing.attribution.statistics.multiplicity import PRIMARY_LEVEL, holm
from upbringing.attribution.words import chat_sentences as said
from upbringing.attribution.words import conclusion_sentences as words
from upbringing.formats.chat_protocol import (
    CHAT_PARTS,
    DEFAULT_RETAINED,
    DOCUMENTS_AND_CHATS,
    OVER_PART,
    RATIO_PART,
    RETAINED,
    UNDER_PART,
    chat_part,
    outcomes_of,
)
from upbringing.formats.findings import Claim, Conclusion, ConclusionPart, Decision, PartMeasure
from upbringing.formats.parts import Part, contrast_name
from upbringing.formats.tree import Protocol, StudyInfo

RULE_VERSION = "1"
Found = Mapping[str, Sequence[Claim]]
"""The claims of one part by outcome."""


def chat_conclusions(study: StudyInfo, claims: Sequence[Claim], beside: ChatEvidence) -> tuple[Conclusion, ...]:
    """Return the conclusion of the protocol. ``beside``: what it reads besides claims."""
    assert study.protocol is not None
    by_part = {part.name: _claims_of(part, study.protocol, study.primary, claims) for part in CHAT_PARTS}
    answers = _Answers(study, study.protocol, by_part, beside)
    parts = {part.name: answers.part(part) for part in CHAT_PARTS}
    verdict = parts[OVER_PART].verdict
    return (
        Conclusion(
            protocol=DOCUMENTS_AND_CHATS,
            parts=parts,
            verdict=verdict,
            qualifiers=qualifiers(parts, by_part, beside, study.primary),
            rule_version=RULE_VERSION,
            sentence=_sentence(parts[OVER_PART], by_part[OVER_PART], verdict),
        ),
    )


def _claims_of(
    part: Part, protocol: Protocol, primary: tuple[str, ...], claims: Sequence[Claim]
) -> dict[str, list[Claim]]:
    """Return the headline claims of a part by outcome: those that keep the primary role of their contrast."""
    names = [contrast_name(part, way) for way in part.asked(protocol.cells)]
    asked = [claim for claim in claims if claim.contrast in names and claim.role == "primary"]
    return {
        name: [claim for claim in asked if claim.measure == outcome.measure and outcome.split in (None, claim.split)]
        for name, outcome in outcomes_of(protocol, part.name, primary).items()
    }


@dataclass(frozen=True)
class _Answers:
    """Answers each part by its claims."""

    study: StudyInfo
    protocol: Protocol
    by_part: Mapping[str, Found]
    beside: ChatEvidence

    def part(self, part: Part) -> ConclusionPart:
        """Return the answer of a part: supported where some outcome is, refuted where all are."""
        of_ratio = part.name == RATIO_PART
        missing = (chat_part(OVER_PART) if of_ratio else part).missing(self.protocol.cells)
        measures = {} if missing else self._ratios() if of_ratio else self._measures(part.name)
        verdicts = [each.verdict for each in measures.values()]
        verdict: Decision = "not-decided"
        if "supported" in verdicts:
            verdict = "supported"
        elif verdicts and set(verdicts) == {"refuted"}:
            verdict = "refuted"
        reasons = [f"{name}: {each.reason}" for name, each in measures.items() if each.reason]
        if not measures:
            reasons = [said.NO_OUTCOME if self.study.primary else words.NO_PRIMARY]
        return ConclusionPart(
            claims=tuple(claim for each in measures.values() for claim in each.claims),
            verdict=verdict,
            sentence=words.part_sentence(part.name, verdict, reasons, missing),
            missing=missing,
            measures=measures,
        )

    def _measures(self, part: str) -> dict[str, PartMeasure]:
        found = self.by_part[part]
        if part == "CC0":
            return {name: sensitivity(claims) for name, claims in found.items()}
        if part == "CC3":
            effects = self.by_part[OVER_PART]
            return {name: amplified(claims, effects.get(name, ())) for name, claims in found.items()}
        return {name: changed(claims) for name, claims in found.items()}

    def _ratios(self) -> dict[str, PartMeasure]:
        """Return what is retained by primary measure: the test against the threshold, corrected by Holm."""
        asked = {name: self._ratio(name) for name in self.study.primary}
        p_values = holm(np.array([1.0 if each.p is None else each.p for each in asked.values()])).tolist()
        threshold = self.protocol.settings.get(RETAINED, DEFAULT_RETAINED)
        return {
            name: retained(each, float(p), threshold, self._claims_of_ratio(name))
            for (name, each), p in zip(asked.items(), p_values, strict=True)
        }

    def _claims_of_ratio(self, name: str) -> list[Claim]:
        return [claim for part in (OVER_PART, UNDER_PART) for claim in self.by_part[part].get(name, ())]

    def _ratio(self, name: str) -> Retention:
        """Return the ratio, unless one of its effects says nothing or is not the number that decides."""
        claims = self._claims_of_ratio(name)
        known, reason = readable(claims)
        if len(known) < len(claims) or not claims:
            return Retention(reason=reason or words.NOT_ASKED)
        if any(claim.corrected is not None for claim in claims):
            return Retention(reason=said.AS_JUDGED)
        return self.beside.retained.get(name, Retention(reason=words.NOT_ASKED))


def changed(claims: Sequence[Claim]) -> PartMeasure:
    """An effect came out changed, or alike though a positive control moved what it is read on."""
    known, reason = readable(claims)
    if not known:
        return answered(claims, "not-decided", reason)
    claim = known[0]
    if claim.verdict == "changed":
        return answered(claims, "supported")
    if claim.verdict in ALIKE:
        if claim.assay is None:  # a control that did not move has voided the likeness before this
            return answered(claims, "not-decided", said.NO_CONTROL)
        return answered(claims, "refuted", why_alike(claim))
    return answered(claims, "not-decided", why_open(claim, said.EFFECT_OPEN))


def amplified(claims: Sequence[Claim], effects: Sequence[Claim]) -> PartMeasure:
    """CC3: the interaction goes where the effect of the chats goes. Refuted where it goes the other way, or nowhere."""
    known, reason = readable(claims)
    if not known:
        return answered(claims, "not-decided", reason)
    effect = next((claim for claim in readable(effects)[0] if claim.verdict == "changed"), None)
    if effect is None:
        return answered(claims, "not-decided", said.NOTHING_TO_AMPLIFY)
    claim = known[0]
    if claim.verdict == "changed":
        agrees = _estimate(claim) * _estimate(effect) > 0
        return answered(claims, "supported") if agrees else answered(claims, "refuted", said.LESS_TOGETHER)
    if claim.verdict in ALIKE:
        return answered(claims, "refuted", why_alike(claim))
    return answered(claims, "not-decided", said.INTERACTION_OPEN)


def _estimate(claim: Claim) -> float:
    """Return the estimate that decides."""
    return (claim.corrected or claim).estimate or 0.0


def retained(found: Retention, p_adjusted: float, threshold: float, claims: Sequence[Claim]) -> PartMeasure:
    """CC4: more than the threshold is retained, refuted where less is; the interval is never clipped."""
    if found.value is None or found.low is None or found.high is None:
        return answered(claims, "not-decided", said.UNDEFINED.format(reason=found.reason))
    ratio = said.RATIO.format(value=found.value, low=found.low, high=found.high)
    verdict: Decision = "not-decided"
    text = said.RATIO_OPEN
    if p_adjusted <= PRIMARY_LEVEL and found.is_above is not None:
        verdict, text = ("supported", said.ABOVE) if found.is_above else ("refuted", said.BELOW)
    reason = text.format(ratio=ratio, threshold=threshold)
    update = {"ratio": found.value, "low": found.low, "high": found.high}
    return answered(claims, verdict, reason).model_copy(update=update)


def _sentence(part: ConclusionPart, claims: Found, verdict: Decision) -> str:
    about = words.about([claim for each in claims.values() for claim in readable(each)[0]])
    if verdict == "supported":
        moved = [name for name, each in part.measures.items() if each.verdict == "supported"]
        return said.SUPPORTED.format(about=about, effects=words.listed(_effect(name, claims[name]) for name in moved))
    if verdict == "refuted":
        return said.REFUTED.format(about=about, measures=words.listed(part.measures))
    why = "; ".join(f"{name}: {each.reason.rstrip('.')}" for name, each in part.measures.items() if each.reason)
    return said.NOT_DECIDED.format(why=why or part.sentence.rstrip("."))


def _effect(name: str, claims: Sequence[Claim]) -> str:
    number = readable(claims)[0][0]
    number_decides = number.corrected or number
    return said.EFFECT.format(
        measure=name, estimate=number_decides.estimate, low=number_decides.low, high=number_decides.high
    )
