"""The two versions of the claim of timing: a trend without a bend (v1), and what holds under two decodings (v2).

Source: statistics-and-measures, section 6, claim B: "Supported (v1) = linear trend, no quadratic. Supported (v2) =
interior optimum under top-k with 0 % best under safety-aware decoding." That there is no bend is shown by two one-sided
tests within the margin, never by a bend that was not found. Departures: v1 needs a trend for the worse the later the
start; both have refutations of their own, those of v2 corrected by Bonferroni, for either decoding refutes it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from upbringing.attribution.protocols.part_answers import ALIKE, answered, readable, why_open
from upbringing.attribution.protocols.start_evidence import (
    NO_DIRECTION,
    NOT_BETTER,
    OPEN,
    StartEvidence,
    beats,
    overall,
    sign_of,
    start_evidence,
    start_measure,
)
from upbringing.attribution.statistics.multiplicity import holm
from upbringing.attribution.words import conclusion_sentences as words
from upbringing.formats.effects.trends import LINEAR, QUADRATIC
from upbringing.formats.findings import Claim, ConclusionPart, Decision, PartMeasure
from upbringing.formats.start_protocol import (
    FIRST,
    SAFETY_AWARE,
    TOP_K,
    interior_starts,
    start_contrast_name,
    trend_contrast_name,
)
from upbringing.formats.tree import Protocol, StudyInfo

V1_WORDS = "the later the start, the worse, in a line"
V2_WORDS = "a start in between is best under top-k sampling, the start at once under safety-aware decoding"
NO_TREND = "the trend is alike within the margin"
OTHER_WAY = "the later the start, the better"
BENDS = "the curve bends"
TREND_OPEN = "whether there is a trend is open"
BEND_OPEN = "whether the curve bends by more than the margin is open"
NOT_BEST = "the start at once is better than some other by at most the margin"
BEST_OPEN = "the start at once may be best, or not"
NO_MEASURE = "no measure is named for it ({name})"


def version_parts(
    study: StudyInfo, claims: Sequence[Claim], directions: Mapping[str, str]
) -> dict[str, ConclusionPart]:
    """Return the parts of the versions that a study names the needs of; empty where it names none."""
    assert study.protocol is not None
    asked = _Asked(study.protocol, claims, directions)
    parts = {}
    for curve in study.protocol.curves:
        measures = {measure: asked.trend(curve, measure) for measure in study.primary}
        verdict = overall([each.verdict for each in measures.values()])
        parts[f"v1, {curve}"] = _part(f"v1, {curve}", V1_WORDS, verdict, measures)
    if {TOP_K, SAFETY_AWARE} & set(study.protocol.outcomes):
        measures = {TOP_K: asked.top_k(), SAFETY_AWARE: asked.safety_aware()}
        parts["v2"] = _part("v2", V2_WORDS, _of_both([each.verdict for each in measures.values()]), measures)
    return parts


def _of_both(verdicts: Sequence[Decision]) -> Decision:
    """Return supported where both are, refuted where one is."""
    if "refuted" in verdicts:
        return "refuted"
    return "supported" if set(verdicts) == {"supported"} else "not-decided"


def _part(name: str, said: str, verdict: Decision, measures: Mapping[str, PartMeasure]) -> ConclusionPart:
    why = "; ".join(f"{measure}: {each.reason}" for measure, each in measures.items() if each.reason)
    return ConclusionPart(
        claims=tuple(claim for each in measures.values() for claim in each.claims),
        verdict=verdict,
        sentence=f"{name} ({said}): {verdict.replace('-', ' ')}{f' ({why})' if why else ''}.",
        measures=dict(measures),
    )


@dataclass(frozen=True)
class _Asked:
    """The claims by which the versions are answered."""

    protocol: Protocol
    claims: Sequence[Claim]
    directions: Mapping[str, str]

    def direction(self, measure: str) -> str:
        return self.directions.get(measure, "neutral")

    def trend(self, curve: str, measure: str) -> PartMeasure:
        """v1: the line falls off for the worse, and there is no bend beyond the margin."""
        names = [trend_contrast_name(curve, degree) for degree in (LINEAR, QUADRATIC)]
        asked = [
            claim
            for name in names
            for claim in self.claims
            if claim.contrast == name and claim.measure == measure and claim.role == "primary"
        ]
        known, reason = readable(asked)
        if len(known) != len(names):
            return answered(asked, "not-decided", reason or words.NOT_ASKED)
        if self.direction(measure) == "neutral":
            return answered(asked, "not-decided", NO_DIRECTION)
        line, bend = known
        return answered(asked, *_of_trends(line, bend, sign_of(self.direction(measure))))

    def top_k(self) -> PartMeasure:
        """v2: some start in between beats both ends, corrected by Holm over the starts."""
        if (outcome := self.protocol.outcomes.get(TOP_K)) is None:
            return answered((), "not-decided", NO_MEASURE.format(name=TOP_K))
        starts = interior_starts(self.protocol.cells)
        direction = self.direction(outcome.measure)
        found = [self._alone(start_evidence(start, outcome.measure, self.claims, direction)) for start in starts]
        adjusted = holm(np.array([each.better for each in found])).tolist()
        said = [start_measure(each, p) for each, p in zip(found, adjusted, strict=True)]
        verdict = overall([each.verdict for each in said])
        reasons = dict.fromkeys(each.reason for each in said if each.verdict == verdict and each.reason)
        reason = {"supported": "", "refuted": NOT_BETTER, "not-decided": "; ".join(reasons) or OPEN}[verdict]
        return PartMeasure(claims=tuple(i for each in found for i in each.claims), verdict=verdict, reason=reason)

    def _alone(self, found: StartEvidence) -> StartEvidence:
        """Return evidence that can refute v2 by itself: its p-value is corrected for the decodings that can."""
        return replace(found, worse=min(1.0, found.worse * len({TOP_K, SAFETY_AWARE} & set(self.protocol.outcomes))))

    def safety_aware(self) -> PartMeasure:
        """v2: the start at once beats every other."""
        if (outcome := self.protocol.outcomes.get(SAFETY_AWARE)) is None:
            return answered((), "not-decided", NO_MEASURE.format(name=SAFETY_AWARE))
        others = [start_contrast_name(FIRST, start) for start in self.protocol.cells if start != FIRST]
        found = self._alone(beats(others, outcome.measure, self.claims, self.direction(outcome.measure)))
        return start_measure(found, found.better, refuted=NOT_BEST, undecided=BEST_OPEN)


def _of_trends(line: Claim, bend: Claim, sign: float) -> tuple[Decision, str]:
    """Return the verdict of v1 with its reason. ``sign``: of a change for the better."""
    if line.verdict in ALIKE:
        return "refuted", NO_TREND
    if line.verdict == "changed" and ((line.corrected or line).estimate or 0.0) * sign > 0:
        return "refuted", OTHER_WAY
    if bend.verdict == "changed":
        return "refuted", BENDS
    if line.verdict != "changed":
        return "not-decided", why_open(line, TREND_OPEN)
    return ("supported", "") if bend.verdict in ALIKE else ("not-decided", BEND_OPEN)
