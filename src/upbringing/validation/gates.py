"""Gates: what a number from simulated studies must be, and whether it is, with its Monte Carlo error."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, Protocol

import numpy as np

from upbringing.validation.process import Array
from upbringing.validation.scenarios import Scenario

Statistic = Literal["mean", "bias", "rmse", "ratio"]
Route = Literal["estimator", "attribute", "exact"]
Status = Literal[
    "pass", "FAIL", "fails, as it must", "PASSES, BUT MUST FAIL", "enough seeds", "not enough seeds", "not run"
]
Must = Literal["pass", "fail", "inform"]
STATUSES: Mapping[Must, tuple[Status, Status]] = {  # where the bound is not met, and where it is
    "pass": ("FAIL", "pass"),
    "fail": ("fails, as it must", "PASSES, BUT MUST FAIL"),
    "inform": ("not enough seeds", "enough seeds"),
}
FULL_REPLICATES = 1000  # the number of studies for which the thresholds of statistics-and-measures were set
WIDENING = 2.0  # Monte Carlo errors that a run with fewer studies may add to a threshold

Outcomes = Mapping[str, Array]


class Trial(Protocol):
    """Simulates one study, analyses it and returns named outcomes; NaN = the outcome does not apply to it."""

    def __call__(self, random: np.random.Generator) -> Mapping[str, float]: ...


@dataclass(frozen=True, kw_only=True)
class Gate:
    """A number that an experiment's outcomes must come to.

    ``outcome`` names what ``statistic`` is taken of: the mean, the absolute mean (of errors: the bias), the root mean
    square, or the ratio of that to the root mean square of ``against``. ``must``: naive analyses must ``fail``; what a
    design of few seeds can do is for ``inform``ation.
    """

    id: str
    claim: str
    outcome: str
    statistic: Statistic = "mean"
    against: str | None = None
    at_least: float | None = None
    at_most: float | None = None
    must: Must = "pass"

    @property
    def bound(self) -> str:
        """What is asked for, as a table shows it."""
        parts = [f">= {self.at_least:g}" if self.at_least is not None else None]
        parts += [f"<= {self.at_most:g}" if self.at_most is not None else None]
        return " and ".join(part for part in parts if part is not None)


@dataclass(frozen=True, kw_only=True)
class Experiment:
    """Studies of one scenario that one or more gates read. ``name`` also names the random streams.

    ``replicates``: studies of a full run.
    """

    name: str
    trial: Trial
    route: Route
    gates: tuple[Gate, ...]
    scenario: Scenario
    setting: str
    replicates: int = FULL_REPLICATES


@dataclass(frozen=True, kw_only=True)
class Result:
    """A gate with what was found. ``error``: Monte Carlo standard error; ``None`` for checks without any."""

    id: str
    claim: str
    scenario: str
    setting: str
    route: Route | None
    bound: str
    status: Status
    replicates: int = 0
    value: float | None = None
    error: float | None = None
    note: str = ""

    @property
    def is_bad(self) -> bool:
        """Return whether this result makes the suite fail."""
        return self.status in ("FAIL", "PASSES, BUT MUST FAIL")


def read_gate(gate: Gate, experiment: Experiment, outcomes: Outcomes) -> Result:
    """Return what ``outcomes`` say of ``gate``. With fewer studies than a full run the bounds are wider.

    They are wider by two times the root of the difference of both squared Monte Carlo errors, which is nothing at a
    full run. What must fail has to fail the bounds of a full run.
    """
    values = outcomes[gate.outcome]
    values = values[~np.isnan(values)]
    value, error = summary(values, gate.statistic)
    if gate.against is not None:
        value, error = _ratio((value, error), summary(outcomes[gate.against], "ratio"))
    widened = 0.0 if gate.must != "pass" else _widening(gate, values, error, experiment.replicates)
    too_low = gate.at_least is not None and value < gate.at_least - widened
    too_high = gate.at_most is not None and value > gate.at_most + widened
    is_met = not (too_low or too_high or np.isnan(value))
    return Result(
        id=gate.id,
        claim=gate.claim,
        scenario=experiment.scenario.id,
        setting=experiment.setting,
        route=experiment.route,
        bound=gate.bound,
        status="FAIL" if np.isnan(value) else STATUSES[gate.must][is_met],
        replicates=len(values),
        value=value,
        error=error,
    )


def summary(values: Array, statistic: Statistic) -> tuple[float, float]:
    """Return a statistic of outcomes and its Monte Carlo standard error; NaN where there are none.

    Source: Morris, White and Crowther 2019, table 6; the error of a root mean square by the delta method.
    """
    num = len(values)
    if not num:
        return float("nan"), float("nan")
    spread = float(values.std(ddof=1)) if num > 1 else 0.0
    if statistic in ("rmse", "ratio"):
        squares = values**2
        root = float(np.sqrt(squares.mean()))
        inside = float(squares.std(ddof=1)) if num > 1 else 0.0
        return root, inside / np.sqrt(num) / (2 * root) if root > 0 else 0.0
    mean = float(values.mean())
    return abs(mean) if statistic == "bias" else mean, spread / float(np.sqrt(num))


def _ratio(above: tuple[float, float], below: tuple[float, float]) -> tuple[float, float]:
    """Return the ratio of two numbers with errors, and its error by the delta method, as if they were independent."""
    value = above[0] / below[0]
    return value, value * float(np.hypot(above[1] / above[0], below[1] / below[0]))


def _widening(gate: Gate, values: Array, error: float, full: int) -> float:
    """Return how much a bound is widened because fewer studies than ``full`` were run."""
    num = len(values)
    if num >= full or num == 0:
        return 0.0
    bounds = [bound for bound in (gate.at_least, gate.at_most) if bound is not None]
    if gate.statistic == "mean" and np.isin(values, (0.0, 1.0)).all():
        error = max(float(np.sqrt(bound * (1 - bound) / num)) for bound in bounds)  # of a share that is at its bound
    return WIDENING * error * float(np.sqrt(1 - num / full))


@dataclass(frozen=True, kw_only=True)
class Performance:
    """How a contrast is estimated in one scenario, each number with its Monte Carlo error."""

    scenario: str
    what: str
    setting: str
    route: Route
    replicates: int
    numbers: Mapping[str, tuple[float, float]]


def performance(experiment: Experiment, outcomes: Outcomes) -> Performance | None:
    """Return bias, standard errors, coverage and verdicts of an experiment on a contrast; ``None`` for others."""
    if "error" not in outcomes:
        return None
    known = {name: values[~np.isnan(values)] for name, values in outcomes.items()}
    error, num = known["error"], len(known["error"])
    numbers: dict[str, tuple[float, float]] = {}
    if num > 1 and error.std() > 0:
        empirical, relative = float(error.std(ddof=1)), 1 / float(np.sqrt(2 * (num - 1)))
        numbers["bias"] = (float(error.mean()), empirical / float(np.sqrt(num)))
        numbers["empirical SE"] = (empirical, empirical * relative)
        if len(known["standard_error"]):
            ratio = float(np.sqrt((known["standard_error"] ** 2).mean())) / empirical
            numbers["model / empirical SE"] = (ratio, ratio * relative)
    for name in ("covered", "changed", "alike", "wrong_sign", "exaggeration"):
        if len(known.get(name, ())):
            numbers[name] = summary(known[name], "mean")
    return Performance(
        scenario=experiment.scenario.id,
        what=experiment.scenario.title,
        setting=experiment.setting,
        route=experiment.route,
        replicates=len(outcomes["error"]),
        numbers=numbers,
    )
