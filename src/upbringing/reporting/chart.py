"""Charts as SVG text: the same figure for the report, papers and notebooks.

No inline styles (the page's policy forbids them): position is in attributes, looks are in classes. Every chart
has a title and a description; its table twin is the caller's duty.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from markupsafe import Markup, escape

from upbringing.reporting.words import plain, shown, signed

NUM_STYLES = 6  # series differ in colour, dash and mark; more than that cannot be told apart
OTHER_STYLE = "sx"  # what comes after the first six, and what belongs to several series


@dataclass(frozen=True)
class Axis:
    """A linear map from values to pixels, with ticks at round numbers."""

    low: float
    high: float
    start: float
    end: float

    def at(self, value: float) -> float:
        """Return the pixel of ``value``, held inside the axis."""
        share = (min(max(value, self.low), self.high) - self.low) / (self.high - self.low)
        return self.start + (self.end - self.start) * share

    def ticks(self, most: int = 5) -> list[float]:
        """Return at most ``most`` round values inside the axis; zero is one of them where it is inside."""
        span = self.high - self.low
        rough = span / max(most - 1, 1)
        magnitude = 10.0 ** math.floor(math.log10(rough))
        for size in (1, 2, 2.5, 5, 10, 20):
            step = size * magnitude
            first, last = math.ceil(self.low / step - 1e-9), math.floor(self.high / step + 1e-9)
            if last - first < most:  # counted, not guessed from the span: a scale of one tick tells no distance
                return [round(number * step, 10) for number in range(first, last + 1)]
        return []


def symmetric_axis(values: Iterable[float | None], start: float, end: float) -> Axis:
    """Return an axis around zero that holds every value that is known."""
    reach = max((abs(value) for value in values if value is not None), default=0.0) or 1.0
    return Axis(-reach * 1.08, reach * 1.08, start, end)


def svg(width: float, height: float, title: str, description: str, body: Iterable[str], name: str) -> Markup:
    """Return a whole chart. ``body``: elements that are markup already."""
    title, description = shown(title), shown(description)
    return Markup(  # noqa: S704 - every text in it is escaped here or in ``text``
        f'<svg class="chart {name}" viewBox="0 0 {width:g} {height:g}" width="{width:g}" height="{height:g}" '
        f'role="img" aria-label="{escape(title)}"><title>{escape(title)}</title>'
        f"<desc>{escape(description)}</desc>{''.join(body)}</svg>"
    )


def text(x: float, y: float, content: str, name: str, anchor: str = "start") -> str:
    """Return a text element, escaped."""
    return f'<text x="{x:.1f}" y="{y:.1f}" class="{name}" text-anchor="{anchor}">{escape(shown(content))}</text>'


def line(x1: float, y1: float, x2: float, y2: float, name: str) -> str:
    """Return a line element."""
    return f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" class="{name}"/>'


def box(x: float, y: float, width: float, height: float, name: str, radius: float = 0.0) -> str:
    """Return a rectangle, rounded by ``radius``."""
    return f'<rect x="{x:.1f}" y="{y:.1f}" width="{width:.1f}" height="{height:.1f}" rx="{radius:g}" class="{name}"/>'


def with_detail(element: str, detail: str) -> str:
    """Return an element with the text that the page's script shows when it is pointed at or reached by arrow keys."""
    return element.replace("/>", f' data-detail="{escape(shown(detail))}"/>', 1)


def dot(x: float, y: float, radius: float, name: str) -> str:
    """Return a circle."""
    return f'<circle cx="{x:.1f}" cy="{y:.1f}" r="{radius:g}" class="{name}"/>'


def apart(heights: Sequence[float], top: float, bottom: float, gap: float) -> list[float]:
    """Return rising ``heights``, moved as little as keeps names ``gap`` apart between ``top`` and ``bottom``."""
    found, free = [], top
    for place, height in enumerate(heights):
        free = max(free, min(height, bottom - gap * (len(heights) - 1 - place)))
        found.append(free)
        free += gap
    return found


def style_of(index: int) -> str:
    """Return the class of the series with this index."""
    return f"s{index}" if 0 <= index < NUM_STYLES else OTHER_STYLE


