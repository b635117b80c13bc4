"""Curves over doses and timings, and crossings of two factors, for every property that was measured on them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from upbringing.attribution.evidence.cells import Source
from upbringing.reporting.curves import Point, Scale, Series, curves
from upbringing.reporting.differences import anchor_of
from upbringing.reporting.factors import TOLD, Place, Plan, claims_about, plans_of
from upbringing.reporting.figure import Figure, TableRow
from upbringing.reporting.inputs import Inputs
from upbringing.reporting.levels import (
    LEVEL_COLUMNS,
    axis_of,
    cell_levels,
    level_cells,
    note_of,
    primary_of,
    sources_of,
    title_of,
)
from upbringing.reporting.picture import Level, detail_of
from upbringing.reporting.runs import Runs
from upbringing.reporting.words import decimals

ABSENT = Level(None, is_measured=False)


@dataclass(frozen=True)
class DesignFigure:
    """A picture of a factor with the claims that speak about it: (sentence, anchor)."""

    figure: Figure
    is_primary: bool
    claims: tuple[tuple[str, str], ...]


def designs_of(inputs: Inputs, runs: Runs) -> tuple[DesignFigure, ...]:
    """Return a picture per property and factor, primary properties first; nothing where the design has no factors."""
    plans = plans_of(inputs.tree)
    found = []
    for source in sources_of(inputs) if plans else ():
        levels = cell_levels(inputs, runs, source)
        for plan in plans:
            figure = _figure(inputs, plan, source, levels)
            if figure is not None:
                claims = tuple(
                    (claim.sentence or claim.contrast, anchor_of(claim))
                    for claim in claims_about(plan, inputs.findings.claims)
                    if (claim.measure, claim.condition) == (source.measure, source.condition)
                    and claim.split in (source.split, None)
                )
                found.append(DesignFigure(figure, source.measure in primary_of(inputs), claims))
    return tuple(sorted(found, key=lambda each: not each.is_primary))


def _figure(inputs: Inputs, plan: Plan, source: Source, levels: Mapping[str, Level]) -> Figure | None:
    lines = {name: [place for place in places if _is_known(levels, place)] for name, places in plan.lines.items()}
    if any(len(places) < 2 for places in lines.values()):
        return None
    everywhere = [levels[place.cell] for places in lines.values() for place in places]
    axis = axis_of(inputs, source, everywhere)
    title = f"{title_of(inputs, source)} by {_factor(plan)}"
    series = [
        Series(name, tuple(_point(levels, place, _place_name(name, place, plan), axis) for place in places))
        for name, places in lines.items()
    ]
    places = decimals(axis[1] - axis[0])
    rows = [
        TableRow(_place_name(name, place, plan), level_cells(levels.get(place.cell, ABSENT), places))
        for name, found in plan.lines.items()
        for place in found
    ]
    note = " · ".join(filter(None, (f"after {plan.position}", plan.setting, note_of(inputs, source))))
    chart = curves(series, _scale(plan), axis, title=f"{title}, {note}")
    return Figure(title, note, chart, ("setting", *LEVEL_COLUMNS[1:]), tuple(rows))


def _is_known(levels: Mapping[str, Level], place: Place) -> bool:
    return place.cell in levels and levels[place.cell].found is not None


def _point(levels: Mapping[str, Level], place: Place, name: str, axis: tuple[float, float]) -> Point:
    level = levels[place.cell]
    assert level.found is not None
    return Point(place.x, level.found, detail_of(name, place.cell.partition("@")[2], level, axis))


def _factor(plan: Plan) -> str:
    return f"{plan.factor} and {plan.crossed}" if plan.crossed else plan.factor


def _scale(plan: Plan) -> Scale:
    places: Sequence[Place] = [place for found in plan.lines.values() for place in found]
    ticks = {place.x: place.level for place in places}
    share = ", share of the stage" if plan.factor.startswith(TOLD) else ""
    name = f"{plan.factor}; a line per {plan.crossed}" if plan.crossed else f"{plan.factor}{share}"
    return Scale(tuple(sorted(ticks.items())), name)


def _place_name(line: str, place: Place, plan: Plan) -> str:
    levels = f"{plan.factor} {place.level}"
    return f"{levels}, {plan.crossed} {line}" if plan.crossed else ", ".join(filter(None, (levels, line)))
