"""What every cell scored: which scores stand for a property, how they are named, drawn and listed."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from typing import Any

from upbringing.attribution.evidence.cells import Source
from upbringing.reporting.deciding import judged_text, of_level
from upbringing.reporting.inputs import Inputs
from upbringing.reporting.picture import Level
from upbringing.reporting.runs import Runs
from upbringing.reporting.words import DASH, count, interval, plain

UNIT_SHARE = "share"
LEVEL_COLUMNS = ("checkpoint", "estimate", "interval", "single runs", "questions", "unscored")


def primary_of(inputs: Inputs) -> tuple[str, ...]:
    asked = tuple(dict.fromkeys(claim.measure for claim in inputs.findings.claims if claim.role == "primary"))
    return inputs.tree.study.primary or asked


def sources_of(inputs: Inputs) -> Iterable[Source]:
    """Yield for each measure and condition the scores that stand for it: first judge, headline split."""
    found: dict[tuple[str, str], dict[tuple[str | None, str], None]] = {}
    for row in inputs.level_rows():
        key = (str(row["measure"]), str(row.get("condition", "default")))
        found.setdefault(key, {})[row.get("split"), str(row.get("judge", "none"))] = None
    order = list(dict.fromkeys((*primary_of(inputs), *(info.id for info in inputs.tree.measures))))
    known = sorted(found, key=lambda key: (order.index(key[0]) if key[0] in order else len(order), key))
    for measure, condition in known:
        pairs = list(found[measure, condition])
        headlines = inputs.headline_splits(measure)
        split, judge = min(pairs, key=lambda pair: headlines.index(pair[0]) if pair[0] in headlines else len(headlines))
        yield Source(measure, condition, judge, split)


def cell_levels(inputs: Inputs, runs: Runs, source: Source, cells: Collection[str] | None = None) -> dict[str, Level]:
    """Return the level of every cell that was asked; of those among ``cells`` only, where they are named."""
    rows = {str(row["cell"]): row for row in inputs.level_rows() if _is_from(row, source)}
    return {cell: _level(row, runs, source) for cell, row in rows.items() if cells is None or cell in cells}


def _level(row: dict[str, Any], runs: Runs, source: Source) -> Level:
    counts = _counts(row)
    if row.get("estimate") is None:
        return Level(None, is_measured=bool(row.get("items", 1) or row.get("reasons")), counts=counts)
    return Level(of_level(row).drawn(runs.of_contrast({str(row["cell"]): 1.0}, source)), counts=counts)


def _counts(row: dict[str, Any]) -> tuple[str, str]:
    """Return how many questions and how many unscored answers stand behind a level, as far as the row says."""
    found = [row.get(name) for name in ("items", "unscored")]
    return count(found[0] if isinstance(found[0], int) else None), count(
        found[1] if isinstance(found[1], int) else None
    )


def _is_from(row: dict[str, Any], source: Source) -> bool:
    key = (row["measure"], row.get("condition", "default"), row.get("judge", "none"), row.get("split"))
    return key == (source.measure, source.condition, source.judge, source.split)


def axis_of(inputs: Inputs, source: Source, levels: Sequence[Level]) -> tuple[float, float]:
    if inputs.measure(source.measure).unit == UNIT_SHARE:
        return 0.0, 1.0
    known = [level.found for level in levels if level.found is not None]
    values = [value for each in known for value in each.values]
    if not values:
        return 0.0, 1.0
    room = (max(values) - min(values)) * 0.08 or abs(max(values)) * 0.1 or 1.0
    return min(values) - room, max(values) + room


def title_of(inputs: Inputs, source: Source) -> str:
    rows = inputs.level_rows()
    conditions = {row.get("condition") for row in rows if row["measure"] == source.measure}
    return inputs.label(source.measure) + (f", {source.condition}" if len(conditions) > 1 else "")


def note_of(inputs: Inputs, source: Source) -> str:
    info = inputs.measure(source.measure)
    side = {"safer": "higher is safer", "better": "higher is better"}.get(info.direction.rpartition("-")[2], "")
    side = side.replace("higher", "lower") if info.direction.startswith("lower") else side
    is_corrected = any(row.get("corrected") is not None for row in inputs.level_rows() if _is_from(row, source))
    labels = "corrected by human labels where they allow it, single runs as judged" if is_corrected else ""
    parts = (info.unit, side, f"split {source.split}" if source.split else "", f"judge {source.judge}", labels)
    return " · ".join(part for part in parts if part and part != "judge none")


def level_cells(level: Level, places: int) -> tuple[str, ...]:
    if level.found is None:
        return ("not measurable" if level.is_measured else "not measured", "", "", *level.counts)
    found = level.found
    runs = ", ".join(plain(value, places) for value in found.seeds) or DASH
    judged = judged_text(found, places, difference=False)
    limits = interval(found.low, found.high, places, difference=False) + (f" ({judged})" if judged else "")
    return plain(found.estimate, places), limits, runs, *level.counts
