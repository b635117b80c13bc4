"""Intervals that hold at every look, while prompts arrive cluster by cluster and the checkpoints stay as they are.

Source: Waudby-Smith, Arbour, Sinha, Kennedy and Ramdas, "Time-uniform central limit theory and asymptotic confidence
sequences" (arXiv 2103.06476), the sequence from a normal mixture:
``mean_n +- sd_n sqrt(2 (n r^2 + 1) / (n^2 r^2) log(sqrt(n r^2 + 1) / alpha))``. Departures: ``sd_n`` divides by n - 1;
there is no interval before ``MIN_CLUSTERS`` clusters, because the guarantee is asymptotic in the first look.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from scipy import special

from upbringing.attribution.statistics.crossed import NEGLIGIBLE_VARIANCE
from upbringing.attribution.statistics.inference import CONFIDENCE, Inference
from upbringing.base.errors import StudyError

Vector = NDArray[np.float64]

CONFIDENCE_SEQUENCE = "asymptotic confidence sequence"
MIN_CLUSTERS = 20
TUNED_FOR = 200  # clusters at which the sequence is narrowest, unless a study says otherwise


def confidence_sequence(values: Vector, tuned_for: int = TUNED_FOR, confidence: float = CONFIDENCE) -> Inference:
    """Return the mean of the clusters so far with an interval that holds at all looks together.

    ``values``: one per prompt cluster, in any order. ``tuned_for``: the number of clusters at which it is narrowest,
    fixed before the first look. No interval before ``MIN_CLUSTERS`` clusters or where nothing varies yet.
    """
    num = len(values)
    found = Inference(estimate=float(values.mean()) if num else 0.0, method=CONFIDENCE_SEQUENCE)
    if num < MIN_CLUSTERS or float(values.var()) <= NEGLIGIBLE_VARIANCE:
        return found
    half = float(values.std(ddof=1)) * relative_width(num, tuned_for, confidence)
    return Inference(
        estimate=found.estimate, method=CONFIDENCE_SEQUENCE, low=found.estimate - half, high=found.estimate + half
    )


def relative_width(num: int, tuned_for: int, confidence: float = CONFIDENCE) -> float:
    """Return half the width of the sequence at ``num`` clusters, in standard deviations of a cluster."""
    spread = num * mixture_variance(tuned_for, confidence)
    square = 2 * (spread + 1) / (num * spread) * np.log(np.sqrt(spread + 1) / (1 - confidence))
    return float(np.sqrt(square))


@lru_cache(maxsize=64)
def mixture_variance(tuned_for: int, confidence: float = CONFIDENCE) -> float:
    """Return the ``r^2`` at which the sequence is narrowest at ``tuned_for`` clusters.

    Setting the derivative to zero gives ``y = log(1 + y) - 2 log alpha`` for ``y = n r^2``, which Lambert's W solves.
    """
    if tuned_for < 1:
        raise StudyError(f"a sequence is tuned for a number of prompt clusters, at least 1; found {tuned_for}")
    alpha = 1 - confidence
    return float(-special.lambertw(-(alpha**2) / np.e, -1).real - 1) / tuned_for
