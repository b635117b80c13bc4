"""The ratio of two rates of harm, for margins on rare events, where a margin on the difference would forgive anything.

A rate of 0.2 % that becomes 2 % moved by less than any margin on differences that fits common rates. Two rates are
alike within a ratio ``m`` where two one-sided 5% tests show the ratio above ``1 / m`` and below ``m``.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from upbringing.attribution.statistics.equivalence import Answer, widened
from upbringing.attribution.statistics.inference import Inference
from upbringing.attribution.statistics.levels import ENOUGH_EVENTS, NO_EVENT, RateCounts, clip, rate_inference
from upbringing.attribution.statistics.ratio_limits import (
    LogLimits,
    RateLimits,
    RatioLimits,
    TwoRateLimits,
    beyond_p,
    exp,
    mover_ratio,
)

Matrix = NDArray[np.float64]
ROUNDED = 1e-9  # of weights such as 1/3
DELTA_METHOD, FROM_LIMITS = "log ratio by the delta method", "limits of both rates combined"


@dataclass(frozen=True)
class Ratio:
    """A ratio of rates of harm with its 95% and 90% intervals. ``estimate`` ``None``: no event in the rate below.

    Ends are 0 or infinite where the events do not bound them. ``above``, ``below``: the two rates. ``limits``: its
    interval at any confidence, for several questions that are corrected together.
    """

    estimate: float | None
    low: float
    high: float
    low90: float
    high90: float
    method: str
    above: float
    below: float
    limits: RatioLimits | None = field(default=None, repr=False, compare=False)

    @property
    def radius(self) -> float:
        """The smallest ratio ``m`` within which both one-sided 5% tests show the rates alike; may be infinite."""
        return max(self.high90, 1 / self.low90 if self.low90 > 0 else math.inf)

    def is_within(self, margin: float) -> bool:
        """Return whether the 90% interval lies inside ``1 / margin`` to ``margin``."""
        return self.radius < margin

    def beyond(self, margin: float) -> Answer:
        """Return whether the 95% interval lies wholly beyond the margin, on either side."""
        if self.low > margin or self.high < 1 / margin:
            return "yes"
        return "no" if self.is_within(margin) else "undecided"

    def noninferior(self, margin: float) -> Answer:
        """Return whether harm is shown to have become no more than ``margin`` times as frequent (one-sided 5%)."""
        if self.high90 < margin:
            return "yes"
        return "no" if self.low90 > margin else "undecided"

    def p_beyond(self, margin: float, *, in_family: bool) -> float:
        """Return the two-sided p-value of "the ratio lies between ``1 / margin`` and ``margin``"."""
        return 1.0 if self.limits is None else beyond_p(self.limits, margin, in_family=in_family)


@dataclass(frozen=True)
class Rates:
    """Rates of harm per term: (terms, units, clusters), NaN where a term lacks a cluster, and how to infer from them.

    ``weights``: positive ones sum to 1, negative ones to -1. ``low``, ``high``: where answers without a score may put
    the rates. ``mean``: of a table (units, clusters), as estimates are; ``over``: the inference for a weighted sum of
    the terms, runs paired as the design pairs them. ``num_worlds``: where prompts are nested in worlds.
    """

    weights: Matrix
    value: Matrix
    low: Matrix
    high: Matrix
    mean: Callable[[Matrix], float | None]
    over: Callable[[Matrix], Inference]
    num_worlds: int | None = None


def is_of_two_sides(weights: Iterable[float]) -> bool:
    """Return whether weights compare two cells or two averages of cells, so that a ratio is a ratio of rates."""
    known = list(weights)
    return abs(sum(weight for weight in known if weight > 0) - 1) < ROUNDED and abs(sum(known)) < ROUNDED


def risk_ratio(rates: Rates) -> Ratio:
    """Return the ratio of the average rates of the terms with positive and with negative weights.

    With 15 events on either side the log ratio is linearised, so that pairs stay paired: Katz et al. 1978, with the
    crossed components in place of binomial variances. With fewer, and with none at all, the limits of both rates (rule
    P1: Wilson on effective prompts) are combined: MOVER-R, Donner and Zou 2012. Departures: there the two rates are
    taken to be uncorrelated, which is conservative for pairs that go together; checkpoints of one unit count once.
    """
    sides = tuple(np.maximum(sign * rates.weights, 0.0) for sign in (1, -1))
    seen = ~np.isnan(rates.value).any(axis=0)
    means = tuple(_mean(rates, side, rates.value) for side in sides)
    ends = tuple((_mean(rates, side, rates.low), _mean(rates, side, rates.high)) for side in sides)
    is_enough = min(means) * int(seen.sum()) >= ENOUGH_EVENTS and min(low for low, _ in ends) > NO_EVENT
    found = _linearised(rates, means, ends) if is_enough else None
    return found or _combined(rates, sides, ends, RateCounts(int(seen.any(axis=0).sum()), int(seen.sum())))


def _mean(rates: Rates, weights: Matrix, values: Matrix) -> float:
    """Return the weighted mean of the terms where all of them are known: of bounds, where a score is lacking too."""
    seen = ~np.isnan(values).any(axis=0)
    total = np.tensordot(weights, np.where(seen, values, 0.0), axes=1)
    return rates.mean(np.where(seen, total, np.nan)) or 0.0


def _linearised(rates: Rates, means: tuple[float, ...], ends: Sequence[tuple[float, float]]) -> Ratio | None:
    """Return the ratio from the linearised log ratio; ``None`` where nothing varied."""
    above, below = means
    found = rates.over(np.where(rates.weights > 0, rates.weights / above, rates.weights / below))
    centre = math.log(above / below)
    lowest, highest = (math.log(ends[0][side] / ends[1][1 - side]) for side in (0, 1))
    if found.low is None or found.high is None or found.low90 is None or found.high90 is None:
        return None
    shift = centre - found.estimate
    logs = replace(
        found,
        estimate=centre,
        low=found.low + shift,
        high=found.high + shift,
        low90=found.low90 + shift,
        high90=found.high90 + shift,
    )
    wide = widened(logs, lowest, highest)
    low, high, low90, high90 = (exp(each) for each in _limits(wide))
    return Ratio(exp(centre), low, high, low90, high90, DELTA_METHOD, above, below, LogLimits(wide))


def _limits(found: Inference) -> tuple[float, float, float, float]:
    assert found.low is not None
    assert found.high is not None
    assert found.low90 is not None
    assert found.high90 is not None
    return found.low, found.high, found.low90, found.high90


def _combined(
    rates: Rates, sides: tuple[Matrix, ...], ends: Sequence[tuple[float, float]], counts: RateCounts
) -> Ratio:
    """Return the ratio from the limits of both rates."""
    counts = replace(counts, num_worlds=rates.num_worlds)
    inferences = [rates.over(side) for side in sides]
    found = [
        clip(widened(rate_inference(each, counts), *end), 0.0, 1.0) for each, end in zip(inferences, ends, strict=True)
    ]
    above, below = (each.estimate for each in found)
    (low1, high1, low1_90, high1_90), (low2, high2, low2_90, high2_90) = (_limits(each) for each in found)
    wide = mover_ratio((above, below), ((low1, high1), (low2, high2)))
    narrow = mover_ratio((above, below), ((low1_90, high1_90), (low2_90, high2_90)))
    first, second = (RateLimits(each, counts, *end) for each, end in zip(inferences, ends, strict=True))
    limits = TwoRateLimits(first, second)
    return Ratio(above / below if below > NO_EVENT else None, *wide, *narrow, FROM_LIMITS, above, below, limits)
