"""How the parts of a design work together: redundancy, non-additivity, what depends on the order, what is aliased."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from markupsafe import Markup

from upbringing.formats.findings import Claim, OrderRange
from upbringing.reporting.chart import Interval
from upbringing.reporting.deciding import of_claim
from upbringing.reporting.differences import anchor_of
from upbringing.reporting.figure import Figure, TableRow
from upbringing.reporting.forest import ForestRow, forest, forest_axis
from upbringing.reporting.inputs import Inputs
from upbringing.reporting.naming import claim_names
from upbringing.reporting.words import DASH, LOG_ODDS, interval, plain, signed, spanned, verdict_of

MAX_ROWS = 24  # in a picture; its table holds all
INDICES = {
    "redundancy": ("redundancy", "below 0: the parts need each other; above 0: each does what another does too"),
    "non_additivity": ("non-additivity", "0: effects add up; 1: there are interactions only. Noise makes it positive"),
}
NEEDED = {"measure", "factors", "redundancy", "non_additivity"}


@dataclass(frozen=True)
class OrderLine:
    """A claim whose effect is known in several orders. ``anchor``: its place in the page."""

    label: str
    anchor: str
    effect: str
    orders: str
    is_wide: str


@dataclass(frozen=True)
class AliasLine:
    """Effects of a fraction that are one and the same contrast of its cells. ``count``: how many."""

    place: str
    effects: str
    count: int


@dataclass(frozen=True)
class Together:
    """Everything this part of the page shows. ``orders_charts``: by unit, effects within their ranges."""

    indices: tuple[Figure, ...]
    orders: tuple[OrderLine, ...]
    orders_charts: Mapping[str, Markup]
    aliases: tuple[AliasLine, ...]

    @property
    def is_there(self) -> bool:
        """Whether there is anything to show."""
        return bool(self.indices or self.orders or self.aliases)


def together_of(inputs: Inputs) -> Together:
    """Return the tables ``indices`` and ``aliases`` of the findings, and all claims with a range over orders."""
    ranged = [(claim, claim.order_range) for claim in inputs.findings.claims if claim.order_range is not None]
    ranged.sort(key=lambda each: (each[0].role != "primary", not each[1].is_wide))
    names = claim_names(inputs, [claim for claim, _ in ranged])
    return Together(
        indices=tuple(_indices(inputs)),
        orders=tuple(_order_line(names, claim, found) for claim, found in ranged),
        orders_charts=_orders_charts(names, ranged),
        aliases=tuple(_aliases(inputs)),
    )


def _lines(inputs: Inputs, table: str, needed: set[str]) -> list[dict[str, Any]]:
    rows = inputs.findings.tables.get(table, [])
    return [row for row in rows if isinstance(row, dict) and needed <= row.keys()]


def _indices(inputs: Inputs) -> Iterable[Figure]:
    rows = _lines(inputs, "indices", NEEDED)
    if not rows:
        return
    for name, (title, note) in INDICES.items():
        table = tuple(TableRow(_place(inputs, row), _index_cells(row, name)) for row in rows)
        drawn = [row for row in rows if row[name] is not None][:MAX_ROWS]
        chart = _index_chart(inputs, drawn, name, title) if drawn else Markup("")
        yield Figure(title, note, chart, ("design", "index", "interval", "why there is none"), table)


def _place(inputs: Inputs, row: dict[str, Any]) -> str:
    factors = " × ".join(str(factor) for factor in row["factors"])
    place = f", after {row['position']}" if row.get("position") else ""
    return f"{inputs.label(str(row['measure']))}: {factors}{place}"


def _index_cells(row: dict[str, Any], name: str) -> tuple[str, str, str]:
    limits = interval(row.get(f"{name}_low"), row.get(f"{name}_high"), difference=False)
    return plain(row[name]), limits or DASH, str(row.get(f"{name}_reason") or "")


def _index_chart(inputs: Inputs, rows: Sequence[dict[str, Any]], name: str, title: str) -> Markup:
    found = [_index_interval(row, name) for row in rows]
    lines = [
        ForestRow(_place(inputs, row), each, "inconclusive", " ".join(_index_cells(row, name)[:2]))
        for row, each in zip(rows, found, strict=True)
    ]
    axis = forest_axis(min(0.0, *(each.low for each in found)), max(1.0, *(each.high for each in found)))
    return forest(lines, axis, title=title.capitalize(), unit="index", is_difference=False)


def _index_interval(row: dict[str, Any], name: str) -> Interval:
    value = float(row[name])
    low, high = (row.get(f"{name}_{side}") for side in ("low", "high"))
    return Interval(value, value if low is None else float(low), value if high is None else float(high))


def _order_line(names: Mapping[str, str], claim: Claim, found: OrderRange) -> OrderLine:
    number = of_claim(claim)
    return OrderLine(
        label=names[claim.id],
        anchor=anchor_of(claim),
        effect=f"{signed(number.estimate)} {interval(number.low, number.high)}".strip(),
        orders=spanned(found.low, found.high),
        is_wide={True: "yes, by more than a fifth of the total", False: "no", None: "the total is not told from 0"}[
            found.is_wide
        ],
    )


def _orders_charts(names: Mapping[str, str], ranged: Sequence[tuple[Claim, OrderRange]]) -> dict[str, Markup]:
    """Return a chart per unit: what is counted in other units has no common scale."""
    by_unit: dict[str, list[tuple[Claim, OrderRange]]] = {}
    for claim, found in ranged:
        unit = LOG_ODDS if claim.scale == "logit" else claim.unit
        by_unit.setdefault(unit, []).append((claim, found))
    return {unit: _orders_chart(names, found[:MAX_ROWS], unit) for unit, found in by_unit.items()}


def _orders_chart(names: Mapping[str, str], ranged: Sequence[tuple[Claim, OrderRange]], unit: str) -> Markup:
    """Return each range as a bar with the claim's own estimate as its mark: no interval, which is drawn elsewhere."""
    rows = [
        ForestRow(
            label=names[claim.id],
            found=_ranged(claim, found),
            verdict=verdict_of(claim),
            number=spanned(found.low, found.high),
        )
        for claim, found in ranged
    ]
    reach = max(abs(value) for _, found in ranged for value in (found.low, found.high)) or 1.0
    axis = forest_axis(-reach, reach)
    return forest(rows, axis, title=f"What a part contributes over the orders, {unit}", unit=unit)


def _ranged(claim: Claim, found: OrderRange) -> Interval:
    """Return the range with the judged estimate, which is what was computed in each order."""
    middle = (found.low + found.high) / 2 if claim.estimate is None else claim.estimate
    return Interval(middle, found.low, found.high)


def _aliases(inputs: Inputs) -> Iterable[AliasLine]:
    for row in _lines(inputs, "aliases", {"effects", "factors"}):
        effects = [str(effect) for effect in row["effects"]]
        place = f"{' × '.join(str(factor) for factor in row['factors'])}, after {row.get('position', DASH)}"
        yield AliasLine(place, " = ".join(effects), len(effects))
