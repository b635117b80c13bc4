"""The verdicts on refusal directions as the findings hold them: a table, and a conclusion where it was declared."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from upbringing.attribution.protocols.direction_effect import DirectionVerdict
from upbringing.attribution.words.conclusion_sentences import about
from upbringing.attribution.words.direction_sentences import LACKING, PARTS, Word, direction_sentence, part_text
from upbringing.formats.findings import Claim, Conclusion, ConclusionPart, Decision

PROTOCOL = "refusal_direction"
RULE_VERSION = "1"
ENDS = (("", "estimate"), ("_low", "low"), ("_high", "high"))
DECISIONS: Mapping[Word, Decision] = {"rose": "supported", "fell": "refuted", "not": "refuted"}


def direction_table(verdicts: Sequence[DirectionVerdict]) -> list[dict[str, Any]]:
    """Return a line per contrast: its verdict, its three numbers, the claims they are from, and one sentence."""
    return [
        {
            "contrast": each.plan.contrast,
            "kind": each.plan.kind,
            "level": each.plan.level,
            "role": each.plan.role,
            "measure": each.plan.growth[0],
            "steering": each.plan.steering,
            "weights": dict(each.plan.weights),
            "verdict": each.verdict,
            "p": each.p,
            "reason": each.reason,
            **{f"{part}{end}": value for part in PARTS for end, value in _numbers(each.claims.get(part))},
            "claims": {part: claim.id for part, claim in each.claims.items()},
            "assays": [claim.id for claim in each.assays],
            "sentence": sentence_of(each),
        }
        for each in verdicts
    ]


def _numbers(claim: Claim | None) -> list[tuple[str, float | None]]:
    number = None if claim is None else claim.corrected or claim
    return [(end, None if number is None else getattr(number, field)) for end, field in ENDS]


def sentence_of(found: DirectionVerdict) -> str:
    """Return what was found of one contrast in one sentence."""
    plan = found.plan
    parts = {part: part_text(part, found.words[part], plan.level, claim) for part, claim in found.claims.items()}
    contrast = f"{plan.contrast} ({plan.level}, {about(found.claims.values())})"
    return direction_sentence(contrast, plan.level, found.verdict, found.reason, parts)


def direction_conclusions(verdicts: Sequence[DirectionVerdict]) -> tuple[Conclusion, ...]:
    """Return the verdicts on contrasts that were declared primary as conclusions; the others stand in the table."""
    return tuple(_conclusion(each) for each in verdicts if each.plan.role == "primary")


def _conclusion(found: DirectionVerdict) -> Conclusion:
    parts = {
        part: ConclusionPart(
            claims=(found.claims[part].id,) if part in found.claims else (),
            verdict=DECISIONS.get(found.words[part], "not-decided") if part in found.claims else "not-decided",
            sentence=found.claims[part].sentence if part in found.claims else "",
            missing=() if part in found.claims else (LACKING[part],),
        )
        for part in PARTS
    }
    return Conclusion(
        protocol=PROTOCOL,
        parts=parts,
        verdict="not-decided" if found.verdict == "void" else found.verdict,
        rule_version=RULE_VERSION,
        sentence=sentence_of(found),
    )
