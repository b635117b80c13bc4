"""Edited weights, or another proxy, against retrained branches: whether what it predicts is what training does."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from markupsafe import Markup

from upbringing.attribution.evidence.cells import Source
from upbringing.attribution.validity.fidelity import LEAST_SPEARMAN
from upbringing.formats.tree import FEWEST_CELLS
from upbringing.reporting.chart import Axis, dot, line, mark, svg, text, tick_label, with_detail
from upbringing.reporting.deciding import number
from upbringing.reporting.figure import Figure, TableRow
from upbringing.reporting.inputs import Inputs
from upbringing.reporting.levels import note_of, primary_of, title_of
from upbringing.reporting.words import DASH, count, interval, plain, several, signed

NEEDED = {"measure", "condition", "judge", "split", "cells", "status", "pairs"}
NUMBERS = {
    "sign_agreement": ("sign agreement", False),
    "spearman": ("Spearman", True),
    "slope": ("slope", True),
    "intercept": ("intercept", True),
    "rmse": ("root mean square error", False),
}
"""Of each number: its name, and whether it has a sign."""

COLUMNS = ("measure", "retrained cells", *(name for name, _ in NUMBERS.values()), "may be cited")
PAIR_COLUMNS = ("edited cell", "stands for", "edited from", "predicted", "retrained", "error")
SAID = {
    "faithful": (
        "{named} predict retrained branches here: Spearman is {spearman} over {cells}. They support what retrained "
        "branches show, and replace none."
    ),
    "unfaithful": (
        "Greyed out: Spearman is {spearman} over {cells}, {least:g} is needed. Claims on {what} are not to be cited "
        "here, and enter no share."
    ),
    "uncalibrated": (
        "Greyed out: {cells} of the {fewest} that are needed show whether {noun} predict what training does. Claims on "
        "{what} are uncalibrated here, and enter no share."
    ),
}
EDITS = ("edits", "edited weights")
PROXIES = {"edit_weights": EDITS, "emulate_tuning": ("emulations", "emulated tuning")}
"""What stands for retrained cells, by the kind of its stage: its noun, and what a claim on it is on."""

CITED = {"faithful": "yes, as support", "unfaithful": "no: they predict badly", "uncalibrated": "no: too few cells"}
WIDTH, HEIGHT, LEFT, TOP, FOOT = 460.0, 440.0, 58.0, 30.0, 50.0
INSIDE = 12.0  # pixels between the frame and the ends of the scales


@dataclass(frozen=True)
class FidelityView:
    """Edits against retrained cells on one measure. ``left_out``: edited cells that are no pair, each with why."""

    figure: Figure
    sentence: str
    is_greyed: bool
    left_out: tuple[TableRow, ...]


@dataclass(frozen=True)
class FidelityPart:
    """Everything this part of the page shows. ``rows``: the numbers of all measures, a line each, under ``columns``."""

    views: tuple[FidelityView, ...]
    rows: tuple[TableRow, ...]
    columns: tuple[str, ...] = COLUMNS
    least: float = LEAST_SPEARMAN
    fewest: int = FEWEST_CELLS


@dataclass(frozen=True)
class _Pair:
    """What an edit predicts and what the retrained cell shows, both against the cell whose weights were edited."""

    cell: str
    stands_for: str
    edited_from: str
    predicted: float
    retrained: float

    @property
    def is_same_sign(self) -> bool:
        return (self.predicted > 0) == (self.retrained > 0) and (self.predicted < 0) == (self.retrained < 0)


def fidelity_of(inputs: Inputs) -> FidelityPart:
    """Return the table ``fidelity`` of the findings, primary measures first; empty where no weights were edited."""
    lines = _lines(inputs)
    return FidelityPart(
        tuple(_view(inputs, row) for row in lines),
        tuple(TableRow(_place(inputs, row), _numbers(row)) for row in lines),
    )


def _lines(inputs: Inputs) -> list[dict[str, Any]]:
    rows = inputs.findings.tables.get("fidelity", [])
    whole = [row for row in rows if isinstance(row, dict) and row.keys() >= NEEDED and str(row["status"]) in SAID]
    order = list(dict.fromkeys((*primary_of(inputs), *(info.id for info in inputs.tree.measures))))

    def rank(row: Mapping[str, Any]) -> tuple[int, str, int, str]:
        headlines = inputs.headline_splits(row["measure"])
        split = headlines.index(row["split"]) if row["split"] in headlines else len(headlines)
        place = order.index(row["measure"]) if row["measure"] in order else len(order)
        return place, str(row["condition"]), split, str(row.get("proxy"))

    return sorted(whole, key=rank)


def _source(row: Mapping[str, Any]) -> Source:
    return Source(str(row["measure"]), str(row["condition"]), str(row["judge"]), row["split"])


def _proxy(row: Mapping[str, Any]) -> tuple[str, str]:
    """Return the words for what stands for retrained cells; edited weights where the table does not say."""
    return PROXIES.get(str(row.get("proxy")), EDITS)


def _place(inputs: Inputs, row: Mapping[str, Any]) -> str:
    split = f", split {row['split']}" if row["split"] else ""
    by = "" if _proxy(row) == EDITS else f", {_proxy(row)[1]}"
    return f"{title_of(inputs, _source(row))}{split}{by}"


def _view(inputs: Inputs, row: Mapping[str, Any]) -> FidelityView:
    pairs = list(_pairs(row))
    status = str(row["status"])
    noun, what = _proxy(row)
    title = f"{_place(inputs, row)}: {noun} against retrained cells"
    left_out = row.get("left_out")
    chart = _chart(pairs, row, title) if pairs else Markup("")
    rows = tuple(TableRow(pair.cell, _pair_cells(pair)) for pair in pairs)
    return FidelityView(
        Figure(title, note_of(inputs, _source(row)), chart, PAIR_COLUMNS, rows),
        SAID[status].format(
            spearman=_number(row, "spearman"),
            cells=several(len(pairs), "retrained cell"),
            least=LEAST_SPEARMAN,
            fewest=FEWEST_CELLS,
            noun=noun,
            named=noun.capitalize(),
            what=what,
        ),
        status != "faithful",
        tuple(TableRow(str(cell), (str(why),)) for cell, why in left_out.items()) if isinstance(left_out, dict) else (),
    )


def _pairs(row: Mapping[str, Any]) -> Iterable[_Pair]:
    for each in row["pairs"] if isinstance(row["pairs"], list) else ():
        if isinstance(each, dict):
            predicted, retrained = number(each.get("estimate")), number(each.get("retrained"))
            names = [str(each.get(name, "")) for name in ("cell", "stands_for", "edited_from")]
            if predicted is not None and retrained is not None:
                yield _Pair(names[0], names[1], names[2], predicted, retrained)


def _pair_cells(pair: _Pair) -> tuple[str, ...]:
    numbers = (pair.predicted, pair.retrained, pair.predicted - pair.retrained)
    return pair.stands_for, pair.edited_from, *(signed(value) for value in numbers)


def _number(row: Mapping[str, Any], name: str) -> str:
    """Return a number with its interval; a dash where nothing varies or there are too few cells."""
    has_sign = NUMBERS[name][1]
    value, low, high = (number(row.get(f"{name}{end}")) for end in ("", "_low", "_high"))
    if value is None:
        return "not defined" if row["status"] == "unfaithful" else DASH
    shown = signed(value) if has_sign else plain(value)
    return f"{shown} {interval(low, high, difference=has_sign)}".strip()


def _numbers(row: Mapping[str, Any]) -> tuple[str, ...]:
    return count(number(row["cells"])), *(_number(row, name) for name in NUMBERS), CITED[str(row["status"])]


def _chart(pairs: Sequence[_Pair], row: Mapping[str, Any], title: str) -> Markup:
    """Return the pairs on two equal scales, with the line of a perfect prediction and the line that fits best."""
    fitted = _fitted(pairs, row)
    values = [value for pair in pairs for value in (pair.predicted, pair.retrained)]
    reach = max(abs(value) for value in (*values, *(value for point in fitted for value in point))) or 1.0
    x_axis = Axis(-reach, reach, LEFT + INSIDE, WIDTH - INSIDE - 8)
    y_axis = Axis(-reach, reach, HEIGHT - FOOT - INSIDE, TOP + INSIDE)
    body = _scales(x_axis, y_axis)
    body.append(line(x_axis.start, y_axis.start, x_axis.end, y_axis.end, "bandedge"))
    style = 0 if row["status"] == "faithful" else -1
    if fitted:
        ends = [(x_axis.at(x), y_axis.at(y)) for x, y in fitted]
        body.append(line(*ends[0], *ends[1], f"path {'s0' if style == 0 else 'sx'}"))
    for pair in pairs:
        x, y = x_axis.at(pair.predicted), y_axis.at(pair.retrained)
        body.append(with_detail(mark(x, y, style, 5), _detail(pair)))
        if not pair.is_same_sign:
            body.append(dot(x, y, 2, "hole"))
    agreed = sum(pair.is_same_sign for pair in pairs)
    description = f"{several(len(pairs), 'cell')}; in {agreed} the sign is predicted. The table holds the values."
    return svg(WIDTH, HEIGHT, title, description, body, "fidelity")


def _fitted(pairs: Sequence[_Pair], row: Mapping[str, Any]) -> list[tuple[float, float]]:
    """Return the two ends of the line that fits best over what was predicted; nothing where there is none."""
    slope, intercept = number(row.get("slope")), number(row.get("intercept"))
    if slope is None or intercept is None:
        return []
    ends = min(pair.predicted for pair in pairs), max(pair.predicted for pair in pairs)
    return [(end, intercept + slope * end) for end in ends]


def _scales(x_axis: Axis, y_axis: Axis) -> list[str]:
    body = []
    right, bottom = WIDTH - 8, HEIGHT - FOOT
    for tick in sorted(x_axis.ticks(5), key=lambda tick: tick == 0):  # the lines of nothing above those of the grid
        name = "zero" if tick == 0 else "grid"
        body.append(line(x_axis.at(tick), TOP, x_axis.at(tick), bottom, name))
        body.append(text(x_axis.at(tick), bottom + 17, tick_label(tick), "tick", "middle"))
        body.append(line(LEFT, y_axis.at(tick), right, y_axis.at(tick), name))
        body.append(text(LEFT - 7, y_axis.at(tick) + 4, tick_label(tick), "tick", "end"))
    body.append(text(LEFT, 16, "what the retrained cell shows", "label"))
    body.append(text((LEFT + right) / 2, HEIGHT - 10, "what is predicted", "label", "middle"))
    return body


def _detail(pair: _Pair) -> str:
    return f"{pair.cell} for {pair.stands_for}: predicted {signed(pair.predicted)}, retrained {signed(pair.retrained)}"


def fidelity_table(inputs: Inputs) -> list[dict[str, Any]]:
    """Return every pair of an edited and a retrained cell as a line of numbers."""
    return [
        {
            **dict(zip(("measure", "condition", "judge", "split"), _head(row), strict=True)),
            "proxy": row.get("proxy"),
            **vars(pair),
        }
        for row in _lines(inputs)
        for pair in _pairs(row)
    ]


def _head(row: Mapping[str, Any]) -> tuple[str, str, str, str | None]:
    source = _source(row)
    return source.measure, source.condition, source.judge, source.split