def mark(x: float, y: float, index: int, size: float = 4.5) -> str:
    """Return a mark whose shape, not only its colour, tells the series."""
    wide = size + 1.3
    shapes = (
        f'<circle cx="{x:.1f}" cy="{y:.1f}" r="{size}"',
        f'<rect x="{x - size:.1f}" y="{y - size:.1f}" width="{2 * size}" height="{2 * size}"',
        f'<path d="M{x:.1f} {y - wide:.1f}L{x + wide:.1f} {y + size:.1f}L{x - wide:.1f} {y + size:.1f}Z"',
        f'<path d="M{x:.1f} {y - wide:.1f}L{x + wide:.1f} {y:.1f}L{x:.1f} {y + wide:.1f}L{x - wide:.1f} {y:.1f}Z"',
        f'<path d="M{x - wide:.1f} {y - size:.1f}L{x + wide:.1f} {y - size:.1f}L{x:.1f} {y + wide:.1f}Z"',
        f'<ellipse cx="{x:.1f}" cy="{y:.1f}" rx="{size + 2}" ry="{size - 1.5}"',
    )
    shape = shapes[index] if 0 <= index < NUM_STYLES else shapes[0]
    return f'{shape} class="mark {style_of(index)}"/>'


def swatch(index: int) -> Markup:
    """Return the key of a series: its line and its mark."""
    body = line(2, 8, 34, 8, f"path {style_of(index)}") + mark(18, 8, index)
    return Markup(f'<svg class="swatch" viewBox="0 0 36 16" width="36" height="16" aria-hidden="true">{body}</svg>')  # noqa: S704


@dataclass(frozen=True)
class Interval:
    """An estimate with its interval. ``seeds``: the same number for each independent run, drawn beside it.

    ``judged``: estimate, low and high as the judge has them, where people's labels corrected them; seeds are as judged.
    ``together``: the wider interval that holds together with those of its family.
    """

    estimate: float
    low: float
    high: float
    seeds: tuple[float, ...] = ()
    judged: tuple[float, float, float] | None = None
    together: tuple[float, float] | None = None

    @property
    def values(self) -> tuple[float, ...]:
        """Everything that a scale must hold."""
        return (self.low, self.high, *self.seeds, *(self.judged or ()), *(self.together or ()))


def judged_marks(found: Interval, axis: Axis, y: float) -> list[str]:
    """Return what the judge alone says as a thin line with a tick, for a place below the corrected interval."""
    if found.judged is None:
        return []
    estimate, low, high = (axis.at(value) for value in found.judged)
    return [line(low, y, high, y, "judged"), line(estimate, y - 5, estimate, y + 5, "judged")]


def together_marks(found: Interval, axis: Axis, y: float) -> list[str]:
    """Return the interval that holds together with the family's as a thin line, to lie under the single one."""
    if found.together is None:
        return []
    low, high = (axis.at(value) for value in found.together)
    return [line(low, y, high, y, "together"), *(line(x, y - 3, x, y + 3, "together") for x in (low, high))]


STRIP_WIDTH, STRIP_HEIGHT, STRIP_LABELS, STRIP_MARGIN = 380.0, 40.0, 20.0, 14.0


def strip_axis(values: Iterable[float | None]) -> Axis:
    """Return the shared axis of a group of strips."""
    return symmetric_axis(values, STRIP_MARGIN, STRIP_WIDTH - STRIP_MARGIN)


