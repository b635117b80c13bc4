"""What records say of rewards: how well a reward model ranks, and what a policy's answers were worth."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from statistics import fmean
from typing import Any

from upbringing.reporting.claim_facts import Fact

Record = Mapping[str, Any]
COURSE = (
    ("reward", "Reward"),
    ("oracle", "Exact judge's reward of the same answers"),
    ("divergence", "Nats per token from the start of the stage"),
    ("length", "Tokens per answer"),
    ("distinct", "Distinct answers to a prompt"),
)


def reward_facts(records: Sequence[Record]) -> Iterable[Fact]:
    """Yield the facts of reward models and rl stages among ``records``, means over runs; none for other stages."""
    for group in _held_out_policies(records):
        found = [each for record in records for each in _groups(record) if each.get("policy") == group]
        accuracy, error = (_mean(found, name) for name in ("accuracy", "calibration_error"))
        if accuracy is not None:
            calibrated = "" if error is None else f", calibration error {error:.2f}"
            yield Fact(f"Held-out pairs ranked rightly ({group})", f"{accuracy:.0%}{calibrated}")
    courses = [updates for record in records if (updates := _updates(record))]
    for name, label in COURSE:
        first, last = (_mean([course[place] for course in courses], name) for place in (0, -1))
        if first is not None and last is not None:
            yield Fact(label, f"{first:.2f} to {last:.2f}")


def _groups(record: Record) -> list[Mapping[str, Any]]:
    found = record.get("reward_model")
    listed = found if isinstance(found, list) else []
    return [each for each in listed if isinstance(each, dict) and each.get("held_out") is True]


def _held_out_policies(records: Sequence[Record]) -> list[str]:
    return list(dict.fromkeys(str(each.get("policy")) for record in records for each in _groups(record)))


def _updates(record: Record) -> list[Mapping[str, Any]]:
    course = record.get("rl")
    found = course.get("updates") if isinstance(course, dict) else None
    return [each for each in found if isinstance(each, dict)] if isinstance(found, list) else []


def _mean(values: Sequence[Mapping[str, Any]], name: str) -> float | None:
    """Return the mean of a field, or ``None`` where nobody knows it."""
    numbers = [float(each[name]) for each in values if isinstance(each.get(name), int | float)]
    return fmean(numbers) if numbers else None
