"""Two properties against each other: a mark per checkpoint with both intervals, joined in the order of training."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup

from upbringing.reporting.chart import (
    Axis,
    Interval,
    apart,
    dot,
    line,
    mark,
    style_of,
    svg,
    text,
    tick_label,
    with_detail,
)
from upbringing.reporting.picture import cut

WIDTH, HEIGHT, LEFT, NAMES, TOP, FOOT = 720.0, 430.0, 58.0, 180.0, 34.0, 52.0
INSIDE = 10.0  # pixels between the frame and the ends of the scales, so that marks at 0 and 1 are whole
NAME_GAP, NAME_CHARACTERS = 16.0, 22


@dataclass(frozen=True)
class Spot:
    """A checkpoint in the picture. ``before``: place of the spot that it was trained from; ``name``: of its arm.

    ``runs``: (x, y) of each independent run.
    """

    x: Interval
    y: Interval
    style: int
    name: str
    detail: str
    before: int | None = None
    runs: tuple[tuple[float, float], ...] = ()


@dataclass(frozen=True)
class Side:
    """A scale of the picture: its range, and what is measured along it."""

    low: float
    high: float
    name: str


def scatter(spots: Sequence[Spot], across: Side, up: Side, *, title: str, description: str) -> Markup:
    """Return the picture: runs behind, then lines and intervals, then marks; a hole in what was trained further."""
    right = WIDTH - NAMES
    x_axis = Axis(across.low, across.high, LEFT + INSIDE, right - INSIDE)
    y_axis = Axis(up.low, up.high, HEIGHT - FOOT - INSIDE, TOP + INSIDE)
    body = [*_scales(x_axis, y_axis, right), *_titles(across, up, right)]
    body += [
        dot(x_axis.at(x), y_axis.at(y), 2.2, f"run faint {style_of(spot.style)}")
        for spot in spots
        for x, y in spot.runs
    ]
    places = [(x_axis.at(spot.x.estimate), y_axis.at(spot.y.estimate)) for spot in spots]
    for spot, (x, y) in zip(spots, places, strict=True):
        if spot.before is not None:
            body.append(line(*places[spot.before], x, y, f"path {style_of(spot.style)}"))
    for spot, (x, y) in zip(spots, places, strict=True):
        name = f"range {style_of(spot.style)}"
        body.append(line(x_axis.at(spot.x.low), y, x_axis.at(spot.x.high), y, name))
        body.append(line(x, y_axis.at(spot.y.low), x, y_axis.at(spot.y.high), name))
    further = {spot.before for spot in spots}
    ends = [place for place in range(len(spots)) if place not in further]
    body += _names(spots, places, ends, right)
    for place, (spot, (x, y)) in enumerate(zip(spots, places, strict=True)):
        body.append(with_detail(mark(x, y, spot.style, 5), spot.detail))
        if place in further:
            body.append(dot(x, y, 2, "hole"))
    return svg(WIDTH, HEIGHT, title, description, body, "scatter")


def _scales(x_axis: Axis, y_axis: Axis, right: float) -> list[str]:
    body = []
    for tick in y_axis.ticks(6):
        y = y_axis.at(tick)
        body.append(line(LEFT, y, right, y, "grid"))
        body.append(text(LEFT - 7, y + 4, tick_label(tick).removeprefix("+"), "tick", "end"))
    for tick in x_axis.ticks(8):
        x = x_axis.at(tick)
        body.append(line(x, TOP, x, HEIGHT - FOOT, "grid"))
        body.append(text(x, HEIGHT - FOOT + 17, tick_label(tick).removeprefix("+"), "tick", "middle"))
    body.append(line(LEFT, HEIGHT - FOOT, right, HEIGHT - FOOT, "zero"))
    body.append(line(LEFT, TOP, LEFT, HEIGHT - FOOT, "zero"))
    return body


def _titles(across: Side, up: Side, right: float) -> list[str]:
    return [
        text(LEFT, 16, cut(up.name, 76), "label"),
        text((LEFT + right) / 2, HEIGHT - 12, cut(across.name, 76), "label", "middle"),
    ]


def _names(
    spots: Sequence[Spot], places: Sequence[tuple[float, float]], ends: Sequence[int], right: float
) -> list[str]:
    """Return the names of what was trained no further, beside the picture, each led to its mark by a thin line."""
    most = int((HEIGHT - FOOT - TOP) // NAME_GAP) + 1
    named = sorted([place for place in ends if spots[place].name][:most], key=lambda place: places[place][1])
    heights = apart([places[place][1] for place in named], TOP, HEIGHT - FOOT, NAME_GAP)
    body = []
    for place, y in zip(named, heights, strict=True):
        body.append(line(*places[place], right + 8, y, "leader"))
        body.append(mark(right + 13, y, spots[place].style, 3.5))
        body.append(text(right + 22, y + 4, cut(spots[place].name, NAME_CHARACTERS), "label"))
    return body
