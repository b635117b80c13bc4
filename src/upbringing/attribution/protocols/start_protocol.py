"""The protocol ``interior_optimum``: some start in between beats both ends, or none does, or it is not decided.

A start in between is claimed better only if it beats both the start at once and none at all: an intersection-union test
(the larger of the two one-sided p-values), corrected by Holm over the starts and primary measures. It is refuted for a
start where one of the ends is worse by at most the margin (the smaller of the two p-values, doubled), and as a whole
where that holds for every start on every primary measure. Source: pretraining-interventions.md, sections 2.7 and 2.8;
Berger 1982 for the intersection-union test. Departures: none.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from upbringing.attribution.protocols.part_answers import readable
from upbringing.attribution.protocols.start_evidence import overall, start_evidence, start_measure
from upbringing.attribution.protocols.start_versions import version_parts
from upbringing.attribution.statistics.multiplicity import holm
from upbringing.attribution.words import conclusion_sentences as words
from upbringing.formats.findings import Claim, Conclusion, ConclusionPart, Decision, PartMeasure
from upbringing.formats.start_protocol import END_WORDS, ENDS, INTERIOR_OPTIMUM, interior_starts
from upbringing.formats.tree import StudyInfo

RULE_VERSION = "1"
SUPPORTED = "Supported, {about}: {starts} beats both a start at once and none at all on {measures}."
REFUTED = "Refuted, {about}: no start in between is better than both ends by more than the margin."
NOT_DECIDED = "Not decided: {why}. No best start is named within noise."


def start_conclusions(
    study: StudyInfo, claims: Sequence[Claim], directions: Mapping[str, str]
) -> tuple[Conclusion, ...]:
    """Return the conclusion on starts in between. ``directions``: of each measure, as in ``tree.json``."""
    assert study.protocol is not None
    starts = interior_starts(study.protocol.cells)
    asked = [(start, measure) for start in starts for measure in study.primary]
    found = {key: start_evidence(*key, claims, directions.get(key[1], "neutral")) for key in asked}
    adjusted = dict(zip(asked, holm(np.array([found[key].better for key in asked])), strict=True))
    missing = tuple(end for end in ENDS if end not in study.protocol.cells)
    parts = {}
    for start in starts:
        measures = {name: start_measure(found[start, name], adjusted[start, name]) for name in study.primary}
        parts[start] = _part(start, measures, missing)
    verdict = overall([part.verdict for part in parts.values()])
    return (
        Conclusion(
            protocol=INTERIOR_OPTIMUM,
            parts={**parts, **version_parts(study, claims, directions)},
            verdict=verdict,
            rule_version=RULE_VERSION,
            sentence=_sentence(parts, verdict, [claim for claim in claims if claim.family == INTERIOR_OPTIMUM]),
        ),
    )


def _part(start: str, measures: Mapping[str, PartMeasure], missing: tuple[str, ...]) -> ConclusionPart:
    verdicts = [each.verdict for each in measures.values()]
    verdict: Decision = "not-decided"
    if "supported" in verdicts:
        verdict = "supported"
    elif verdicts and set(verdicts) == {"refuted"}:
        verdict = "refuted"
    said = "; ".join(f"{name}: {each.reason}" for name, each in measures.items() if each.reason)
    lacking = "; ".join(f"{end} ({END_WORDS[end]})" for end in missing)
    why = f"what would decide it: {lacking}" if missing else said
    sentence = f"{start} is better than both ends: {verdict.replace('-', ' ')}{f' ({why})' if why else ''}."
    claims = tuple(claim for each in measures.values() for claim in each.claims)
    return ConclusionPart(claims=claims, verdict=verdict, sentence=sentence, missing=missing, measures=dict(measures))


def _sentence(parts: Mapping[str, ConclusionPart], verdict: Decision, claims: Sequence[Claim]) -> str:
    about = words.about(readable(claims)[0])
    if verdict == "supported":
        won = {name: part for name, part in parts.items() if part.verdict == "supported"}
        measures = [m for part in won.values() for m, each in part.measures.items() if each.verdict == "supported"]
        return SUPPORTED.format(about=about, starts=words.listed(won), measures=words.listed(measures))
    if verdict == "refuted":
        return REFUTED.format(about=about)
    return NOT_DECIDED.format(why=_open_questions(parts))


def _open_questions(parts: Mapping[str, ConclusionPart]) -> str:
    """Return why it is not decided: each reason once, with the starts that it leaves open, and the starts that lost."""
    by_reason: dict[str, list[str]] = {}
    for start, part in parts.items():
        reason = "" if part.verdict == "refuted" else part.sentence.partition(" (")[2].rstrip(").")
        by_reason.setdefault(reason, []).append(start)
    lost = by_reason.pop("", [])
    said = [f"{words.listed(starts)}: {reason}" for reason, starts in by_reason.items()]
    return "; ".join([*said, *([f"{words.listed(lost)}: not better than both ends"] if lost else [])])
