"""The measure passport: whether a measure may carry attribution at all, from a study's own rows.

Source: statistics-and-measures 5.7. Departures: a step fails only where its 95 % interval lies wholly on the wrong side
of the threshold, and passes where the number reaches it; anything between is "not shown" and bars nothing. Reliability
and signal fail only where checkpoints are shown to differ at all: among equal checkpoints no measure can be reliable,
and their equality may be what the study is to show. A placebo stage that moves a measure is a warning, because it
trains on something; only a copy is null by construction.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Any, Literal

from upbringing.attribution.statistics.reliability import Interval

Status = Literal["passed", "failed", "not shown"]
BARS = (1, 2, 6)  # steps whose failure keeps a measure from carrying claims; the others warn


@dataclass(frozen=True)
class Step:
    """One step of a measure's passport. ``value`` with its 95 % interval is held against ``threshold``.

    ``bars``: that it failed keeps the measure from carrying claims.
    """

    measure: str
    number: int
    step: str
    status: Status
    sentence: str
    value: float | None = None
    low: float | None = None
    high: float | None = None
    threshold: float | None = None
    bars: bool = False


@dataclass(frozen=True)
class Passports:
    """The passports of all measures, step by step."""

    steps: tuple[Step, ...] = ()

    @property
    def table(self) -> list[dict[str, Any]]:
        """The table as it stands in the findings."""
        return [asdict(step) for step in self.steps]

    def barring(self, measure: str) -> tuple[str, ...]:
        """Return the sentences of the steps that keep ``measure`` from carrying claims."""
        return tuple(step.sentence for step in self.steps if step.measure == measure and step.bars)

    def warnings(self) -> Iterable[str]:
        """Yield the sentences of failed steps, those that bar a measure first."""
        yield from (BARRED.format(sentence=step.sentence) for step in self.steps if step.bars)
        yield from (step.sentence for step in self.steps if step.status == "failed" and not step.bars)


BARRED = "{sentence} No claim rests on it."


def held_against(
    measure: str, number: int, step: str, found: Interval, threshold: float, *, can_fail: bool = True
) -> Step:
    """Return a step whose number must reach ``threshold``. ``can_fail``: ``False`` = too low is only not shown."""
    if found.value >= threshold:
        status: Status = "passed"
    else:
        status = "failed" if found.high < threshold and can_fail else "not shown"
    return Step(
        measure=measure,
        number=number,
        step=step,
        status=status,
        sentence=f"{measure}: {step} is {_interval(found)}; {threshold:g} is needed{_VERDICTS[status]}.",
        value=_finite(found.value),
        low=_finite(found.low),
        high=_finite(found.high),
        threshold=threshold,
        bars=status == "failed" and number in BARS,
    )


_VERDICTS = {"passed": "", "failed": " and is not reached", "not shown": ", which is not decided"}


def not_shown(measure: str, number: int, step: str, why: str) -> Step:
    """Return a step that these rows say nothing of."""
    return Step(measure, number, step, "not shown", f"{measure}: {step} is not shown: {why}.")


def _interval(found: Interval) -> str:
    return f"{found.value:.2f} [{found.low:.2f}, {found.high:.2f}]"


def _finite(value: float) -> float | None:
    """Return a number that JSON can hold: infinite ones (no noise at all) become ``None``."""
    return value if abs(value) < float("inf") else None
