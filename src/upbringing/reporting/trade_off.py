"""Safety against utility: every checkpoint by what it lets through and what it can do, and which one wins on both."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from upbringing.attribution.evidence.cells import Source
from upbringing.attribution.evidence.design import design_of
from upbringing.reporting.chart import Interval
from upbringing.reporting.differences import anchor_of
from upbringing.reporting.dominance import Compared, Difference, compared, dominance_sentence
from upbringing.reporting.figure import Figure, TableRow
from upbringing.reporting.inputs import Inputs
from upbringing.reporting.levels import UNIT_SHARE, axis_of, level_cells, note_of, primary_of, sources_of, title_of
from upbringing.reporting.lineage import Lineage, Node, lineage_of
from upbringing.reporting.picture import Level
from upbringing.reporting.runs import Runs
from upbringing.reporting.scatter import Side, Spot, scatter
from upbringing.reporting.upbringing import levels_of
from upbringing.reporting.words import decimals

MAX_SAFETY = 3  # properties with pictures of their own, as there are trees
LEAST_SPAN = 0.2  # of a scale of shares: narrower, and noise would look like a trade-off
ENDS = ("estimate", "low", "high")


@dataclass(frozen=True)
class PairLine:
    """Two cells that were compared on both measures. The places are those of the claims in the page."""

    pair: str
    safety: str
    safety_place: str
    utility: str
    utility_place: str
    level: str
    word: str


@dataclass(frozen=True)
class TradeOff:
    """A picture of safety against utility, what it shows, and the pairs that this rests on."""

    figure: Figure
    sentence: str
    pairs: tuple[PairLine, ...]
    columns: tuple[str, str]


@dataclass(frozen=True)
class _Asked:
    """A measure of safety and one of utility with the level of every node of the tree."""

    safety: Source
    utility: Source
    levels: Mapping[Source, Sequence[Level]]

    def of(self, node: Node) -> tuple[Level, Level]:
        return self.levels[self.safety][node.index], self.levels[self.utility][node.index]


def trade_offs_of(inputs: Inputs, runs: Runs) -> tuple[TradeOff, ...]:
    """Return a picture per primary measure of safety and measure of utility; none where nothing has both.

    What a measure is of stands in the tree: a direction that is ``safer`` is safety, one that is ``better`` utility.
    Utility that is better when higher comes first, so that costs such as over-refusal follow.
    """
    lineage = lineage_of(inputs.tree)
    return tuple(_trade_off(inputs, lineage, asked) for asked in _all_asked(inputs, runs, lineage))


def _all_asked(inputs: Inputs, runs: Runs, lineage: Lineage) -> Iterator[_Asked]:
    safety, utility = _sources(inputs)
    levels = {source: levels_of(inputs, runs, lineage, source) for source in (*safety, *utility)}
    for one in safety:
        for other in utility:
            asked = _Asked(one, other, levels)
            if any(_is_known(asked.of(node)) for node in lineage.nodes):
                yield asked


def _sources(inputs: Inputs) -> tuple[list[Source], list[Source]]:
    every = list(sources_of(inputs))
    directions = {source: inputs.measure(source.measure).direction for source in every}
    safety = [source for source in every if directions[source].endswith("-is-safer")]
    primary = [source for source in safety if source.measure in primary_of(inputs)]
    utility = [source for source in every if directions[source].endswith("-is-better")]
    return (primary or safety[:1])[:MAX_SAFETY], sorted(utility, key=lambda source: directions[source])


def _is_known(levels: tuple[Level, Level]) -> bool:
    return all(level.found is not None for level in levels)


def _trade_off(inputs: Inputs, lineage: Lineage, asked: _Asked) -> TradeOff:
    names = [_name(inputs, source) for source in (asked.safety, asked.utility)]
    title = f"{names[0]} against {names[1]}"
    sides = [_side(inputs, source, asked.levels[source]) for source in (asked.safety, asked.utility)]
    places = [decimals(side.high - side.low) for side in sides]
    pairs = compared(inputs, asked.safety, asked.utility)
    chart = scatter(
        _spots(lineage, asked, names, places),
        sides[1],
        sides[0],
        title=title,
        description=f"{names[0]} upwards, {names[1]} to the right, a mark per checkpoint; the table holds the values.",
    )
    rows = tuple(TableRow(_place(node), _cells(asked.of(node), places)) for node in lineage.nodes)
    columns = ("checkpoint", names[0], "its interval", "single runs", names[1], "its interval", "single runs")
    notes = [note_of(inputs, source) for source in (asked.safety, asked.utility)]
    note = "; ".join(f"{name}: {note}" for name, note in zip(names, notes, strict=True))
    return TradeOff(
        Figure(title, note, chart, columns, rows),
        dominance_sentence(pairs, *names),
        tuple(_line(pair) for pair in pairs),
        (names[0], names[1]),
    )


def _place(node: Node) -> str:
    return f"{node.label} @ {node.position}"


def _side(inputs: Inputs, source: Source, levels: Sequence[Level]) -> Side:
    """Return the scale of a measure: of shares no more than what holds every value, with room."""
    low, high = axis_of(inputs, source, levels)
    info = inputs.measure(source.measure)
    if info.unit == UNIT_SHARE:
        values = [value for level in levels if level.found is not None for value in level.found.values]
        least, most = min(values), max(values)
        room = max((most - least) * 0.08, (LEAST_SPAN - (most - least)) / 2)
        low, high = min(max(0.0, least - room), least), max(min(1.0, most + room), most)
    word, side = info.direction.partition("-is-")[::2]
    unit = "" if info.unit in ("", UNIT_SHARE) else f", {info.unit}"
    return Side(low, high, f"{_name(inputs, source)}{unit} ({word} is {side})")


def _name(inputs: Inputs, source: Source) -> str:
    """Return the measure's name, with its id where another measure has the same one."""
    label = inputs.label(source.measure)
    is_alone = [inputs.label(info.id) for info in inputs.tree.measures].count(label) < 2
    return title_of(inputs, source) + ("" if is_alone else f" ({source.measure})")


