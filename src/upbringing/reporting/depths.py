"""Attack success over how many tokens of a complying answer were prefilled: a curve per checkpoint."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from upbringing.attribution.effects.depth_areas import Depths, area_line
from upbringing.attribution.evidence.cells import Source
from upbringing.formats.tree import ConditionInfo
from upbringing.reporting.chart import NUM_STYLES
from upbringing.reporting.curves import Point, Scale, Series, curves
from upbringing.reporting.designs import DesignFigure
from upbringing.reporting.figure import Figure, TableRow
from upbringing.reporting.inputs import Inputs
from upbringing.reporting.levels import LEVEL_COLUMNS, axis_of, level_cells, note_of, primary_of, sources_of
from upbringing.reporting.lineage import Lineage, Node, lineage_of
from upbringing.reporting.picture import Level, detail_of
from upbringing.reporting.runs import Runs, runs_of
from upbringing.reporting.upbringing import levels_of
from upbringing.reporting.words import DASH, count, decimals, interval, plain

MIN_DEPTHS = 2
SCALE = "answer tokens prefilled, spaced as log₂"  # of one more, so that 1 and 2 stand apart where 20 is the last

Levels = Mapping[int, Sequence[Level]]
"""Per depth the level of every node of the lineage."""


def depths_of(inputs: Inputs, runs: Runs) -> tuple[DesignFigure, ...]:
    """Return the curves over prefill depth, primary measures first: one picture per measure, decoding and position.

    A line per checkpoint, at most six in a picture. Depth 0 is drawn where the same measure asked without a prefill.
    """
    lineage = lineage_of(inputs.tree)
    found = [
        DesignFigure(figure, measure in primary_of(inputs), ())
        for measure, sources in _all_sources(inputs)
        for figure in _figures(inputs, runs, lineage, sources)
    ]
    return tuple(sorted(found, key=lambda each: not each.is_primary))


def _all_sources(inputs: Inputs) -> Iterator[tuple[str, dict[int, Source]]]:
    """Yield each measure with its scores by depth, which differ in nothing but the depth."""
    conditions = {info.id: info for info in inputs.tree.conditions}
    groups: dict[tuple[str, ...], dict[int, Source]] = {}
    for source in sources_of(inputs):
        info = conditions.get(source.condition)
        depth = None if info is None else _depth(info)
        if info is not None and depth is not None:
            judged = (source.judge, source.split or "")
            alike: tuple[str, ...] = (source.measure, info.elicitation or "", info.decoding or "", *judged)
            groups.setdefault(alike, {})[depth] = source
    for (measure, *_), sources in groups.items():
        if len(sources) >= MIN_DEPTHS and max(sources) > 0:
            yield measure, dict(sorted(sources.items()))


def _depth(info: ConditionInfo) -> int | None:
    """Return how many tokens were prefilled; ``None`` for an attack of another kind."""
    if info.prefill_tokens is None and info.attack is None:
        return 0
    return info.prefill_tokens


def _figures(inputs: Inputs, runs: Runs, lineage: Lineage, sources: Mapping[int, Source]) -> Iterator[Figure]:
    levels = {depth: levels_of(inputs, runs, lineage, source) for depth, source in sources.items()}
    for position in lineage.positions:
        nodes = [node for node in lineage.nodes if node.position == position and len(_known(levels, node)) > 1]
        parts = [nodes[start : start + NUM_STYLES] for start in range(0, len(nodes), NUM_STYLES)]
        for number, part in enumerate(parts, start=1):
            which = f" ({number} of {len(parts)})" if len(parts) > 1 else ""
            yield _figure(inputs, runs, sources, levels, part, which)


def _known(levels: Levels, node: Node) -> list[int]:
    return [depth for depth, found in levels.items() if found[node.index].found is not None]


def _figure(inputs: Inputs, runs: Runs, sources: Depths, levels: Levels, nodes: Sequence[Node], which: str) -> Figure:
    source = next(iter(sources.values()))
    axis = axis_of(inputs, source, [found[node.index] for found in levels.values() for node in nodes])
    series = [
        Series(node.label, tuple(_point(levels, node, depth, axis) for depth in _known(levels, node))) for node in nodes
    ]
    places = decimals(axis[1] - axis[0])
    rows = [
        *(
            TableRow(f"{node.label} @ {node.position}, depth {depth}", level_cells(found[node.index], places))
            for node in nodes
            for depth, found in levels.items()
        ),
        *(row for node in nodes for row in _area_rows(runs, node, sources, levels, places)),
    ]
    title = f"{inputs.label(source.measure)} by prefill depth{which}"
    info = next(each for each in inputs.tree.conditions if each.id == source.condition)
    parts = (f"after {nodes[0].position}", info.elicitation, info.decoding, note_of(inputs, source))
    note = " · ".join(part for part in parts if part)
    scale = Scale(tuple((_place(depth), str(depth)) for depth in levels), SCALE)
    chart = curves(series, scale, axis, title=f"{title}, {note}")
    return Figure(title, note, chart, ("checkpoint and depth", *LEVEL_COLUMNS[1:]), tuple(rows))


def _area_rows(runs: Runs, node: Node, sources: Depths, levels: Levels, places: int) -> Iterator[TableRow]:
    """Yield the mean over all depths, where every depth may be read."""
    cell = next(iter(node.cells), None)
    if runs.evidence is None or cell is None or len(_known(levels, node)) < len(levels):
        return
    found = area_line(runs.evidence, runs.design, {cell: 1.0}, sources)
    if found["estimate"] is not None:
        limits = interval(found["low"], found["high"], places, difference=False)
        cells = (plain(found["estimate"], places), limits or DASH, DASH, count(found["clusters"]), DASH)
        yield TableRow(f"{node.label} @ {node.position}, mean over depths {min(sources)} to {max(sources)}", cells)


def area_tables(inputs: Inputs) -> dict[str, list[dict[str, Any]]]:
    """Return the areas under the curves as a table of numbers: of every cell, then of every contrast of the claims.

    A cell whose level at one of the depths may not be read has none. Contrasts are exploratory: their p-values are not
    corrected for how many there are; they allow for the errors of an unchecked rule as the claims do.
    """
    runs = runs_of(inputs)
    if runs.evidence is None:
        return {}
    lineage = lineage_of(inputs.tree)
    lines: list[dict[str, Any]] = []
    for measure, sources in _all_sources(inputs):
        levels = {depth: levels_of(inputs, runs, lineage, source) for depth, source in sources.items()}
        read = [node for node in lineage.nodes if len(_known(levels, node)) == len(levels)]
        cells = list(dict.fromkeys(cell for node in read for cell in node.cells))
        asked = {cell: {cell: 1.0} for cell in cells}
        gaps: dict[str, float] = {}
        for claim in inputs.findings.claims:
            if claim.measure == measure and claim.weights and set(claim.weights) <= set(cells):
                asked.setdefault(claim.contrast, dict(claim.weights))
                gaps[claim.contrast] = max(gaps.get(claim.contrast, 0.0), claim.error_gap or 0.0)
        first = sources[min(sources)]
        head = {"measure": measure, "judge": first.judge, "split": first.split}
        lines += [
            {**head, "of": name, **area_line(runs.evidence, runs.design, weights, sources, gaps.get(name) or None)}
            for name, weights in asked.items()
        ]
    return {"prefill_areas": lines}


def _place(depth: int) -> float:
    return math.log2(depth + 1)


def _point(levels: Levels, node: Node, depth: int, axis: tuple[float, float]) -> Point:
    level = levels[depth][node.index]
    assert level.found is not None
    return Point(_place(depth), level.found, detail_of(f"{node.label}, depth {depth},", node.position, level, axis))
