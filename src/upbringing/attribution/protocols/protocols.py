"""Claim protocols: the answer to a claim of the field, part by part, from the claims of a study.

Source: claim A, "SFT alone is like SFT with RL; SFT drives safety". Supported = the measures can be moved (CA0), RL
after SFT is alike on every primary measure (CA1, intersection-union), it moves less than a quarter of what SFT moves
(CA2) and the data of SFT are needed (CA3). Refuted = a primary measure changed with its Holm-adjusted interval wholly
beyond the margin, or CA2 rejected in the opposite direction. All else is not decided. Where a claim is held against a
ratio of rates, likeness and the interval beyond are those of the ratio.

Departures: CA2 and CA3 are asked of the measures that RL or the data of SFT move; one that both leave alike is set
aside, unless all are. The source asks them of a metric and does not say of which.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from upbringing.attribution.protocols.chat_evidence import ChatEvidence
from upbringing.attribution.protocols.chat_protocol import chat_conclusions
from upbringing.attribution.protocols.part_answers import (
    ENOUGH_RUNS,
    dominance,
    is_still,
    large_effect,
    necessity,
    num_runs,
    readable,
    sensitivity,
    similarity,
)
from upbringing.attribution.protocols.start_protocol import start_conclusions
from upbringing.attribution.statistics.adjusted_intervals import Adjusted, adjusted_intervals
from upbringing.attribution.statistics.risk_ratio import Ratio
from upbringing.attribution.words import conclusion_sentences as words
from upbringing.formats.chat_protocol import DOCUMENTS_AND_CHATS
from upbringing.formats.findings import Claim, Conclusion, ConclusionPart, Decision, PartMeasure
from upbringing.formats.parts import Part, contrast_name
from upbringing.formats.protocols import PARTS, SFT_OR_RL
from upbringing.formats.start_protocol import INTERIOR_OPTIMUM
from upbringing.formats.tree import StudyInfo

CORE = ("CA0", "CA1", "CA2", "CA3")  # what the claim stands on; the others qualify it
RULE_VERSION = "3"  # 1: a measure that neither RL nor the data of SFT move refuted CA3; 2: no ratio decided a part
OF_MOVED = ("CA2", "CA3")  # ask of what SFT moves: which part of it RL adds, and whether it is needed


def conclusions_of(
    study: StudyInfo,
    claims: Sequence[Claim],
    directions: Mapping[str, str],
    beside: ChatEvidence | None = None,
    ratios: Mapping[str, Ratio] | None = None,
) -> tuple[Conclusion, ...]:
    """Return the conclusion of the study's protocol, none where it follows none that this version knows.

    ``directions``: of each measure, as in ``tree.json``. ``beside``: what ``documents_and_chats`` reads besides claims.
    ``ratios``: by claim, the ratio of rates that it is held against, which decides the parts of ``sft_or_rl``.
    """
    if study.protocol is not None and study.protocol.kind == DOCUMENTS_AND_CHATS:
        return chat_conclusions(study, claims, beside or ChatEvidence())
    if study.protocol is not None and study.protocol.kind == INTERIOR_OPTIMUM:
        return start_conclusions(study, claims, directions)
    if study.protocol is None or study.protocol.kind != SFT_OR_RL:
        return ()
    evidence = _Evidence(study, _by_part(study.protocol.cells, claims), ratios or {})
    parts: dict[str, ConclusionPart] = {}
    for part in PARTS:
        parts[part.name] = evidence.part(part, parts)
    verdict = _overall(parts)
    return (
        Conclusion(
            protocol=SFT_OR_RL,
            parts=parts,
            verdict=verdict,
            qualifiers=_qualifiers(evidence, parts),
            rule_version=RULE_VERSION,
            sentence=_sentence(evidence, parts, verdict),
        ),
    )


def _by_part(cells: Mapping[str, str], claims: Sequence[Claim]) -> dict[str, dict[str, list[Claim]]]:
    """Return the headline claims by part and measure: those that keep the primary role of their contrast."""
    found: dict[str, dict[str, list[Claim]]] = {}
    for part in PARTS:
        names = [contrast_name(part, way) for way in part.asked(cells)]
        by_measure = found.setdefault(part.name, {})
        for claim in claims:
            if claim.contrast in names and claim.role == "primary":
                by_measure.setdefault(claim.measure, []).append(claim)
    return found


@dataclass(frozen=True)
class _Evidence:
    """The claims of a protocol by part and measure. ``ratios``: by claim, of rates that are held against a ratio."""

    study: StudyInfo
    by_part: Mapping[str, Mapping[str, Sequence[Claim]]]
    ratios: Mapping[str, Ratio]

    @property
    def cells(self) -> Mapping[str, str]:
        assert self.study.protocol is not None
        return self.study.protocol.cells

    def of(self, parts: Sequence[str]) -> list[Claim]:
        """Return all claims of ``parts`` that can be read."""
        found = [readable(claims)[0] for name in parts for claims in self.by_part[name].values()]
        return [claim for claims in found for claim in claims]

    def part(self, part: Part, before: Mapping[str, ConclusionPart]) -> ConclusionPart:
        """Return the answer of ``part``. ``before``: the parts that were answered before it."""
        missing = part.missing(self.cells)
        intervals = self._adjusted(part)
        measures = (
            {}
            if missing
            else {measure: self._measure(part.name, measure, intervals, before) for measure in self.study.primary}
        )
        if part.name in OF_MOVED:
            measures = {name: self._set_aside(name, each) for name, each in measures.items()}
        counted = [each for each in measures.values() if not each.set_aside] or list(measures.values())
        verdict = _combined(part.name, [each.verdict for each in counted])
        reasons = [f"{name}: {each.reason}" for name, each in measures.items() if each.reason]
        if not self.study.primary:
            reasons = [words.NO_PRIMARY]
        return ConclusionPart(
            claims=tuple(claim for each in measures.values() for claim in each.claims),
            verdict=verdict,
            sentence=words.part_sentence(part.name, verdict, reasons, missing),
            missing=missing,
            measures=measures,
        )

    def _set_aside(self, measure: str, answer: PartMeasure) -> PartMeasure:
        """Return ``answer``, set aside where neither RL nor the data of SFT move the measure."""
        if not is_still(*(self.by_part[name].get(measure, ()) for name in ("CA1", "CA3"))):
            return answer
        return answer.model_copy(update={"set_aside": True, "reason": words.STILL})

    def _adjusted(self, part: Part) -> Mapping[str, Adjusted]:
        """Return the adjusted interval per claim; unanswered questions of the family still count as asked."""
        known = self.of((part.name,))
        num_asked = len(part.asked(self.cells)) * len(self.study.primary)
        return dict(zip((claim.id for claim in known), adjusted_intervals(known, num_asked, self.ratios), strict=True))

    def _measure(
        self, name: str, measure: str, intervals: Mapping[str, Adjusted], before: Mapping[str, ConclusionPart]
    ) -> PartMeasure:
        claims = self.by_part[name].get(measure, ())
        adjusted = [intervals[claim.id] for claim in claims if claim.id in intervals]
        if name == "CA0":
            return sensitivity(claims)
        if name == "CA1":
            control = before["CA0"].measures.get(measure)
            return similarity(claims, adjusted, can_move=control is not None and control.verdict == "supported")
        if name == "CA2":
            return dominance(claims)
        return necessity(claims) if name == "CA3" else large_effect(claims, adjusted)


def _combined(name: str, verdicts: Sequence[Decision]) -> Decision:
    """Return a part's verdict: what the claim stands on must hold on every primary measure, the rest on any."""
    if not verdicts:
        return "not-decided"
    if name in CORE:
        if "refuted" in verdicts:
            return "refuted"
        return "supported" if set(verdicts) == {"supported"} else "not-decided"
    if "supported" in verdicts:
        return "supported"
    return "refuted" if set(verdicts) == {"refuted"} else "not-decided"


