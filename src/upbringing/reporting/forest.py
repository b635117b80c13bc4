"""Many intervals on one scale, each with its name and its number: what papers call a forest plot."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup

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
    together_marks,
    verdict_mark,
    whisker,
)

LABEL_WIDTH, PLOT_WIDTH, NUMBER_WIDTH, ROW_HEIGHT, FOOT = 256.0, 360.0, 170.0, 56.0, 28.0
LABEL_CHARACTERS, LABEL_LINES = 38, 3  # of 13 pixel type in a label's room


@dataclass(frozen=True)
class ForestRow:
    """One interval. ``band``: half the width of what counts as no difference; ``number``: what stands on the right."""

    label: str
    found: Interval | None
    verdict: str
    number: str
    band: float | None = None


def forest_axis(low: float, high: float) -> Axis:
    """Return the scale of a forest from ``low`` to ``high``, with a little room."""
    room = (high - low) * 0.05 or 1.0
    return Axis(low - room, high + room, LABEL_WIDTH, LABEL_WIDTH + PLOT_WIDTH)


def forest(rows: Sequence[ForestRow], axis: Axis, *, title: str, unit: str, is_difference: bool = True) -> Markup:
    """Return the rows from top to bottom on one ``axis``, which carries ``unit``; differences have signs."""
    bottom = len(rows) * ROW_HEIGHT
    body: list[str] = []
    for place, row in enumerate(rows):
        if row.band is not None:
            edges = axis.at(-row.band), axis.at(row.band)
            body.append(box(edges[0], place * ROW_HEIGHT, edges[1] - edges[0], ROW_HEIGHT, "band"))
    body += [line(axis.at(tick), 0, axis.at(tick), bottom, "zero" if tick == 0 else "grid") for tick in axis.ticks()]
    for place, row in enumerate(rows):
        body += _row(row, axis, (place + 0.5) * ROW_HEIGHT)
    for tick in axis.ticks():
        label = tick_label(tick) if is_difference else tick_label(tick).removeprefix("+")
        body.append(text(axis.at(tick), bottom + 16, label, "tick", "middle"))
    body.append(text(axis.end + 14, bottom + 16, unit, "tick"))
    listed = " ".join(f"{row.label}: {row.number}." for row in rows)
    width = LABEL_WIDTH + PLOT_WIDTH + NUMBER_WIDTH
    return svg(width, bottom + FOOT, title, listed, body, "forest")


def _row(row: ForestRow, axis: Axis, y: float) -> list[str]:
    lines = textwrap.wrap(row.label, LABEL_CHARACTERS, max_lines=LABEL_LINES, placeholder=" …") or [""]
    first = y + 4 - 8 * (len(lines) - 1)
    body = [text(0, first + 16 * place, each, "label") for place, each in enumerate(lines)]
    body.append(text(axis.end + 14, y + 4, row.number, "value"))
    if row.found is None:
        return [*body, text((axis.start + axis.end) / 2, y + 4, "no number", "gap", "middle")]
    found = row.found
    body += together_marks(found, axis, y - 3)
    body += whisker(axis.at(found.low), axis.at(found.high), y - 3, f"v-{row.verdict}")
    body.append(verdict_mark(axis.at(found.estimate), y - 3, row.verdict))
    body += judged_marks(found, axis, y + 13)
    return body + [dot(axis.at(value), y + 13, 2.6, "seed") for value in found.seeds]
