"""Of how many documents a corpus's transforms wrote something, and whether that is as much as the recipe asks for."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from upbringing.base.errors import DataError
from upbringing.data.interventions.routing import Route
from upbringing.data.interventions.tools import Dose
from upbringing.data.transforms import WRITING, Transform, counts

MAX_REASONS_SHOWN = 3
Doses = dict[str, dict[str, Any]]  # eligible, made, failures, facts and parts, by the transform's label
COUNTED = ("failures", "facts", "parts")


def counting(route: Route) -> list[Transform]:
    """Return the transforms of a rule that count what they do, in order."""
    return [] if isinstance(route.do, str) else [each for each in route.do if counts(each)]


def dose_labels(routes: Sequence[Route]) -> list[tuple[str, ...]]:
    """Return, for each rule, what its transforms that count are called in accounts, in the order of their doses."""
    labels = []
    for number, route in enumerate(routes, start=1):
        kinds = [each.kind for each in counting(route)]
        again = Counter[str]()
        named = []
        for kind in kinds:
            again[kind] += 1
            named.append(f"{kind} of rule {number}" + (f" ({again[kind]})" if kinds.count(kind) > 1 else ""))
        labels.append(tuple(named))
    return labels


def add_doses(into: Doses, labels: Sequence[str], doses: Sequence[Dose]) -> None:
    """Count the ``doses`` of one document, one per label."""
    for label, dose in zip(labels, doses, strict=True):
        merge_doses(into, {label: dose.plain()})


def merge_doses(into: Doses, more: Mapping[str, Mapping[str, Any]]) -> None:
    """Add the counts of ``more``."""
    for label, dose in more.items():
        total = into.setdefault(label, {"eligible": 0, "made": 0, "failures": {}})
        total["eligible"] += dose["eligible"]
        total["made"] += dose["made"]
        for counted in (each for each in COUNTED if each in dose):
            times: Counter[str] = Counter(total.get(counted, {}))
            times.update(dose[counted])
            total[counted] = dict(times)


def check_doses(routes: Sequence[Route], found: Mapping[str, Mapping[str, Any]], work: str) -> None:
    """Raise ``DataError`` where a transform wrote of too few documents what ``least`` asks for, or of none at all.

    ``work``: the folder in which the rejects lie.
    """
    problems = []
    for route, labels in zip(routes, dose_labels(routes), strict=True):
        for transform, label in zip(counting(route), labels, strict=True):
            if not isinstance(transform, WRITING):
                continue
            made = found.get(label, {"eligible": 0, "made": 0, "failures": {}})
            dose = Dose(label, made["eligible"], made["made"], transform.least)
            if (problem := dose.problem()) is not None:
                often = Counter(made["failures"]).most_common(MAX_REASONS_SHOWN)
                problems.append("; ".join([problem, *(f"{reason} ({times} times)" for reason, times in often)]))
    if problems:
        raise DataError(
            f"{'; '.join(problems)}. Nothing is published; the rejects lie in {work}. With a lower least the same "
            "command ends at once, and nothing is asked or paid for again"
        )
