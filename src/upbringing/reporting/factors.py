"""What a property does along a factor of the design: doses and timings as curves, two-by-two designs as crossings."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import combinations

from upbringing.base.quantities import parse_count, parse_share
from upbringing.formats.findings import Claim
from upbringing.formats.tree import Tree
from upbringing.reporting.lineage import positions_of

MIN_DOSES = 3  # two points are a difference, not a curve
TOLD = ("dose of ", "start of ")  # of settings that no arm declares: what its stages turned out to give


@dataclass(frozen=True)
class Place:
    """A cell at a level of the factor. ``x``: the level as a number, or its place among the levels."""

    x: float
    level: str
    cell: str


@dataclass(frozen=True)
class Plan:
    """One picture of a factor at one position: its places per setting of the other factors.

    ``crossed``: the factor whose two levels are the two lines of a crossing; empty for a curve. ``setting``: the
    levels of further factors, the same in the whole picture.
    """

    factor: str
    position: str
    lines: Mapping[str, tuple[Place, ...]]
    crossed: str = ""
    setting: str = ""

    @property
    def cells(self) -> frozenset[str]:
        """All cells of the picture."""
        return frozenset(place.cell for places in self.lines.values() for place in places)


def plans_of(tree: Tree) -> tuple[Plan, ...]:
    """Return the pictures that the design carries: numeric factors as curves, complete two-by-twos as crossings."""
    found: list[Plan] = []
    for position in positions_of(tree):
        cells = _cells(tree, position)
        found += _curves(cells, position)
        found += _crossings(cells, position)
    return tuple(found)


def claims_about(plan: Plan, claims: Iterable[Claim]) -> Iterator[Claim]:
    """Yield the claims that compare the cells of ``plan`` as a whole: an interaction, a trend, a dose's effect."""
    for claim in claims:
        cells = frozenset(claim.weights)
        is_whole = cells == plan.cells if plan.crossed else len(cells) >= MIN_DOSES and cells <= plan.cells
        if is_whole and claim.kind != "main-effect":
            yield claim


Settings = Mapping[str, str]


def _cells(tree: Tree, position: str) -> dict[str, Settings]:
    """Return the settings of every cell at a position: its factors, and when and how much its stages gave.

    Cells with the same checkpoints are one: there the factors have made no difference yet.
    """
    found: dict[str, Settings] = {}
    taken: dict[str, str] = {}
    stages = {checkpoint.id: checkpoint.stages for checkpoint in tree.checkpoints}
    for cell in tree.cells:
        first = taken.setdefault(cell.checkpoint, cell.name)
        if cell.position != position or cell.control == "copy" or cell.name in found or first != cell.name:
            continue
        told = {
            f"{word} of {stage.role}": f"{value:.2g}"  # realised doses of one plan differ by a window
            for stage in stages.get(cell.checkpoint, ())
            for word, value in (("dose", stage.dose), ("start", stage.start))
            if value is not None
        }
        found[cell.name] = {**told, **cell.factors}
    return found


def number_of(level: str) -> float | None:
    """Return a level such as ``0.25``, ``20%`` or ``2M`` as a number; ``None`` for a name."""
    for parse in (parse_share, parse_count):
        try:
            return float(parse(level))
        except ValueError:
            continue
    try:
        number = float(level)
    except ValueError:
        return None
    return number if math.isfinite(number) else None


def _curves(cells: Mapping[str, Settings], position: str) -> Iterator[Plan]:
    for factor in _factors(cells):
        places: dict[str, list[Place]] = {}
        without = (factor, *_tied(cells, factor), *_told_by(cells, factor))
        for cell, settings in cells.items():
            number = number_of(settings[factor]) if factor in settings else None
            if number is not None:
                places.setdefault(_others(settings, without), []).append(Place(number, settings[factor], cell))
        lines = {
            name: tuple(sorted(found, key=lambda place: place.x))
            for name, found in places.items()
            if len({place.x for place in found}) == len(found) >= MIN_DOSES
        }
        if lines:
            yield Plan(factor, position, lines)


def _crossings(cells: Mapping[str, Settings], position: str) -> Iterator[Plan]:
    factors = _factors(cells)
    told = {name for factor in factors if not factor.startswith(TOLD) for name in _told_by(cells, factor)}
    for across, between in combinations([name for name in factors if name not in told], 2):
        both = {cell: found for cell, found in cells.items() if across in found and between in found}
        without = (across, between, *_told_by(cells, across), *_told_by(cells, between))
        for others in dict.fromkeys(_others(settings, without) for settings in both.values()):
            same = {cell: s for cell, s in both.items() if _others(s, without) == others}
            plan = _crossing(same, across, between, position)
            if plan is not None:
                yield replace(plan, setting=others)


def _crossing(cells: Mapping[str, Settings], across: str, between: str, position: str) -> Plan | None:
    """Return the picture of a complete two-by-two with one cell per combination, else ``None``.

    Levels that meet only one level of the other factor, such as a positive control's, are no part of it.
    """
    met = [(found[across], found[between]) for found in cells.values()]
    columns = [level for level in dict.fromkeys(pair[0] for pair in met) if len({b for a, b in met if a == level}) > 1]
    rows = [level for level in dict.fromkeys(pair[1] for pair in met) if len({a for a, b in met if b == level}) > 1]
    inside = [pair for pair in met if pair[0] in columns and pair[1] in rows]
    if [len(columns), len(rows), len(inside), len(set(inside))] != [2, 2, 4, 4]:
        return None
    by_setting = {(found[across], found[between]): cell for cell, found in cells.items()}
    lines = {
        row: tuple(Place(float(x), column, by_setting[column, row]) for x, column in enumerate(columns)) for row in rows
    }
    return Plan(across, position, lines, crossed=between)


def _factors(cells: Mapping[str, Settings]) -> list[str]:
    """Return the factors that vary, in the order of their first use."""
    names = dict.fromkeys(name for settings in cells.values() for name in settings)
    return [name for name in names if len({found[name] for found in cells.values() if name in found}) > 1]


def _tied(cells: Mapping[str, Settings], factor: str) -> list[str]:
    """Return the factors that go with ``factor`` one to one, such as a dose that follows from its start."""
    found = []
    for name in _factors(cells):
        pairs = {(each[factor], each[name]) for each in cells.values() if factor in each and name in each}
        sides = [{pair[side] for pair in pairs} for side in (0, 1)]
        if name != factor and pairs and len(sides[0]) == len(sides[1]) == len(pairs):
            found.append(name)
    return found


def _told_by(cells: Mapping[str, Settings], factor: str) -> list[str]:
    """Return the doses and starts of stages that follow from ``factor``: each level goes with one, or with none."""
    names = dict.fromkeys(name for settings in cells.values() for name in settings if name.startswith(TOLD))
    known = [settings for settings in cells.values() if factor in settings]
    found = []
    for name in names:
        levels = {(settings[factor], settings.get(name)) for settings in known}
        if name != factor and len(levels) == len({level for level, _ in levels}):
            found.append(name)
    return found


def _others(settings: Settings, without: Sequence[str]) -> str:
    """Return the other settings; a bare number says nothing, so the name of its factor follows it."""
    return ", ".join(
        level if number_of(level) is None else f"{level} {name}"
        for name, level in settings.items()
        if name not in without
    )
