"""The contrasts of a tree that declares none: every path, every arm against its control, every copy."""

from __future__ import annotations

from collections.abc import Iterable

from upbringing.attribution.design import Design, DesignCell
from upbringing.formats.tree import ContrastSpec, StudyInfo

Derived = tuple[str, str, str, dict[str, float]]
CONTROLS = ("reference", "placebo")


def default_contrasts(design: Design, study: StudyInfo, measures: Iterable[str]) -> tuple[ContrastSpec, ...]:
    """Return parent -> child in each arm (L1), arms against reference and placebo arms (L2), copies (nulls)."""
    derived = [*_paths(design), *_branches(design), *_copies(design)]
    return tuple(
        ContrastSpec.model_validate(
            {
                "name": name,
                "kind": kind,
                "level": level,
                "weights": weights,
                "measure": measure,
                "margin": study.margins.get(measure),
                "role": "primary" if measure in study.primary and kind != "copy" else "exploratory",
                "family": "null" if kind == "copy" else "exploratory",
            }
        )
        for measure in measures
        for name, kind, level, weights in derived
    )


def _paths(design: Design) -> Iterable[Derived]:
    """Yield each cell against the nearest cell of its arm that its checkpoints came from; shared edges once."""
    seen: set[tuple[tuple[str, ...], tuple[str, ...]]] = set()
    for cell in design.cells.values():
        before = _nearest(design, cell)
        if before is not None and (before.checkpoints, cell.checkpoints) not in seen and cell.control != "copy":
            seen.add((before.checkpoints, cell.checkpoints))
            name = f"{cell.arm}: {before.position} -> {cell.position}"
            yield name, "path", "L1", {cell.name: 1.0, before.name: -1.0}


def _nearest(design: Design, cell: DesignCell) -> DesignCell | None:
    others = {
        name: other
        for other in design.cells.values()
        if other.arm == cell.arm and other.position != cell.position
        for name in other.checkpoints
    }
    ancestors = design.path(cell.checkpoints[0])[1:]
    return next((others[name] for name in ancestors if name in others), None)


def _branches(design: Design) -> Iterable[Derived]:
    for control in design.cells.values():
        if control.control in CONTROLS:
            for cell in design.cells.values():
                same_place = cell.position == control.position and cell.arm != control.arm
                if same_place and cell.control not in (*CONTROLS, "copy") and cell.checkpoints != control.checkpoints:
                    name = f"{cell.arm} - {control.arm} @ {cell.position}"
                    yield name, "branch", "L2", {cell.name: 1.0, control.name: -1.0}


def _copies(design: Design) -> Iterable[Derived]:
    """Yield each copy against the arm it copies: the one with its checkpoints, else with its factors and states."""
    for copy in design.cells.values():
        if copy.control == "copy":
            originals = [
                cell for cell in design.cells.values() if cell.position == copy.position and cell.control != "copy"
            ]
            original = next((cell for cell in originals if cell.checkpoints == copy.checkpoints), None) or next(
                (cell for cell in originals if (cell.factors, cell.state) == (copy.factors, copy.state)), None
            )
            if original is not None:
                name = f"{copy.arm} - {original.arm} @ {copy.position}"
                yield name, "copy", "L2", {copy.name: 1.0, original.name: -1.0}
