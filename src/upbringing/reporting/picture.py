"""The upbringing as one picture: the tree in value space, and the tree itself with what each step did."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup

from upbringing.reporting.chart import Axis, Interval, box, dot, line, mark, style_of, svg, text, with_detail
from upbringing.reporting.deciding import judged_text
from upbringing.reporting.lineage import Lineage, Node
from upbringing.reporting.words import DASH, decimals, interval, plain

CARD_WIDTH, CARD_HEIGHT, ROW_GAP, COLUMN_GAP, HEADER = 196.0, 66.0, 38.0, 138.0, 46.0
PLATE_HEIGHT = 42.0  # of what stands beside a bracket
BELOW_GAP = 8.5  # what a step says reaches further down from its line than up
LABEL_CHARACTERS = 27  # of 12 pixel type inside a card


@dataclass(frozen=True)
class Level:
    """What a node scored; ``found`` ``None`` = not measurable there, ``is_measured`` False = never asked.

    ``counts``: how many questions and how many unscored answers stand behind it.
    """

    found: Interval | None
    is_measured: bool = True
    counts: tuple[str, str] = (DASH, DASH)


@dataclass(frozen=True)
class Effect:
    """What a step or a branch did: a mark, a word, a size and a tone (``good``, ``bad`` or ``none``).

    ``limits``: the interval of the size, so that no effect stands without its noise.
    """

    mark: str
    word: str
    size: str
    tone: str
    note: str = ""
    limits: str = ""


@dataclass(frozen=True)
class Branch:
    """A counterfactual effect between two nodes of one column."""

    upper: int
    lower: int
    effect: Effect


def cut(content: str, most: int) -> str:
    """Return ``content``, cut with an ellipsis where it is longer than ``most``."""
    return content if len(content) <= most else content[: most - 1] + "…"


def tree_picture(
    lineage: Lineage,
    levels: Sequence[Level],
    steps: Sequence[Effect | None],
    branches: Sequence[Branch],
    *,
    stages: Sequence[tuple[str, str]],
    axis: tuple[float, float],
    title: str,
) -> Markup:
    """Return the tree of checkpoints, one card per node.

    ``levels`` and ``steps`` (the effect on the edge from the parent) are per node; ``stages`` is (name, note) per
    column; ``axis`` is the range of the small scale in every card.
    """
    num_columns = 1 + max((node.column for node in lineage.nodes), default=0)
    width = num_columns * CARD_WIDTH + (num_columns - 1) * COLUMN_GAP + (128 if branches else 2)
    middles = _middles(lineage.nodes, branches)
    lowest = max(middles, default=0.0) + PLATE_HEIGHT / 2
    height = max(HEADER + lineage.num_rows * (CARD_HEIGHT + ROW_GAP), lowest)
    body: list[str] = []
    for column, (name, note) in enumerate(stages):
        body.append(text(_left(column), 14, cut(name, LABEL_CHARACTERS), "stage"))
        body.append(text(_left(column), 31, cut(note, LABEL_CHARACTERS + 4), "tick"))
    for node, step in zip(lineage.nodes, steps, strict=True):
        if node.parent is not None:
            body += _edge(lineage.nodes[node.parent], node, step)
    for branch, middle in zip(branches, middles, strict=True):
        body += _branch(lineage.nodes[branch.upper], lineage.nodes[branch.lower], middle, branch.effect)
    for node, level in zip(lineage.nodes, levels, strict=True):
        body += _card(node, level, axis)
    description = "Cards are checkpoints, lines are training stages. The table below holds every value and effect."
    return svg(width, height, title, description, body, "tree")


def _left(column: int) -> float:
    return 1 + column * (CARD_WIDTH + COLUMN_GAP)


def _top(node: Node) -> float:
    return HEADER + node.row * (CARD_HEIGHT + ROW_GAP)


def _edge(parent: Node, child: Node, step: Effect | None) -> list[str]:
    x1, y1 = _left(parent.column) + CARD_WIDTH, _top(parent) + CARD_HEIGHT / 2
    x2, y2 = _left(child.column), _top(child) + CARD_HEIGHT / 2
    bend = x1 + 30 if abs(y2 - y1) > 1 else x2
    path = f"M{x1:.1f} {y1:.1f}C{bend:.1f} {y1:.1f} {x1 + 8:.1f} {y2:.1f} {x1 + 44:.1f} {y2:.1f}L{x2:.1f} {y2:.1f}"
    if abs(y2 - y1) <= 1:
        path = f"M{x1:.1f} {y1:.1f}L{x2:.1f} {y2:.1f}"
    body = [f'<path d="{path}" class="edge {style_of(child.style)}"/>']
    if step is not None:
        middle = x2 - 50
        body.append(text(middle, y2 - 7, f"{step.mark} {step.word}", f"effect t-{step.tone}", "middle"))
        body.append(text(middle, y2 + 17, " ".join(filter(None, (step.size, step.note))), "tick", "middle"))
        body.append(text(middle, y2 + 31, step.limits, "tick", "middle"))
    return body


def _middles(nodes: Sequence[Node], branches: Sequence[Branch]) -> list[float]:
    """Return where each bracket's plate stands: in the gap between rows that is nearest to its middle and still free.

    There it covers neither what a step into the next column says nor another plate.
    """
    first, pitch = HEADER + CARD_HEIGHT + ROW_GAP / 2 + BELOW_GAP, CARD_HEIGHT + ROW_GAP
    taken: set[tuple[int, int]] = set()
    found = []
    for branch in branches:
        upper, lower = nodes[branch.upper], nodes[branch.lower]
        gap = max(0, round((sum(_span(upper, lower)) / 2 - first) / pitch))
        while (upper.column, gap) in taken:
            gap += 1
        taken.add((upper.column, gap))
        found.append(first + gap * pitch)
    return found


def _span(upper: Node, lower: Node) -> tuple[float, float]:
    """Return where a bracket begins and ends, from above to below."""
    first, last = sorted((_top(upper) + CARD_HEIGHT * 0.78, _top(lower) + CARD_HEIGHT * 0.22))
    return first, last


def _branch(upper: Node, lower: Node, middle: float, effect: Effect) -> list[str]:
    x = _left(upper.column) + CARD_WIDTH
    y1, y2 = _span(upper, lower)
    path = f"M{x:.1f} {y1:.1f}C{x + 18:.1f} {y1:.1f} {x + 18:.1f} {y2:.1f} {x:.1f} {y2:.1f}"
    return [
        f'<path d="{path}" class="branch t-{effect.tone}"/>',
        box(x + 16, middle - PLATE_HEIGHT / 2, 112, PLATE_HEIGHT, "plate", 4),
        text(x + 20, middle - 10, f"{effect.mark} {effect.word}", f"effect t-{effect.tone}"),
        text(x + 20, middle + 4, effect.size, "tick"),
        text(x + 20, middle + 18, effect.limits, "tick"),
    ]


def _card(node: Node, level: Level, axis: tuple[float, float]) -> list[str]:
    x, y = _left(node.column), _top(node)
    known = level.found is not None
    outline = box(x, y, CARD_WIDTH, CARD_HEIGHT, "card" if known else "card unknown", 8)
    body = [with_detail(outline, detail_of(node.label, node.position, level, axis))]
    body.append(box(x, y + 10, 3, CARD_HEIGHT - 20, f"spine {style_of(node.style)}", 1.5))
    room = LABEL_CHARACTERS - (len(node.control) + 1 if node.control else 0)
    body.append(text(x + 14, y + 19, cut(node.label, room), "label"))
    if node.control:
        body.append(text(x + CARD_WIDTH - 10, y + 19, node.control, "tick", "end"))
    if level.found is None:
        word = "not measurable" if level.is_measured else "not measured"
        return [*body, text(x + 14, y + 44, word, "gap")]
    found, places = level.found, decimals(axis[1] - axis[0])
    body.append(text(x + 14, y + 42, plain(found.estimate, places), "number"))
    body.append(
        text(x + CARD_WIDTH - 10, y + 41, interval(found.low, found.high, places, difference=False), "tick", "end")
    )
    scale = Axis(axis[0], axis[1], x + 14, x + CARD_WIDTH - 12)
    base = y + CARD_HEIGHT - 11
    body.append(line(scale.start, base, scale.end, base, "grid"))
    body.append(line(scale.at(found.low), base, scale.at(found.high), base, "whisker level"))
    body += [dot(scale.at(value), base, 2.4, "seed") for value in found.seeds]
    body.append(line(scale.at(found.estimate), base - 5, scale.at(found.estimate), base + 5, "needle"))
    return body


def detail_of(label: str, position: str, level: Level, axis: tuple[float, float]) -> str:
    """Return everything that is known of a value, in one line."""
    where = f"{label} @ {position}"
    if level.found is None:
        return f"{where}: {'not measurable' if level.is_measured else 'not measured'}"
    found, places = level.found, decimals(axis[1] - axis[0])
    runs = ", ".join(plain(value, places) for value in found.seeds)
    parts = (
        f"{where}: {plain(found.estimate, places)} {interval(found.low, found.high, places, difference=False)}",
        judged_text(found, places, difference=False),
        f"single runs {runs}" if runs else "",
        f"{level.counts[0]} questions, {level.counts[1]} unscored" if level.counts[0] != DASH else "",
    )
    return "; ".join(filter(None, parts))


SMALL_WIDTH, SMALL_HEIGHT = 344.0, 216.0


def small_multiple(
    lineage: Lineage, levels: Sequence[Level], *, axis: tuple[float, float], title: str, description: str
) -> Markup:
    """Return one property along the tree: stages from left to right, values upwards, a line per branch."""
    nodes = lineage.nodes
    num_columns = 1 + max((node.column for node in nodes), default=0)
    names = {node.column: node.position for node in reversed(nodes)}
    left, right, top, bottom = 44.0, SMALL_WIDTH - 14, 12.0, SMALL_HEIGHT - 30
    y_axis = Axis(axis[0], axis[1], bottom, top)
    spread = 7.0 if len(lineage.arms) <= 8 else 3.0  # pixels between the whiskers of arms at one stage
    x_axis = Axis(0, max(num_columns - 1, 1), left + 34, right - 34)
    body: list[str] = []
    for tick in y_axis.ticks(4):
        body.append(line(left, y_axis.at(tick), right, y_axis.at(tick), "grid"))
        body.append(text(left - 7, y_axis.at(tick) + 4, plain(tick, 3).rstrip("0").rstrip("."), "tick", "end"))
    for column in range(num_columns):
        body.append(text(x_axis.at(column), SMALL_HEIGHT - 10, cut(names.get(column, ""), 14), "tick", "middle"))
    xs = [x_axis.at(node.column) + node.lane * spread for node in nodes]
    for node, level, x in zip(nodes, levels, xs, strict=True):
        parent = None if node.parent is None else levels[node.parent].found
        if parent is not None and level.found is not None and node.parent is not None:
            name = f"path {style_of(node.style)}"
            body.append(line(xs[node.parent], y_axis.at(parent.estimate), x, y_axis.at(level.found.estimate), name))
    for node, level, x in zip(nodes, levels, xs, strict=True):
        if level.found is None:
            continue
        name = style_of(node.style)
        body.append(line(x, y_axis.at(level.found.low), x, y_axis.at(level.found.high), f"range {name}"))
        body += [dot(x, y_axis.at(value), 2, f"run {name}") for value in level.found.seeds]
        shape = mark(x, y_axis.at(level.found.estimate), node.style)
        body.append(with_detail(shape, detail_of(node.label, node.position, level, axis)))
    return svg(SMALL_WIDTH, SMALL_HEIGHT, title, description, body, "small")
