"""How likely a test is to decide: of a difference, of equivalence within a margin, of non-inferiority.

A difference is found by the two-sided 5% test; equivalence by two one-sided 5% tests at a true difference of 0;
non-inferiority by one of them. Several tests corrected together (Holm) are planned at their first step, several
measures that must all pass (intersection-union) at ``power ** (1 / number)`` each, as if they were independent.

Source: noncentral t for a difference (Johnson and Kotz) and the normal integral over the estimated standard error for
equivalence (Phillips 1990); statistics-and-measures 3.4 and 3.7. Departures: both are averaged over the mean squares
that ``sampling`` gives, because the crossed estimator's standard error is no single chi-square.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy import special

from upbringing.attribution.power.sampling import Sampling
from upbringing.attribution.statistics.far_tail import half_widths
from upbringing.attribution.statistics.inference import CONFIDENCE, EQUIVALENCE_CONFIDENCE, POWER
from upbringing.base.errors import FormatError

Test = Literal["difference", "equivalence", "noninferiority"]
TESTS: tuple[Test, ...] = ("difference", "equivalence", "noninferiority")
STEPS = 40  # of a bisection: to twelve digits


@dataclass(frozen=True)
class Goal:
    """What is to be decided. ``margin``: the difference to be found, or the margin to stay within.

    ``num_tests``: differences corrected together. ``num_measures``: measures that must all pass. ``bias``: how far
    answers without a score and errors of a rule that no labels check may move the estimate, which no number of prompts
    or seeds shrinks.
    """

    test: Test
    margin: float
    power: float = POWER
    num_tests: int = 1
    num_measures: int = 1
    bias: float = 0.0

    def __post_init__(self) -> None:
        if not self.margin > 0:
            raise FormatError(f"a margin is positive, found {self.margin}")
        if not 0.5 <= self.power < 1:
            raise FormatError(f"the power lies in [0.5, 1), found {self.power}")
        if self.num_tests < 1 or self.num_measures < 1 or self.bias < 0:
            raise FormatError("a goal has at least one test, one measure, and a bias that cannot be negative")

    @property
    def needed(self) -> float:
        """The power that the single test needs."""
        return self.power if self.test == "difference" else float(self.power ** (1 / self.num_measures))

    @property
    def room(self) -> float:
        """What is left of the margin once the bias took its part; not positive = nothing decides."""
        return self.margin - self.bias


def power_of(sampling: Sampling, goal: Goal) -> float:
    """Return the probability that ``goal`` is decided: its difference found, or its margin kept at a true 0."""
    if goal.room <= 0:
        return 0.0
    if goal.test == "difference":
        return _of_difference(sampling, goal.room, _critical(sampling, CONFIDENCE, goal.num_tests))
    critical = _critical(sampling, EQUIVALENCE_CONFIDENCE)
    if goal.test == "equivalence":
        return _of_equivalence(sampling, goal.room, critical)
    return float(special.ndtr((goal.room - critical) / sampling.true_errors).mean())


def is_decided(sampling: Sampling, goal: Goal) -> bool:
    """Return whether ``goal`` is decided with the power that it asks for."""
    return _may_be_decided(sampling, goal) and power_of(sampling, goal) >= goal.needed


def _may_be_decided(sampling: Sampling, goal: Goal) -> bool:
    """Return whether a family's test would be decided if the far tail asked for no more than the plain quantile.

    It never asks for less and takes fifty times as long, so most sizes that a search looks at are settled here.
    """
    if goal.test != "difference" or goal.num_tests == 1 or goal.room <= 0:
        return True
    return _of_difference(sampling, goal.room, _plain(sampling, CONFIDENCE, goal.num_tests)) >= goal.needed


def smallest_decided(sampling: Sampling, goal: Goal) -> float:
    """Return the smallest margin at which ``goal`` would be decided: for a difference, the smallest detectable one."""
    if goal.test == "difference":
        return _smallest(sampling, goal, _critical(sampling, CONFIDENCE, goal.num_tests))
    return _smallest(sampling, goal, _critical(sampling, EQUIVALENCE_CONFIDENCE))


def smallest_at_least(sampling: Sampling, goal: Goal) -> float:
    """Return a margin that ``smallest_decided`` is not below, at a fiftieth of its time: by the plain quantile."""
    if goal.test == "difference":
        return _smallest(sampling, goal, _plain(sampling, CONFIDENCE, goal.num_tests))
    return smallest_decided(sampling, goal)


def _smallest(sampling: Sampling, goal: Goal, critical: NDArray[np.float64]) -> float:
    def power(margin: float) -> float:
        if goal.test == "difference":
            return _of_difference(sampling, margin, critical)
        if goal.test == "equivalence":
            return _of_equivalence(sampling, margin, critical)
        return float(special.ndtr((margin - critical) / sampling.true_errors).mean())

    return _root(power, goal.needed, sampling.standard_error) + goal.bias


def _critical(sampling: Sampling, confidence: float, num_tests: int = 1) -> NDArray[np.float64]:
    """Return the half widths of the interval at each estimated standard error; of a family by its far tail."""
    plain = _plain(sampling, confidence, num_tests)
    if num_tests == 1 or sampling.spreads is None:
        return plain
    return half_widths(plain, 1 - _upper(confidence, num_tests), sampling.spreads)


def _plain(sampling: Sampling, confidence: float, num_tests: int) -> NDArray[np.float64]:
    """Return the half widths by the t quantile, corrected by Bonferroni."""
    plain: NDArray[np.float64] = special.stdtrit(sampling.dfs, _upper(confidence, num_tests)) * sampling.errors
    return plain


def _upper(confidence: float, num_tests: int) -> float:
    return 1 - (1 - confidence) / (2 * num_tests)


def _of_difference(sampling: Sampling, effect: float, critical: NDArray[np.float64]) -> float:
    found = special.ndtr((effect - critical) / sampling.true_errors)
    wrong_sign = special.ndtr((-effect - critical) / sampling.true_errors)
    return float((found + wrong_sign).mean())


def _of_equivalence(sampling: Sampling, margin: float, critical: NDArray[np.float64]) -> float:
    reach = np.maximum(margin - critical, 0.0) / sampling.true_errors
    return float((2 * special.ndtr(reach) - 1).mean())


def _root(power: Callable[[float], float], needed: float, scale: float) -> float:
    """Return the margin at which an increasing ``power`` reaches ``needed``."""
    high = scale
    while power(high) < needed:
        high *= 2
    low = 0.0
    for _ in range(STEPS):
        middle = (low + high) / 2
        low, high = (middle, high) if power(middle) < needed else (low, middle)
    return high