def strip(
    found: Interval | None, axis: Axis, *, margin: float | None, verdict: str, title: str, is_labelled: bool = False
) -> Markup:
    """Return one difference against zero; the band from -margin to +margin counts as no difference.

    ``is_labelled``: with its own scale below, for a strip that stands alone.
    """
    middle, bottom = 16.0, STRIP_HEIGHT
    height = bottom + (STRIP_LABELS if is_labelled else 0)
    body: list[str] = []
    if margin is not None:
        body.append(box(axis.at(-margin), 0, axis.at(margin) - axis.at(-margin), bottom, "band"))
        body += [line(axis.at(side), 0, axis.at(side), bottom, "bandedge") for side in (-margin, margin)]
    body += [line(axis.at(tick), 0, axis.at(tick), bottom, "zero" if tick == 0 else "grid") for tick in axis.ticks()]
    if found is None:
        body.append(text((axis.start + axis.end) / 2, middle + 6, "no number", "gap", "middle"))
        return svg(STRIP_WIDTH, height, title, "There is nothing to draw.", body, "strip")
    if is_labelled:
        body += [text(axis.at(tick), bottom + 15, tick_label(tick), "tick", "middle") for tick in axis.ticks()]
    body += together_marks(found, axis, middle)
    body += whisker(axis.at(found.low), axis.at(found.high), middle, f"v-{verdict}")
    body.append(verdict_mark(axis.at(found.estimate), middle, verdict))
    body += judged_marks(found, axis, middle + 14)
    body += [dot(axis.at(value), middle + 14, 2.6, "seed") for value in found.seeds]
    runs = "" if not found.seeds else f" Single runs: {', '.join(signed(value) for value in found.seeds)}."
    if found.judged is not None:
        runs = f" Corrected by human labels; as judged {', '.join(signed(value) for value in found.judged)}.{runs}"
    if found.together is not None:
        runs = f" With all of its family from {signed(found.together[0])} to {signed(found.together[1])}.{runs}"
    description = f"{signed(found.estimate)}, interval from {signed(found.low)} to {signed(found.high)}.{runs}"
    return svg(STRIP_WIDTH, height, title, description, body, "strip")


def strip_scale(axis: Axis, unit: str) -> Markup:
    """Return the scale of a group of strips, to stand above them."""
    body = [text(axis.at(tick), 14, tick_label(tick), "tick", "middle") for tick in axis.ticks()]
    body += [line(axis.at(tick), 19, axis.at(tick), 24, "zero" if tick == 0 else "grid") for tick in axis.ticks()]
    return svg(STRIP_WIDTH, 24, f"Scale: {unit}", "The scale of the differences below.", body, "strip")


def tick_label(value: float) -> str:
    """Return a difference as a tick label without needless zeros."""
    if value == 0:
        return "0"
    return ("+" if value > 0 else "") + plain(value, 3).rstrip("0").rstrip(".")


def whisker(low: float, high: float, y: float, name: str) -> list[str]:
    """Return an interval as a line with end caps."""
    return [
        line(low, y, high, y, f"whisker {name}"),
        line(low, y - 5, low, y + 5, f"cap {name}"),
        line(high, y - 5, high, y + 5, f"cap {name}"),
    ]


def verdict_mark(x: float, y: float, verdict: str) -> str:
    """Return the estimate's mark: a filled diamond for a change, a square for alike, a ring for undecided."""
    if verdict in ("changed", "negligible"):
        return (
            f'<path d="M{x:.1f} {y - 7}L{x + 7:.1f} {y}L{x:.1f} {y + 7}L{x - 7:.1f} {y}Z" class="point v-{verdict}"/>'
        )
    if verdict == "equivalent":
        return box(x - 5, y - 5, 10, 10, f"point v-{verdict}", 1)
    return dot(x, y, 5.5, f"point v-{verdict}")


def loss_curves(curves: Sequence[Sequence[tuple[float, float]]], *, title: str) -> Markup:
    """Return loss curves, one thin line per seed, with the first and last values of all."""
    width, height = 260.0, 84.0
    steps = [step for curve in curves for step, _ in curve]
    losses = [loss for curve in curves for _, loss in curve]
    x = Axis(min(steps), max(steps) if max(steps) > min(steps) else min(steps) + 1, 34, width - 8)
    y = Axis(min(losses), max(losses) if max(losses) > min(losses) else min(losses) + 1, height - 20, 8)
    body = [
        line(x.start, y.start, x.end, y.start, "grid"),
        text(x.start - 4, y.at(max(losses)) + 5, f"{max(losses):.2g}", "tick", "end"),
        text(x.start - 4, y.at(min(losses)) + 3, f"{min(losses):.2g}", "tick", "end"),
        text(x.end, height - 6, f"step {max(steps):.0f}", "tick", "end"),
    ]
    for curve in curves:
        path = " ".join(f"{x.at(step):.1f},{y.at(loss):.1f}" for step, loss in curve)
        body.append(f'<polyline points="{path}" class="curve"/>')
    ends = ", ".join(f"{curve[0][1]:.3f} to {curve[-1][1]:.3f}" for curve in curves)
    return svg(width, height, title, f"Training loss, one line per seed: {ends}.", body, "loss")
