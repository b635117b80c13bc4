"""Intervals for one rate: crossed t with enough events, Wilson on the effective number of prompts otherwise."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from upbringing.attribution.statistics.far_tail import quantile
from upbringing.attribution.statistics.inference import (
    CONFIDENCE,
    EQUIVALENCE_CONFIDENCE,
    Inference,
    normal_quantile,
    t_quantile,
)

ENOUGH_EVENTS = 15  # events and non-events from which the t interval covers (rule P1)
NO_EVENT = 1e-12  # a rate this near to 0 or 1 is a count of zero that was rounded


@dataclass(frozen=True)
class RateCounts:
    """What a rate rests on: independent prompts, all scores (prompts x seeds), and the worlds that prompts nest in."""

    num_prompts: int
    num_scores: int
    num_worlds: int | None = None


def wilson(rate: float, num: float, confidence: float = CONFIDENCE) -> tuple[float, float]:
    """Return Wilson's score interval for ``rate`` over ``num`` (may be fractional) independent trials."""
    square = normal_quantile(confidence) ** 2
    centre = (rate + square / (2 * num)) / (1 + square / num)
    spread = np.sqrt(square * (rate * (1 - rate) + square / (4 * num)) / num) / (1 + square / num)
    low = 0.0 if rate <= 0 else max(0.0, float(centre - spread))
    high = 1.0 if rate >= 1 else min(1.0, float(centre + spread))
    return low, high


def rule_of_three(num_prompts: int) -> float:
    """Return the 95% upper bound on a rate of which no event was seen in ``num_prompts`` prompts."""
    return min(1.0, 3.0 / num_prompts)  # -ln(0.05) = 2.996


def effective_number(rate: float, variance: float | None, counts: RateCounts, confidence: float = CONFIDENCE) -> float:
    """Return ``rate (1 - rate) / variance``, at most the number of scores; the prompts where nothing varies.

    A variance between few worlds is itself uncertain: then the number shrinks by ``(normal / t quantile)**2`` with one
    degree of freedom less than worlds. Source: Korn and Graubard 1998. Departures: none.
    """
    if rate <= NO_EVENT or rate >= 1 - NO_EVENT or not variance:
        return float(counts.num_prompts)
    num = min(rate * (1 - rate) / variance, counts.num_scores)
    if counts.num_worlds is not None and counts.num_worlds > 1:
        num *= (normal_quantile(confidence) / t_quantile(counts.num_worlds - 1, confidence)) ** 2
    return float(max(num, 1.0))


def rate_inference(inference: Inference, counts: RateCounts) -> Inference:
    """Return ``inference`` of a rate with the interval of rule P1 in place of a t interval on rare events."""
    rate = min(1.0, max(0.0, inference.estimate))
    if _has_enough_events(inference, rate, counts):
        return clip(inference, 0.0, 1.0)
    variance = inference.standard_error**2 if inference.standard_error else None
    num = effective_number(rate, variance, counts)
    low, high = wilson(rate, num)
    num90 = effective_number(rate, variance, counts, EQUIVALENCE_CONFIDENCE)
    low90, high90 = wilson(rate, num90, EQUIVALENCE_CONFIDENCE)
    method = f"Wilson on {num:.4g} effective prompts"
    return Inference(rate, method, inference.standard_error, None, low, high, low90, high90, inference.p)


def rate_limits(
    inference: Inference, counts: RateCounts, confidence: float, *, in_family: bool = False
) -> tuple[float, float]:
    """Return the limits of ``rate_inference`` at another confidence.

    ``in_family``: of several questions that are corrected together, where few runs show their own spread too badly
    (``far_tail``). Wilson's effective number then shrinks as among few worlds. Source: Korn and Graubard 1998.
    Departures: with the quantile of the far tail in place of that of t.
    """
    rate = min(1.0, max(0.0, inference.estimate))
    error = inference.standard_error or 0.0
    reach = quantile(confidence, inference.df, inference.spread if in_family else None)
    if _has_enough_events(inference, rate, counts):
        return max(0.0, inference.estimate - reach * error), min(1.0, inference.estimate + reach * error)
    num = effective_number(rate, error**2 or None, counts, confidence)
    if in_family and error and counts.num_worlds is None:
        num = max(num * (normal_quantile(confidence) / reach) ** 2, 1.0)
    return wilson(rate, num, confidence)


def _has_enough_events(inference: Inference, rate: float, counts: RateCounts) -> bool:
    events = rate * counts.num_scores
    return min(events, counts.num_scores - events) >= ENOUGH_EVENTS and inference.low is not None


def clip(inference: Inference, lowest: float, highest: float) -> Inference:
    """Return ``inference`` with its intervals cut to the values the quantity can take."""
    cut = {
        name: min(highest, max(lowest, value))
        for name in ("low", "high", "low90", "high90")
        if (value := getattr(inference, name)) is not None
    }
    return replace(inference, **cut)
