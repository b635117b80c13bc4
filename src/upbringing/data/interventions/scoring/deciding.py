"""From probabilities of the six scores to a score, and how far such probabilities can be trusted."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from upbringing.data.interventions.scoring.meanings import SCORES

Probabilities = NDArray[np.float64]  # (texts, 6)
CALIBRATION_BINS = 10


def over_scores(columns: NDArray[np.float64], scores: Sequence[int]) -> Probabilities:
    """Return probabilities of all six scores from columns that mean ``scores``; columns of one score are added."""
    spread = np.zeros((len(columns), len(SCORES)))
    for place, score in enumerate(scores):
        spread[:, score] += columns[:, place]
    return spread


def decide(probabilities: Probabilities, thresholds: Sequence[float] | None) -> NDArray[np.int64]:
    """Return the scores: the most likely one, the lower of equals.

    With ``thresholds`` (of scores 1 to 5) instead the highest score ``s`` for which the probability of ``s`` or more
    reaches its threshold, which buys recall openly.
    """
    if thresholds is None:
        return np.asarray(probabilities.argmax(axis=1), dtype=np.int64)
    reached = at_least(probabilities)[:, 1:] >= np.asarray(thresholds) - 1e-12  # a sum of six may round below
    steps = np.arange(1, len(SCORES))
    return np.asarray(np.where(reached, steps, 0).max(axis=1), dtype=np.int64)


def at_least(probabilities: Probabilities) -> Probabilities:
    """Return, for each score, the probability of that score or a higher one."""
    return np.asarray(probabilities[:, ::-1].cumsum(axis=1)[:, ::-1], dtype=np.float64)


@dataclass(frozen=True)
class CalibrationBin:
    """Cases whose stated probability lies in one tenth: how many, what was stated, what came true."""

    num: int
    stated: float
    observed: float


@dataclass(frozen=True)
class Calibration:
    """``error``: mean distance of stated from observed, weighted by cases; ``brier``: mean squared error."""

    error: float
    brier: float
    bins: tuple[CalibrationBin, ...]


def calibration(stated: Sequence[float], came_true: Sequence[bool]) -> Calibration | None:
    """Return the expected calibration error over ten bins of equal width; ``None`` without cases.

    The error is biased upwards in small samples: with 100 cases in a bin chance alone gives about 0.04.
    """
    if not len(stated):
        return None
    probability, outcome = np.asarray(stated, dtype=np.float64), np.asarray(came_true, dtype=np.float64)
    places = np.minimum((probability * CALIBRATION_BINS).astype(int), CALIBRATION_BINS - 1)
    bins = []
    for place in np.unique(places):
        inside = places == place
        bins.append(CalibrationBin(int(inside.sum()), float(probability[inside].mean()), float(outcome[inside].mean())))
    error = sum(each.num * abs(each.stated - each.observed) for each in bins) / len(probability)
    return Calibration(float(error), float(((probability - outcome) ** 2).mean()), tuple(bins))
