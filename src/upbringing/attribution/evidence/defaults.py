"""The contrasts of a tree that declares none: paths, branches, three arms, factorial tables, copies."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from upbringing.attribution.evidence.design import Design, DesignCell
from upbringing.formats.effects.branches import branch_kind, by_arm, lasting_difference, three_arms
from upbringing.formats.effects.derived import Derived, supporting, without_repeats
from upbringing.formats.effects.factorial import factorial_effects, lasting_effects
from upbringing.formats.effects.places import Place, factorials, trained_arms
from upbringing.formats.effects.recipes import DATA, are_at_one_depth
from upbringing.formats.tree import ContrastSpec, StageInfo, StudyInfo

CONTROLS = ("reference", "placebo")


def default_contrasts(design: Design, study: StudyInfo, measures: Iterable[str]) -> tuple[ContrastSpec, ...]:
    """Return what the design supports: L1 along each arm, L2 between branches, L3 in factorial tables, copies as nulls.

    Whatever has a cell of edited weights is L4.
    Only paths and branches on primary measures are primary, whatever else the same difference is called: what else is
    asked was not named in advance.
    """
    places = places_of(design)
    trained, edited = trained_arms(places), {place.name for place in places if place.is_edited}
    tables = factorials(trained)
    crossed = [*(each for table in tables for each in factorial_effects(table)), *lasting_effects(tables)]
    paths, branches = tuple(_paths(design)), tuple(_branches(places))
    asked = without_repeats((*three_arms(trained), *crossed, *branches, *_lasting(places), *_stand_ins(design)))
    return tuple(
        each.spec(
            measure,
            study.margins.get(measure),
            "primary" if measure in study.primary and each.is_named else "exploratory",
            "null" if each.kind == "copy" else "exploratory",
        )
        for measure in measures
        for each in supporting((*paths, *asked, *_copies(design)), edited)
    )


def places_of(design: Design) -> tuple[Place, ...]:
    """Return the design's cells as places, in order; those of one arm in the order in which they were trained."""
    arms: dict[str, list[DesignCell]] = {}
    for cell in design.cells.values():
        arms.setdefault(cell.arm, []).append(cell)
    trained = {arm: iter(sorted(cells, key=lambda each: _depth(design, each))) for arm, cells in arms.items()}
    return tuple(_place(design, next(trained[cell.arm])) for cell in design.cells.values())


def _depth(design: Design, cell: DesignCell) -> int:
    return len(design.path(cell.checkpoints[0]))


def _place(design: Design, cell: DesignCell) -> Place:
    stages = [design.checkpoints[name].stages for name in cell.checkpoints if name in design.checkpoints]
    recipe = _stated([each[-1] for each in stages if each])
    is_edited = design.is_edited(cell.name)
    return Place(cell.arm, cell.position, cell.factors, cell.state, cell.control, cell.checkpoints, recipe, is_edited)


def _stated(stages: Sequence[StageInfo]) -> tuple[tuple[str, frozenset[str]], ...]:
    """Return what replicates of a stage state of their recipe; how many tokens were generated is none of it."""
    values: dict[str, list[object]] = {
        "kind": [each.kind for each in stages],
        DATA: [each.data_sha256 for each in stages],
        "teacher": [each.teacher.id for each in stages if each.teacher is not None],
        **{name: [getattr(each, name) for each in stages] for name in ("examples", "updates", "lr_sum", "dose")},
        "from": [each.start for each in stages],
    }
    known = {fact: frozenset(str(value) for value in found if value is not None) for fact, found in values.items()}
    return tuple((fact, found) for fact, found in known.items() if found)


def _paths(design: Design) -> Iterable[Derived]:
    """Yield each cell against the nearest cell of its arm that its checkpoints came from; shared edges once."""
    seen: set[tuple[tuple[str, ...], tuple[str, ...]]] = set()
    wholes = {arm: _whole_path(design, arm) for arm in dict.fromkeys(cell.arm for cell in design.cells.values())}
    for cell in design.cells.values():
        before = _nearest(design, cell)
        if before is not None and (before.checkpoints, cell.checkpoints) not in seen and cell.control != "copy":
            seen.add((before.checkpoints, cell.checkpoints))
            name = f"{cell.arm}: {before.position} -> {cell.position}"
            weights = {cell.name: 1.0, before.name: -1.0}
            yield Derived(name, "path", "L1", weights, share_of=wholes[cell.arm], is_named=True)


def _whole_path(design: Design, arm: str) -> dict[str, float]:
    """Return the weights of last - first of an arm that is one chain of three trained cells or more; else nothing."""
    cells = [cell for cell in design.cells.values() if cell.arm == arm and not design.is_edited(cell.name)]
    before = {cell.name: _nearest(design, cell) for cell in cells}
    used = [cell.name for cell in before.values() if cell is not None]
    first = [name for name, cell in before.items() if cell is None]
    last = [cell.name for cell in cells if cell.name not in used]
    is_chain = len(cells) > 2 and len(first) == len(last) == 1 and len(set(used)) == len(used)
    return {last[0]: 1.0, first[0]: -1.0} if is_chain else {}


def _nearest(design: Design, cell: DesignCell) -> DesignCell | None:
    others = {
        name: other
        for other in design.cells.values()
        if other.arm == cell.arm and other.position != cell.position
        for name in other.checkpoints
    }
    ancestors = design.path(cell.checkpoints[0])[1:]
    return next((others[name] for name in ancestors if name in others), None)


def _branches(places: Sequence[Place]) -> Iterable[Derived]:
    arms = by_arm(places)
    for control in places:
        if control.control in CONTROLS:
            for place in places:
                is_other = place.position == control.position and place.arm != control.arm
                if not is_other or place.control in (*CONTROLS, "copy") or place.identity == control.identity:
                    continue
                if are_at_one_depth(arms[place.arm], arms[control.arm], place.position):
                    name = f"{place.arm} - {control.arm} @ {place.position}"
                    weights = {place.name: 1.0, control.name: -1.0}
                    yield Derived(name, branch_kind(place, control), "L2", weights, is_named=True)


def _lasting(places: Sequence[Place]) -> Iterable[Derived]:
    """Yield what the last stage left of the difference between each arm and its controls."""
    arms = by_arm(places)
    for control, against in arms.items():
        if next(iter(against.values())).control in CONTROLS:
            for name, found in arms.items():
                if name != control and next(iter(found.values())).control not in (*CONTROLS, "copy"):
                    yield from lasting_difference(found, against)


def _stand_ins(design: Design) -> Iterable[Derived]:
    """Yield every cell of edited weights against the retrained one that it stands for, where that is here."""
    for cell in design.cells.values():
        if cell.stands_for in design.cells:
            weights = {cell.name: 1.0, str(cell.stands_for): -1.0}
            yield Derived(f"{cell.name} - {cell.stands_for}", "stand-in", "L4", weights)


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
                yield Derived(name, "copy", "L2", {copy.name: 1.0, original.name: -1.0})
