"""The contrasts of a tree that declares none: every path, every arm against its reference, every copy."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import pairwise

from upbringing.attribution.design import Design
from upbringing.formats.tree import ContrastSpec


def default_contrasts(design: Design, measures: Iterable[str]) -> tuple[ContrastSpec, ...]:
    """Return neighbouring positions of each arm (L1), then arms against the reference or placebo arm (L2)."""
    positions: dict[str, list[str]] = {}
    controls: dict[str, str] = {}
    for cell in design.cells.values():
        positions.setdefault(cell.arm, []).append(cell.position)
        controls[cell.arm] = cell.control
    pairs: list[tuple[str, str, str, dict[str, float]]] = []
    for arm, places in positions.items():
        for before, after in pairwise(places):
            pairs.append(
                (f"{arm}: {before} -> {after}", "path", "L1", {f"{arm}@{after}": 1.0, f"{arm}@{before}": -1.0})
            )
    reference = next((arm for arm, control in controls.items() if control in ("reference", "placebo")), None)
    for arm, places in positions.items():
        if reference is not None and arm != reference:
            for place in places:
                if place in positions[reference]:
                    weights = {f"{arm}@{place}": 1.0, f"{reference}@{place}": -1.0}
                    pairs.append((f"{arm} - {reference} @ {place}", "branch", "L2", weights))
    return tuple(
        ContrastSpec.model_validate(
            {"name": name, "kind": kind, "level": level, "weights": weights, "measure": measure}
        )
        for measure in measures
        for name, kind, level, weights in pairs
    )