def _spots(lineage: Lineage, asked: _Asked, names: Sequence[str], places: Sequence[int]) -> list[Spot]:
    known = [node for node in lineage.nodes if _is_known(asked.of(node))]
    order = {node.index: place for place, node in enumerate(known)}
    spots = []
    for node in known:
        safety, utility = (level.found for level in asked.of(node))
        assert safety is not None and utility is not None  # noqa: PT018 - one fact for the type checker
        before = _nearest(lineage, node, order)
        detail = "; ".join(
            f"{name} {' '.join(level_cells(level, each)[:2])}"
            for name, level, each in zip(names, asked.of(node), places, strict=True)
        )
        runs = _runs(utility, safety)
        spots.append(Spot(utility, safety, node.style, node.label, f"{_place(node)}: {detail}", before, runs))
    return spots


def _runs(across: Interval, up: Interval) -> tuple[tuple[float, float], ...]:
    """Return the points of single runs; none where one of the two is not known of every run."""
    return tuple(zip(across.seeds, up.seeds, strict=True)) if len(across.seeds) == len(up.seeds) else ()


def _nearest(lineage: Lineage, node: Node, order: Mapping[int, int]) -> int | None:
    """Return the place of the nearest ancestor that is drawn."""
    above = node.parent
    while above is not None and above not in order:
        above = lineage.nodes[above].parent
    return None if above is None else order[above]


def _cells(levels: tuple[Level, Level], places: Sequence[int]) -> tuple[str, ...]:
    return tuple(cell for level, each in zip(levels, places, strict=True) for cell in level_cells(level, each)[:3])


def _line(pair: Compared) -> PairLine:
    return PairLine(
        f"{pair.one} − {pair.other}",
        _told(pair.safety),
        anchor_of(pair.safety.claim),
        _told(pair.utility),
        anchor_of(pair.utility.claim),
        pair.level,
        pair.word,
    )


def _told(found: Difference) -> str:
    return found.text if found.estimate is not None else "no number"


def trade_off_tables(inputs: Inputs) -> dict[str, list[dict[str, Any]]]:
    """Return the pictures as tables of numbers: the levels of every node, and the pairs compared on both."""
    lineage = lineage_of(inputs.tree)
    points: list[dict[str, Any]] = []
    pairs: list[dict[str, Any]] = []
    for asked in _all_asked(inputs, Runs(None, design_of(inputs.tree)), lineage):
        sides = {"safety": asked.safety, "utility": asked.utility}
        head = {f"{side}{part}": value for side, source in sides.items() for part, value in _named(source).items()}
        for node in lineage.nodes:
            found = [level.found for level in asked.of(node)]
            numbers = zip(sides, found, strict=True)
            points.append(
                {**head, "cells": list(node.cells)}
                | {f"{side}_{part}": getattr(level, part, None) for side, level in numbers for part in ENDS}
            )
        for pair in compared(inputs, asked.safety, asked.utility):
            both = {"safety": pair.safety, "utility": pair.utility}
            numbers_of = {f"{side}_{part}": getattr(each, part) for side, each in both.items() for part in ENDS}
            ids = {f"{side}_claim": each.claim.id for side, each in both.items()}
            pairs.append(
                {**head, "one": pair.one, "other": pair.other, **numbers_of, **ids}
                | {"level": pair.level, "says": pair.word}
            )
    return {"trade_off": points, "trade_off_pairs": pairs}


def _named(source: Source) -> dict[str, str | None]:
    return {"": source.measure, "_condition": source.condition, "_split": source.split, "_judge": source.judge}
