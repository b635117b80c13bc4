"""Whether one contrast of a claim is dominated by another: its effect is below a quarter of the other's."""

from __future__ import annotations

from upbringing.attribution.claims.answered import Answered, against_of
from upbringing.attribution.claims.verdicts import deciding, is_on_scale
from upbringing.attribution.contrasts.estimates import estimate
from upbringing.attribution.evidence.cells import Evidence, Source
from upbringing.attribution.evidence.pivot import terms_of
from upbringing.attribution.judges.corrected import Corrected
from upbringing.attribution.judges.corrections import Corrections
from upbringing.attribution.statistics.equivalence import DOMINANCE_RATIO, NO_DOMINANCE_SCALE, dominance
from upbringing.attribution.words.judge_sentences import NO_DOMINANCE_LABELS


def dominance_fields(each: Answered, evidence: Evidence, corrections: Corrections) -> dict[str, str]:
    """Return as fields whether another contrast (``against``: its weights) drives over four times this one's effect.

    Effects are compared on the scale that the claim declared: on another, a quarter of an effect is another effect.
    """
    spec = each.question.spec
    against = against_of(each.question)
    if not against or each.reasons:
        return {}
    if each.against_reasons:
        return {"dominance": "undecided"}
    if each.error_gap:
        return {"dominance": "undecided", "dominance_reason": NO_DOMINANCE_LABELS}
    source: Source = each.question.source

    def combined(ratio: float) -> dict[str, float]:
        cells = dict.fromkeys((*spec.weights, *against))
        return {cell: spec.weights.get(cell, 0.0) + ratio * float(against.get(cell, 0.0)) for cell in cells}

    asked = [terms_of(weights, source) for weights in (against, combined(-DOMINANCE_RATIO), combined(DOMINANCE_RATIO))]
    if isinstance(each.correction, Corrected):
        corrected = [corrections.contrast(terms) for terms in asked]
        found = [part.found if isinstance(part, Corrected) else None for part in corrected]
    else:
        found = [estimate(evidence, corrections.design, terms) for terms in asked]
    if not all(part is None or part.is_same_checkpoint or is_on_scale(spec, part) for part in found):
        return {"dominance": "undecided", "dominance_reason": NO_DOMINANCE_SCALE}
    larger, difference, total = (None if part is None else deciding(spec, part) for part in found)
    if larger is None or difference is None or total is None:
        return {"dominance": "undecided"}
    return {"dominance": dominance(larger, difference, total)}
