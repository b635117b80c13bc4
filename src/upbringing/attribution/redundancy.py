"""Redundancy and synergy: a stage that is enough alone but hardly missed, and one that needs the others."""

from __future__ import annotations

from typing import Literal

from upbringing.attribution.cells import Evidence, Source
from upbringing.attribution.design import Design
from upbringing.attribution.equivalence import dominance
from upbringing.attribution.estimates import estimate
from upbringing.attribution.pivot import terms_of
from upbringing.formats.tree import ContrastSpec

Pattern = Literal["overdetermined", "needs-others"]
SMALL = 0.5  # of the other: necessity and sufficiency of an effect that just adds up are equal
KINDS = ("necessity", "sufficiency")


def pattern(evidence: Evidence, design: Design, source: Source, spec: ContrastSpec) -> Pattern | None:
    """Return whether necessity and sufficiency of one stage differ so much that either alone would mislead.

    ``overdetermined``: the sufficiency's 95% interval leaves out zero and the necessity lies within half of it (two
    one-sided 5% tests). ``needs-others``: the same with the two exchanged. ``None``: neither is shown.
    """
    if spec.kind not in KINDS or not spec.counterpart or any(cell not in design.cells for cell in spec.counterpart):
        return None
    necessity, sufficiency = spec.weights, spec.counterpart
    if spec.kind == "sufficiency":
        necessity, sufficiency = sufficiency, necessity
    if _is_within(evidence, design, source, necessity, sufficiency):
        return "overdetermined"
    return "needs-others" if _is_within(evidence, design, source, sufficiency, necessity) else None


def _is_within(
    evidence: Evidence, design: Design, source: Source, small: dict[str, float], large: dict[str, float]
) -> bool:
    """Return whether the contrast ``small`` is shown to lie within ``SMALL`` of ``large``."""
    cells = tuple(dict.fromkeys((*large, *small)))
    found = []
    for own, factor in ((0.0, 1.0), (1.0, -SMALL), (1.0, SMALL)):
        weights = {cell: own * small.get(cell, 0.0) + factor * large.get(cell, 0.0) for cell in cells}
        used = {cell: weight for cell, weight in weights.items() if weight}
        found.append(estimate(evidence, design, terms_of(used, source)).inference)
    larger, difference, total = found
    if larger is None or difference is None or total is None:
        return False
    return dominance(larger, difference, total) == "yes"
