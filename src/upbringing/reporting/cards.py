"""Training and data cards: what each stage of each arm realised, seeds aggregated, as far as records say."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from markupsafe import Markup

from upbringing.reporting.chart import loss_curves
from upbringing.reporting.claim_facts import Fact
from upbringing.reporting.inputs import Inputs
from upbringing.reporting.lineage import lineage_of
from upbringing.reporting.rewards import reward_facts
from upbringing.reporting.words import DASH, count, duration, several, short_count

Record = Mapping[str, Any]
MAX_CURVE_POINTS = 200  # a small chart has no more pixels


@dataclass(frozen=True)
class SourceRow:
    """A data source of a stage: planned against realised."""

    source: str
    planned: str
    tokens: str
    supervised: str
    examples: str
    repetition: str
    teachers: str


@dataclass(frozen=True)
class PhaseRow:
    """A data source in one phase of a stage; ``rate``: of the phase's first update, by the peak rate in brackets."""

    steps: str
    rate: str
    source: SourceRow


@dataclass(frozen=True)
class Card:
    """One stage of one or several arms that share it."""

    title: str
    note: str
    facts: tuple[Fact, ...]
    sources: tuple[SourceRow, ...]
    phases: tuple[PhaseRow, ...]
    curve: Markup | None
    warnings: tuple[str, ...]


def cards_of(inputs: Inputs) -> tuple[Card, ...]:
    """Return a card per place of the tree that has records, in the order of training; then the unplaced ones."""
    groups: dict[tuple[str, ...], list[str]] = {}
    places: dict[str, dict[str, None]] = {}
    for cell in inputs.tree.cells:
        places.setdefault(cell.checkpoint, {})[cell.name] = None
    for identity in inputs.records:
        groups.setdefault(tuple(places.get(identity, ())), []).append(identity)
    lineage = lineage_of(inputs.tree)
    order = [name for node in lineage.nodes for name in node.cells]
    known = sorted((names for names in groups if names), key=lambda names: order.index(names[0]))
    titles = {name: f"{node.label} @ {node.position}" for node in lineage.nodes for name in node.cells}
    cards = [_card(titles[names[0]], [inputs.records[each] for each in groups[names]]) for names in known]
    unplaced: dict[str, list[Record]] = {}
    for identity in groups.get((), []):
        record = inputs.records[identity]
        unplaced.setdefault(str(record.get("stage", "between measured places")), []).append(record)
    return (*cards, *(_card(f"{stage} (not measured)", records) for stage, records in unplaced.items()))


def _card(title: str, records: Sequence[Record]) -> Card:
    curves = [curve for record in records if len(curve := _curve(record)) > 1]
    warnings = dict.fromkeys(str(text) for record in records for text in _list(record, "warnings"))
    kinds = ", ".join(dict.fromkeys(str(record.get("kind", "")) for record in records if record.get("kind")))
    return Card(
        title=title,
        note=", ".join(filter(None, (kinds, several(len(records), "run")))),
        facts=tuple(_facts(records)),
        sources=tuple(_sources(records)),
        phases=tuple(_phases(records)),
        curve=loss_curves(curves, title=f"Training loss of {title}") if curves else None,
        warnings=tuple(warnings),
    )


def _list(record: Record, name: str) -> list[Any]:
    value = record.get(name)
    return value if isinstance(value, list) else []


def _curve(record: Record) -> list[tuple[float, float]]:
    points = [
        (float(point[0]), float(point[1]))
        for point in _list(record, "loss_curve")
        if isinstance(point, list) and len(point) == 2 and all(isinstance(value, int | float) for value in point)
    ]
    step = max(1, len(points) // MAX_CURVE_POINTS)
    return [*points[:-1:step], points[-1]] if points else []


def _numbers(records: Sequence[Record], name: str) -> list[float]:
    return [float(record[name]) for record in records if isinstance(record.get(name), int | float)]


def _span(values: Sequence[float], show: Any) -> str:
    low, high = show(min(values)), show(max(values))
    return str(low) if low == high else f"{low} to {high}"


def _facts(records: Sequence[Record]) -> Iterable[Fact]:
    for name, label, show in (
        ("tokens", "Tokens", count),
        ("supervised_tokens", "Supervised tokens", count),
        ("examples", "Examples", count),
        ("updates", "Updates", count),
        ("learning_rate_sum", "Sum of learning rates", lambda value: f"{value:.3g}"),
        ("seconds", "Time", duration),
    ):
        values = _numbers(records, name)
        if values and max(values) > 0:
            yield Fact(label, _span(values, show))
    yield from reward_facts(records)
    guards = dict.fromkeys(str(record["guard"]) for record in records if record.get("guard"))
    if guards:
        yield Fact("Guard", ", ".join(guards))
    exact = [bool(record["exact"]) for record in records if "exact" in record]
    if exact:
        yield Fact("Exact resume", "yes" if all(exact) else "no")


def _sources(records: Sequence[Record]) -> Iterable[SourceRow]:
    """Yield one line per source, over all runs."""
    found: dict[str, list[Record]] = {}
    for record in records:
        for source in _list(record, "sources"):
            if isinstance(source, dict):
                found.setdefault(str(source.get("source", "?")), []).append(source)
    for name, runs in found.items():
        shares = _numbers(runs, "planned_share")
        planned = _numbers(runs, "planned_tokens")
        teachers = dict.fromkeys(str(teacher) for run in runs for teacher in _list(run, "teachers"))
        yield SourceRow(
            source=name,
            planned=_span(planned, short_count) if planned else (f"{shares[0]:.0%}" if shares else DASH),
            tokens=_span(_numbers(runs, "realised_tokens") or [0.0], count),
            supervised=_span(_numbers(runs, "supervised_tokens") or [0.0], count),
            examples=_span(_numbers(runs, "examples") or [0.0], count),
            repetition=_span(_numbers(runs, "repetition") or [0.0], lambda value: f"{value:.2f}"),
            teachers=", ".join(teachers) or DASH,
        )


def _phases(records: Sequence[Record]) -> Iterable[PhaseRow]:
    """Yield one line per source of every phase, over all runs; nothing where no stage has several phases."""
    found: dict[tuple[int, int], list[Record]] = {}
    for record in records:
        for phase in _list(record, "phases"):
            if isinstance(phase, dict) and _numbers([phase], "first_step") and _numbers([phase], "last_step"):
                found.setdefault((int(phase["first_step"]), int(phase["last_step"])), []).append(phase)
    for (first, last), phases in sorted(found.items()) if len(found) > 1 else ():
        rates, factors = _numbers(phases, "learning_rate"), _numbers(phases, "peak_share")
        rate = _span(rates, lambda value: f"{value:.3g}") if rates else DASH
        rate += f" ({_span(factors, lambda value: f'{value:.0%}')} of the peak)" if factors else ""
        for source in _sources(phases):
            yield PhaseRow(steps=f"{count(first + 1)} to {count(last)}", rate=rate, source=source)
