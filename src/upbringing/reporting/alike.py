"""Two checkpoints called alike: their levels as bars, and below them the paired difference that says so."""

from __future__ import annotations

from collections.abc import Mapping

from markupsafe import Markup

from upbringing.attribution.evidence.cells import Source
from upbringing.formats.findings import Claim
from upbringing.reporting.chart import (
    Axis,
    Interval,
    box,
    dot,
    judged_marks,
    line,
    svg,
    text,
    tick_label,
    verdict_mark,
    whisker,
)
from upbringing.reporting.deciding import judged_text
from upbringing.reporting.figure import Figure, TableRow
from upbringing.reporting.inputs import Inputs
from upbringing.reporting.levels import LEVEL_COLUMNS, axis_of, cell_levels, level_cells, note_of, title_of
from upbringing.reporting.picture import Level, cut
from upbringing.reporting.runs import Runs
from upbringing.reporting.words import DASH, decimals, interval, plain, signed, verdict_of

ALIKE = ("equivalent", "negligible")
WIDTH, LABELS, NUMBERS, BAR_ROW, DIFFERENCE_ROW, FOOT = 640.0, 190.0, 150.0, 34.0, 44.0, 22.0
LABEL_CHARACTERS = 28


def alike_of(inputs: Inputs, claim: Claim, found: Interval | None, runs: Runs) -> Figure | None:
    """Return the picture of a primary claim that two cells are alike; ``None`` for every other claim.

    ``found``: the claim's own interval, as it is drawn elsewhere.
    """
    is_pair = sorted(claim.weights.values()) == [-1.0, 1.0] and claim.scale == "natural"
    if claim.role != "primary" or verdict_of(claim) not in ALIKE or not is_pair or found is None:
        return None
    source = Source(claim.measure, claim.condition, claim.judge or "none", claim.split)
    levels = cell_levels(inputs, runs, source, claim.weights)
    pair = {
        cell: levels[cell] for cell in sorted(claim.weights, key=lambda cell: -claim.weights[cell]) if cell in levels
    }
    if len(pair) != 2 or any(level.found is None for level in pair.values()):
        return None
    axis = axis_of(inputs, source, list(pair.values()))
    places = decimals(axis[1] - axis[0])
    rows = [TableRow(cell, level_cells(level, places)) for cell, level in pair.items()]
    runs_text = ", ".join(signed(run, places) for run in found.seeds) or DASH
    judged = judged_text(found, places, difference=True)
    limits = interval(found.low, found.high, places) + (f" ({judged})" if judged else "")
    difference = (signed(found.estimate, places), limits, runs_text, DASH, DASH)
    rows.append(TableRow("difference, paired", difference))
    title = f"{title_of(inputs, source)}: {claim.contrast}"
    chart = _chart(claim, found, pair, axis, title)
    return Figure(title, note_of(inputs, source), chart, LEVEL_COLUMNS, tuple(rows))


def _chart(claim: Claim, found: Interval, pair: Mapping[str, Level], ends: tuple[float, float], title: str) -> Markup:
    right = WIDTH - NUMBERS
    axis = Axis(min(0.0, ends[0]), ends[1], LABELS, right)
    body: list[str] = []
    for place, (cell, level) in enumerate(pair.items()):
        if level.found is not None:
            body += _bar(cell, level.found, axis, place * BAR_ROW, decimals(ends[1] - ends[0]))
    top = 2 * BAR_ROW + 14
    body += _difference(claim, found, top, right)
    description = f"Bars: {', '.join(pair)}. Paired difference {signed(found.estimate)}, from {signed(found.low)} to "
    description += f"{signed(found.high)}, margin {plain(claim.margin)}."
    return svg(WIDTH, top + DIFFERENCE_ROW + FOOT, title, description, body, "alike")


def _bar(cell: str, found: Interval, axis: Axis, top: float, places: int) -> list[str]:
    y, start = top + 14, axis.at(0.0)
    left, width = min(start, axis.at(found.estimate)), abs(axis.at(found.estimate) - start)
    return [
        text(0, y + 4, cut(cell, LABEL_CHARACTERS), "label"),
        box(left, y - 8, width, 16, "bar"),
        *whisker(axis.at(found.low), axis.at(found.high), y, "v-changed"),
        text(axis.end + 14, y + 4, f"{plain(found.estimate, places)} "
             f"{interval(found.low, found.high, places, difference=False)}", "value"),
    ]  # fmt: skip


def _difference(claim: Claim, found: Interval, top: float, right: float) -> list[str]:
    """Return the difference on a scale of its own around zero, over the band of its margin."""
    reach = 1.25 * max(*(abs(value) for value in found.values), claim.margin or 0.0)
    axis, y, verdict = Axis(-(reach or 1.0), reach or 1.0, LABELS, right), top + 14, verdict_of(claim)
    body = [text(0, y + 4, "difference, paired", "label")]
    if claim.margin is not None:
        edges = axis.at(-claim.margin), axis.at(claim.margin)
        body.append(box(edges[0], top - 4, edges[1] - edges[0], DIFFERENCE_ROW, "band"))
        body += [line(edge, top - 4, edge, top - 4 + DIFFERENCE_ROW, "bandedge") for edge in edges]
    body.append(line(axis.at(0), top - 4, axis.at(0), top - 4 + DIFFERENCE_ROW, "zero"))
    body += whisker(axis.at(found.low), axis.at(found.high), y, f"v-{verdict}")
    body.append(verdict_mark(axis.at(found.estimate), y, verdict))
    body += judged_marks(found, axis, y + 15)
    body += [dot(axis.at(run), y + 15, 2.6, "seed") for run in found.seeds]
    body += [
        text(axis.at(tick), top + DIFFERENCE_ROW + 12, tick_label(tick), "tick", "middle") for tick in axis.ticks()
    ]
    body.append(text(right + 14, y + 4, f"{signed(found.estimate)} {interval(found.low, found.high)}", "value"))
    return body
