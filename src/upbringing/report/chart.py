"""Charts as SVG text: the same figure for the report, papers and notebooks.

No inline styles (the page's policy forbids them): position is in attributes, looks are in classes. Every chart
has a title and a description; its table twin is the caller's duty.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup, escape

ROW_HEIGHT = 30
LABEL_WIDTH = 330
PLOT_WIDTH = 420
VALUE_WIDTH = 180
PADDING = 14
NUM_STYLES = 6  # series differ in colour, dash and marker; more lines than that cannot be told apart


@dataclass(frozen=True)
class Interval:
    """One row of a forest plot. ``None`` values are drawn as a gap with a reason."""

    label: str
    estimate: float | None
    low: float | None
    high: float | None
    note: str
    kind: str


@dataclass(frozen=True)
class Series:
    """A line over positions: one (estimate, low, high) per position, ``None`` where nothing was measured."""

    label: str
    points: tuple[tuple[float, float, float] | None, ...]


def number(value: float) -> str:
    """Return a number short enough for a chart."""
    return f"{value:.2f}" if abs(value) < 100 else f"{value:.0f}"


def _svg(width: float, height: float, title: str, description: str, body: Sequence[str], name: str) -> Markup:
    inner = "".join(body)
    return Markup(  # noqa: S704 - every text in it was escaped below
        f'<svg class="chart {name}" viewBox="0 0 {width:g} {height:g}" role="img" aria-label="{escape(title)}">'
        f"<title>{escape(title)}</title><desc>{escape(description)}</desc>{inner}</svg>"
    )


def _text(x: float, y: float, text: str, name: str, anchor: str = "start") -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" class="{name}" text-anchor="{anchor}">{escape(text)}</text>'


def _line(x1: float, y1: float, x2: float, y2: float, name: str) -> str:
    return f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" class="{name}"/>'


def _marker(x: float, y: float, style: int, size: float = 4.5) -> str:
    """Return a mark whose shape, not only its colour, tells the series."""
    wide = size + 1
    shapes = (
        f'<circle cx="{x:.1f}" cy="{y:.1f}" r="{size}"',
        f'<rect x="{x - size:.1f}" y="{y - size:.1f}" width="{2 * size}" height="{2 * size}"',
        f'<path d="M{x:.1f} {y - size - 1:.1f}L{x + size + 1:.1f} {y + size:.1f}L{x - size - 1:.1f} {y + size:.1f}Z"',
        f'<path d="M{x:.1f} {y - wide:.1f}L{x + wide:.1f} {y:.1f}L{x:.1f} {y + wide:.1f}L{x - wide:.1f} {y:.1f}Z"',
        f'<path d="M{x - size:.1f} {y - size:.1f}L{x + size:.1f} {y - size:.1f}L{x:.1f} {y + size + 1:.1f}Z"',
        f'<ellipse cx="{x:.1f}" cy="{y:.1f}" rx="{size + 1.5}" ry="{size - 1.5}"',
    )
    return f'{shapes[style % NUM_STYLES]} class="mark s{style % NUM_STYLES}"/>'


def wrapped(text: str, width: int) -> list[str]:
    """Return ``text`` in lines of at most ``width`` characters, cut at spaces; at most two lines."""
    lines: list[str] = [""]
    for word in text.split():
        if len(lines[-1]) + len(word) + 1 > width and lines[-1]:
            lines.append("")
        lines[-1] = f"{lines[-1]} {word}".strip()
    if len(lines) > 2:
        lines = [lines[0], f"{lines[1][: width - 1]}…"]
    return [line if len(line) <= width else f"{line[: width - 1]}…" for line in lines]


def forest(rows: Sequence[Interval], *, title: str, description: str, margin: float | None, unit: str) -> Markup:
    """Return differences with intervals against zero; the band from -margin to +margin counts as no difference."""
    ends = [abs(value) for row in rows for value in (row.estimate, row.low, row.high) if value is not None]
    reach = max([*ends, (margin or 0.0) * 1.5, 1e-9]) * 1.08
    width, height = LABEL_WIDTH + PLOT_WIDTH + VALUE_WIDTH, ROW_HEIGHT * len(rows) + 44
    bottom = ROW_HEIGHT * len(rows) + 12

    def x_of(value: float) -> float:
        return LABEL_WIDTH + PLOT_WIDTH * (value + reach) / (2 * reach)

    body: list[str] = []
    if margin is not None:
        left, right = x_of(-margin), x_of(margin)
        body.append(f'<rect x="{left:.1f}" y="4" width="{right - left:.1f}" height="{bottom - 4:.1f}" class="margin"/>')
    for tick in (-reach / 1.08, -reach / 2.16, 0.0, reach / 2.16, reach / 1.08):
        body.append(_line(x_of(tick), 4, x_of(tick), bottom, "zero" if tick == 0.0 else "grid"))
        body.append(_text(x_of(tick), bottom + 16, "0" if tick == 0.0 else f"{tick:+.2f}", "tick", "middle"))
    body.append(_text(LABEL_WIDTH + PLOT_WIDTH / 2, bottom + 30, unit, "tick", "middle"))
    for index, row in enumerate(rows):
        body += _forest_row(row, ROW_HEIGHT * index + 12 + ROW_HEIGHT / 2 - 4, x_of)
    return _svg(width, height, title, description, body, "forest")


def _forest_row(row: Interval, y: float, x_of: object) -> list[str]:
    assert callable(x_of)
    body = []
    lines = wrapped(row.label, 50)
    for number_of_line, line in enumerate(lines):
        body.append(_text(0, y + 4 + (number_of_line - (len(lines) - 1) / 2) * 13, line, "label"))
    if row.estimate is None or row.low is None or row.high is None:
        body.append(_text(LABEL_WIDTH + PLOT_WIDTH / 2, y + 4, row.note or "not measurable", "gap", "middle"))
        return body
    body.append(_line(x_of(row.low), y, x_of(row.high), y, f"interval {row.kind}"))
    for end in (row.low, row.high):
        body.append(_line(x_of(end), y - 4, x_of(end), y + 4, f"interval {row.kind}"))
    body.append(f'<circle cx="{x_of(row.estimate):.1f}" cy="{y:.1f}" r="4.5" class="dot {row.kind}"/>')
    shown = f"{row.estimate:+.2f} [{row.low:+.2f}, {row.high:+.2f}]"
    body.append(_text(LABEL_WIDTH + PLOT_WIDTH + PADDING, y + 4, shown, "value"))
    return body


def lines(series: Sequence[Series], positions: Sequence[str], *, title: str, description: str, bounded: bool) -> Markup:
    """Return one small multiple: a property along the stages, a line per arm, intervals as whiskers."""
    width, height, left, top, bottom = 360.0, 232.0, 40.0, 14.0, 190.0
    values = [value for each in series for point in each.points if point is not None for value in point]
    low, high = (0.0, 1.0) if bounded else _padded(values)

    def x_of(index: int) -> float:
        return left + 30 + (width - left - 60) * (index / max(1, len(positions) - 1))

    def y_of(value: float) -> float:
        value = min(high, max(low, value))  # an interval may leave the range of a share; the table has its ends
        return bottom - (bottom - top) * (value - low) / (high - low)

    body = []
    for share in (0.0, 0.5, 1.0):
        tick = low + (high - low) * share
        body.append(_line(left, y_of(tick), width - 6, y_of(tick), "grid"))
        body.append(_text(left - 6, y_of(tick) + 4, number(tick), "tick", "end"))
    for index, position in enumerate(positions):
        body.append(_text(x_of(index), bottom + 20, position, "tick", "middle"))
    for style, each in enumerate(series):
        shift = (style - (len(series) - 1) / 2) * 5  # whiskers of arms do not hide one another
        body += _series(each, style, shift, x_of, y_of)
    return _svg(width, height, title, description, body, "lines")


def _padded(values: Sequence[float]) -> tuple[float, float]:
    if not values:
        return 0.0, 1.0
    low, high = min(values), max(values)
    room = (high - low) * 0.08 or abs(high) * 0.1 or 1.0
    return low - room, high + room


def _series(each: Series, style: int, shift: float, x_of: object, y_of: object) -> list[str]:
    assert callable(x_of)
    assert callable(y_of)
    body = []
    known = [(index, point) for index, point in enumerate(each.points) if point is not None]
    path = " ".join(f"{x_of(index) + shift:.1f},{y_of(point[0]):.1f}" for index, point in known)
    if len(known) > 1:
        body.append(f'<polyline points="{path}" class="path s{style % NUM_STYLES}"/>')
    for index, (estimate, low, high) in known:
        x = x_of(index) + shift
        body.append(_line(x, y_of(low), x, y_of(high), f"whisker s{style % NUM_STYLES}"))
        body.append(_marker(x, y_of(estimate), style))
    return body


def swatch(style: int) -> Markup:
    """Return the key of a series: its line and its mark."""
    body = [_line(2, 8, 30, 8, f"path s{style % NUM_STYLES}"), _marker(16, 8, style)]
    return Markup(f'<svg class="swatch" viewBox="0 0 32 16" aria-hidden="true">{"".join(body)}</svg>')  # noqa: S704


def loss_curve(points: Sequence[tuple[float, float]], *, title: str) -> Markup:
    """Return a loss curve as a small line, with its first and last value."""
    width, height = 220.0, 54.0
    steps, losses = [point[0] for point in points], [point[1] for point in points]
    low, high = min(losses), max(losses)
    span, reach = (high - low) or 1.0, (steps[-1] - steps[0]) or 1.0
    path = " ".join(
        f"{6 + (width - 70) * (step - steps[0]) / reach:.1f},{6 + 40 * (high - loss) / span:.1f}"
        for step, loss in points
    )
    body = [
        f'<polyline points="{path}" class="curve"/>',
        _text(width - 60, 14, number(losses[0]), "tick"),
        _text(width - 60, 48, number(losses[-1]), "tick"),
    ]
    return _svg(width, height, title, f"Loss from {losses[0]:.3f} to {losses[-1]:.3f}", body, "curve")
