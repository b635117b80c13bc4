"""Redundancy and synergy: a stage that is enough alone but hardly missed, and one that needs the others."""

from __future__ import annotations

from typing import Literal

from upbringing.attribution.cells import Evidence, Source
from upbringing.attribution.design import Design
from upbringing.attribution.equivalence import excludes_zero
from upbringing.attribution.estimates import estimate
from upbringing.attribution.inference import Inference
from upbringing.attribution.pivot import terms_of
from upbringing.attribution.validity import Validity
from upbringing.formats.tree import ContrastSpec

Pattern = Literal["overdetermined", "needs-others"]
SMALL = 0.5  # of the other: necessity and sufficiency of an effect that just adds up are equal
KINDS = ("necessity", "sufficiency")


def pattern(
    evidence: Evidence, design: Design, validity: Validity, source: Source, spec: ContrastSpec
) -> Pattern | None:
    """Return whether necessity and sufficiency of one stage differ so much that either alone would mislead.

    ``overdetermined``: the sufficiency's 95% interval leaves out zero, so does that of sufficiency - necessity, on the
    same side, and the necessity is estimated at less than half of the sufficiency. ``needs-others``: the same with the
    two exchanged. ``None``: neither is shown. Source: our own reasoning.
    """
    if spec.kind not in KINDS or not spec.counterpart or any(cell not in design.cells for cell in spec.counterpart):
        return None
    if validity.reasons((cell, source) for cell in spec.counterpart):
        return None
    necessity, sufficiency = spec.weights, spec.counterpart
    if spec.kind == "sufficiency":
        necessity, sufficiency = sufficiency, necessity
    cells = dict.fromkeys((*sufficiency, *necessity))
    apart = {cell: sufficiency.get(cell, 0.0) - necessity.get(cell, 0.0) for cell in cells}
    needed, enough, difference = (
        estimate(
            evidence, design, terms_of({cell: weight for cell, weight in weights.items() if weight}, source)
        ).inference
        for weights in (necessity, sufficiency, apart)
    )
    if needed is None or enough is None or difference is None:
        return None
    if _is_dwarfed(needed, enough, difference, 1.0):
        return "overdetermined"
    return "needs-others" if _is_dwarfed(enough, needed, difference, -1.0) else None


def _is_dwarfed(small: Inference, large: Inference, difference: Inference, sign: float) -> bool:
    """Return whether ``small`` is shown to be less than ``large``: by ``sign`` x ``difference``, and less than half."""
    same_side = sign * difference.estimate * large.estimate > 0
    is_shown = excludes_zero(large) and excludes_zero(difference) and same_side
    return is_shown and abs(small.estimate) < SMALL * abs(large.estimate)
