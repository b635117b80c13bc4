"""Redundancy and synergy: a stage that is enough alone but hardly missed, and one that needs the others."""

from __future__ import annotations

from typing import Literal

from upbringing.attribution.contrasts.estimates import estimate
from upbringing.attribution.evidence.cells import Evidence, Source
from upbringing.attribution.evidence.design import Design
from upbringing.attribution.evidence.pivot import terms_of
from upbringing.attribution.statistics.equivalence import excludes_zero
from upbringing.attribution.statistics.inference import Inference
from upbringing.attribution.validity.validity import Validity
from upbringing.formats.tree import ContrastSpec

Pattern = Literal["overdetermined", "needs-others", "differ"]
SMALL = 0.5  # of the other: necessity and sufficiency of an effect that just adds up are equal
LITTLE = 0.25  # of the total: the large one reaches the total but for this, the small one does no more than this
KINDS = ("necessity", "sufficiency")


def pattern(
    evidence: Evidence, design: Design, validity: Validity, source: Source, spec: ContrastSpec
) -> Pattern | None:
    """Return whether necessity and sufficiency of one stage differ so much that either alone would mislead.

    They differ where the larger one's 95% interval leaves out zero, so does that of their difference, on the same
    side, and the smaller one is estimated at less than half of the larger. ``overdetermined``: besides, the total's
    interval leaves out zero, the sufficiency is estimated within a quarter of the total from it, and the necessity
    within that from zero. ``needs-others``: the same with the two exchanged. ``differ``: neither. ``None``: nothing is
    shown, or along one path (L1), where nothing may be. Source: our own reasoning.
    """
    if spec.kind not in KINDS or spec.level not in ("L2", "L3"):
        return None
    if not spec.counterpart or any(cell not in design.cells for cell in spec.counterpart):
        return None
    if validity.reasons((cell, source) for cell in spec.counterpart):
        return None
    necessity, sufficiency = spec.weights, spec.counterpart
    if spec.kind == "sufficiency":
        necessity, sufficiency = sufficiency, necessity
    cells = dict.fromkeys((*sufficiency, *necessity))
    apart = {cell: sufficiency.get(cell, 0.0) - necessity.get(cell, 0.0) for cell in cells}
    needed, enough, difference, total = (
        estimate(
            evidence, design, terms_of({cell: weight for cell, weight in weights.items() if weight}, source)
        ).inference
        for weights in (necessity, sufficiency, apart, _total(necessity, sufficiency))
    )
    if needed is None or enough is None or difference is None:
        return None
    if _is_dwarfed(needed, enough, difference, 1.0):
        return "overdetermined" if total is not None and _is_all_or_little(enough, needed, total) else "differ"
    if _is_dwarfed(enough, needed, difference, -1.0):
        return "needs-others" if total is not None and _is_all_or_little(needed, enough, total) else "differ"
    return None


def _total(necessity: dict[str, float], sufficiency: dict[str, float]) -> dict[str, float]:
    """Return all on - none on: where the necessity starts from and where the sufficiency does."""
    everything = {cell: weight for cell, weight in necessity.items() if weight > 0}
    nothing = {cell: weight for cell, weight in sufficiency.items() if weight < 0}
    return everything | nothing


def _is_all_or_little(large: Inference, small: Inference, total: Inference) -> bool:
    """Return whether ``large`` is about the whole of a total that is found, and ``small`` little of it."""
    little = LITTLE * abs(total.estimate)
    return excludes_zero(total) and abs(large.estimate - total.estimate) <= little and abs(small.estimate) <= little


def _is_dwarfed(small: Inference, large: Inference, difference: Inference, sign: float) -> bool:
    """Return whether ``small`` is shown to be less than ``large``: by ``sign`` x ``difference``, and less than half."""
    same_side = sign * difference.estimate * large.estimate > 0
    is_shown = excludes_zero(large) and excludes_zero(difference) and same_side
    return is_shown and abs(small.estimate) < SMALL * abs(large.estimate)