def _overall(parts: Mapping[str, ConclusionPart]) -> Decision:
    if "refuted" in (parts["CA1"].verdict, parts["CA2"].verdict):
        return "refuted"
    return "supported" if all(parts[name].verdict == "supported" for name in CORE) else "not-decided"


def _sentence(evidence: _Evidence, parts: Mapping[str, ConclusionPart], verdict: Decision) -> str:
    about = words.about(evidence.of(CORE))
    if verdict == "supported":
        return words.SUPPORTED.format(about=about, measures=_named(parts["CA1"], evidence.study.primary))
    if verdict == "refuted":
        why = [
            f"{measure}: {each.reason}"
            for name in ("CA1", "CA2")
            for measure, each in parts[name].measures.items()
            if each.verdict == "refuted"
        ]
        return words.REFUTED.format(about=about, why="; ".join(why))
    unsupported = {name: parts[name].verdict for name in CORE if parts[name].verdict != "supported"}
    return words.not_decided(unsupported, [role for name in unsupported for role in parts[name].missing])


def _qualifiers(evidence: _Evidence, parts: Mapping[str, ConclusionPart]) -> tuple[str, ...]:
    found = []
    if moved := _moved(parts["CA5"]):
        sentence = words.CONDUIT_RL if {"rl_teacher", "other_teacher"} <= set(evidence.cells) else words.CONDUIT
        found.append(sentence.format(measures=_named(parts["CA5"], moved)))
    elif parts["CA5"].missing:
        found.append(words.SAME_TEACHER)
    opposed = [measure for measure in _moved(parts["CA4"]) if _is_against(evidence, measure)]
    alike = [measure for measure in _moved(parts["CA4"]) if measure not in opposed]
    if alike:
        found.append(words.REDUNDANT.format(measures=_named(parts["CA4"], alike)))
    if opposed:
        found.append(words.AGAINST.format(measures=_named(parts["CA4"], opposed)))
    if moved := _moved(parts["CA6"]):
        found.append(words.PRETRAINING.format(measures=_named(parts["CA6"], moved)))
    if any(num_runs(claim) < ENOUGH_RUNS for claim in evidence.of(CORE)):
        found.append(words.FEW_RUNS)
    return tuple(found)


def _moved(part: ConclusionPart) -> list[str]:
    return [measure for measure, each in part.measures.items() if each.verdict == "supported"]


def _named(part: ConclusionPart, measures: Sequence[str]) -> str:
    """Return measures as a list in a sentence, each whose margin is a ratio with that."""
    margins = {name: each.ratio_margin for name, each in part.measures.items()}
    return words.listed(
        name if (margin := margins.get(name)) is None else words.NAMED_RATIO.format(measure=name, margin=margin)
        for name in measures
    )


def _is_against(evidence: _Evidence, measure: str) -> bool:
    """Return whether RL without the data of SFT moves a measure the other way than these data do."""
    sft = readable(evidence.by_part["CA3"].get(measure, ()))[0]
    alone = readable(evidence.by_part["CA4"].get(measure, ()))[0]
    changed = [claim for claim in alone if claim.verdict == "changed"]
    if not sft or sft[0].verdict != "changed" or not changed:
        return False
    return (sft[0].estimate or 0.0) * (changed[0].estimate or 0.0) < 0
