"""The interval of a ratio of rates at any confidence, which a correction for several questions asks for."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from scipy import optimize

from upbringing.attribution.statistics.equivalence import ROUNDING
from upbringing.attribution.statistics.far_tail import quantile
from upbringing.attribution.statistics.inference import Inference
from upbringing.attribution.statistics.levels import RateCounts, rate_limits

LARGEST_LOG = 700.0  # beyond, a ratio is infinite
SMALLEST_P = 1e-5  # below, two runs alone would ask for more standard errors than are sought
LARGEST_P = 0.99  # from here on a p-value is 1


class RatioLimits(Protocol):
    """The two limits of a ratio at a confidence. ``in_family``: of several questions that are corrected together."""

    def __call__(self, confidence: float, *, in_family: bool) -> tuple[float, float]: ...


@dataclass(frozen=True)
class LogLimits:
    """Limits from the linearised log ratio. ``inference``: of the log ratio, widened by answers without a score."""

    inference: Inference

    def __call__(self, confidence: float, *, in_family: bool) -> tuple[float, float]:
        """Return the limits of the ratio."""
        found = self.inference
        reach = quantile(confidence, found.df, found.spread if in_family else None) * (found.standard_error or 0.0)
        return exp(found.estimate - found.down - reach), exp(found.estimate + found.up + reach)


@dataclass(frozen=True)
class RateLimits:
    """Limits of one rate. ``lowest``, ``highest``: where answers without a score may put it."""

    inference: Inference
    counts: RateCounts
    lowest: float
    highest: float

    @property
    def rate(self) -> float:
        """The rate."""
        return min(1.0, max(0.0, self.inference.estimate))

    def __call__(self, confidence: float, *, in_family: bool) -> tuple[float, float]:
        """Return the limits of the rate."""
        low, high = rate_limits(self.inference, self.counts, confidence, in_family=in_family)
        down, up = max(self.rate - self.lowest, 0.0), max(self.highest - self.rate, 0.0)
        if max(down, up) <= ROUNDING:
            return low, high
        return max(low - down, 0.0), min(high + up, 1.0)


@dataclass(frozen=True)
class TwoRateLimits:
    """Limits from those of both rates, taken to be independent."""

    first: RateLimits
    second: RateLimits

    def __call__(self, confidence: float, *, in_family: bool) -> tuple[float, float]:
        """Return the limits of the ratio."""
        limits = [side(confidence, in_family=in_family) for side in (self.first, self.second)]
        return mover_ratio((self.first.rate, self.second.rate), limits)


def beyond_p(limits: RatioLimits, margin: float, *, in_family: bool) -> float:
    """Return the two-sided p-value of "the ratio lies between ``1 / margin`` and ``margin``".

    It is where the interval that widens with its confidence touches the margin. Departures: at least ``SMALLEST_P``,
    which no correction for fewer than 5,000 questions asks below.
    """

    def beyond(log_p: float) -> float:
        """Return how far, in logs, the interval at this p-value lies beyond the nearer margin; negative within it."""
        low, high = limits(1 - math.exp(log_p), in_family=in_family)
        return max(_log(low), -_log(high)) - math.log(margin)

    least, most = math.log(SMALLEST_P), math.log(LARGEST_P)
    if beyond(most) <= 0:
        return 1.0
    if beyond(least) > 0:
        return SMALLEST_P
    return math.exp(float(optimize.brentq(beyond, least, most, xtol=1e-9)))


def _log(value: float) -> float:
    """Return the logarithm, bounded, so that no limit at 0 or infinity ends the search."""
    if value <= 0:
        return -LARGEST_LOG
    return min(math.log(value), LARGEST_LOG) if math.isfinite(value) else LARGEST_LOG


def exp(value: float) -> float:
    """Return the exponential; infinite where it has no float."""
    return math.exp(value) if value < LARGEST_LOG else math.inf


def mover_ratio(rates: tuple[float, float], limits: Sequence[tuple[float, float]]) -> tuple[float, float]:
    """Return the limits of ``first / second`` from the limits of both, taken to be independent.

    Each end is the ratio R at which the square-and-add limit of ``first - R x second`` is 0. Source: Donner and Zou
    2012 (MOVER-R). Departures: written so that neither rate needs an event; 0 and infinity where nothing bounds it.
    """
    (first, second), ((low1, high1), (low2, high2)) = rates, limits
    product = first * second
    below, above = low1 * (2 * first - low1), high1 * (2 * first - high1)
    root = product + math.sqrt(max(product**2 - below * high2 * (2 * second - high2), 0.0))
    low = below / root if root > 0 else 0.0
    room = low2 * (2 * second - low2)
    if room <= 0:
        return low, math.inf
    return low, (product + math.sqrt(max(product**2 - above * room, 0.0))) / room
