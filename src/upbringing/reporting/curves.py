"""A property against the levels of a factor: a line per setting of the other factors, named where it ends."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from markupsafe import Markup

from upbringing.reporting.chart import Axis, Interval, apart, dot, line, mark, style_of, svg, text, with_detail
from upbringing.reporting.picture import cut
from upbringing.reporting.words import interval, plain

WIDTH, HEIGHT, LEFT, NAMES, TOP, FOOT = 400.0, 250.0, 44.0, 112.0, 14.0, 52.0
NAME_CHARACTERS, NAME_GAP, STAGGER = 15, 15.0, 5.0  # letters, and pixels between names and between lines' whiskers


@dataclass(frozen=True)
class Point:
    """A value of the property at ``x``. ``detail``: all that is known of it, for who points at it."""

    x: float
    found: Interval
    detail: str


@dataclass(frozen=True)
class Series:
    """The points of one line, from left to right."""

    name: str
    points: tuple[Point, ...]


@dataclass(frozen=True)
class Scale:
    """The horizontal scale: where its ticks stand, what they are called, and what is measured along it."""

    ticks: tuple[tuple[float, str], ...]
    name: str


def curves(series: Sequence[Series], scale: Scale, axis: tuple[float, float], *, title: str) -> Markup:
    """Return the lines of ``series``; ``axis`` is the range of the property."""
    right = WIDTH - NAMES
    x_axis = _horizontal(scale, right)
    y_axis = Axis(axis[0], axis[1], HEIGHT - FOOT, TOP)
    body: list[str] = []
    for tick in y_axis.ticks(4):
        body.append(line(LEFT, y_axis.at(tick), right, y_axis.at(tick), "grid"))
        body.append(text(LEFT - 7, y_axis.at(tick) + 4, plain(tick, 3).rstrip("0").rstrip("."), "tick", "end"))
    for place, name in scale.ticks:
        body.append(line(x_axis.at(place), HEIGHT - FOOT, x_axis.at(place), HEIGHT - FOOT + 4, "zero"))
        body.append(text(x_axis.at(place), HEIGHT - FOOT + 19, cut(name, 14), "tick", "middle"))
    body.append(text((LEFT + right) / 2, HEIGHT - 10, cut(scale.name, 44), "tick", "middle"))
    for index, each in enumerate(series):
        body += _line(each, index, (index - (len(series) - 1) / 2) * STAGGER, x_axis, y_axis)
    body += _names(series, y_axis, right)
    told = " ".join(f"{each.name}: {_told(each, scale)}." for each in series)
    return svg(WIDTH, HEIGHT, title, told, body, "small")


def _horizontal(scale: Scale, right: float) -> Axis:
    places = [place for place, _ in scale.ticks]
    low, high = min(places), max(places)
    return Axis(low, high if high > low else low + 1, LEFT + 24, right - 24)


def _line(series: Series, index: int, shift: float, x_axis: Axis, y_axis: Axis) -> list[str]:
    body: list[str] = []
    drawn = [(x_axis.at(point.x) + shift, point) for point in series.points]
    for (x1, before), (x2, after) in pairwise(drawn):
        y1, y2 = y_axis.at(before.found.estimate), y_axis.at(after.found.estimate)
        body.append(line(x1, y1, x2, y2, f"path {style_of(index)}"))
    for x, point in drawn:
        found = point.found
        body.append(line(x, y_axis.at(found.low), x, y_axis.at(found.high), f"range {style_of(index)}"))
        body += [dot(x, y_axis.at(value), 2, f"run {style_of(index)}") for value in found.seeds]
        body.append(with_detail(mark(x, y_axis.at(found.estimate), index), point.detail))
    return body


def _names(series: Sequence[Series], y_axis: Axis, right: float) -> list[str]:
    """Return each line's name beside its last point, moved down where two would lie on one another."""
    ends = sorted((y_axis.at(each.points[-1].found.estimate), index) for index, each in enumerate(series))
    heights = apart([end for end, _ in ends], TOP, HEIGHT - FOOT, NAME_GAP)
    body = []
    for y, (_, index) in zip(heights, ends, strict=True):
        if series[index].name:
            body.append(mark(right + 4, y, index, 3.5))
        body.append(text(right + 14, y + 4, cut(series[index].name, NAME_CHARACTERS), "label"))
    return body


def _told(series: Series, scale: Scale) -> str:
    names = dict(scale.ticks)
    return ", ".join(
        f"{plain(point.found.estimate)} {interval(point.found.low, point.found.high, difference=False)} "
        f"at {names.get(point.x, plain(point.x))}"
        for point in series.points
    )
