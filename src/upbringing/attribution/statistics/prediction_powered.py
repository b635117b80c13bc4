"""Prediction-powered inference: a mean from a few human labels and many verdicts, unbiased whatever the judge is worth.

Source: Angelopoulos et al. 2023, power-tuned as in Angelopoulos, Duchi and Zrnic 2023 (arXiv 2311.01453);
statistics-and-measures 5.2, procedure P4, step 3. Departures: labels weigh by their inverse sampling probability, which
with equal weights gives those formulas exactly; the power is kept in [0, 1].
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

Vector = NDArray[np.float64]
Form = Literal["included", "excluded"]
NOTHING_VARIES = 1e-15  # denominators below: the labels say nothing of how far to trust the judge


@dataclass(frozen=True)
class Labelled:
    """Labelled things: what people say, what the judge says, and the inverse sampling probability of each."""

    human: Vector
    judged: Vector
    weight: Vector

    @property
    def num(self) -> int:
        """How many were labelled."""
        return len(self.human)

    def mean(self, values: Vector) -> float:
        """Return the weighted mean."""
        return float(self.weight @ values / self.weight.sum())

    def covariance(self, one: Vector, other: Vector) -> float:
        """Return the weighted covariance, with n - 1."""
        moved = (one - self.mean(one)) * (other - self.mean(other))
        return self.mean(moved) * self.num / (self.num - 1)

    def of_means(self, one: Vector, other: Vector) -> float:
        """Return the covariance of the two weighted means under drawing with unequal probabilities."""
        moved = (one - self.mean(one)) * (other - self.mean(other))
        return float(self.weight**2 @ moved) / float(self.weight.sum()) ** 2 * self.num / (self.num - 1)


@dataclass(frozen=True)
class Share:
    """What one sample of labels tells of the best power: of a sum, the parts add up."""

    above: float
    below: float


@dataclass(frozen=True)
class PredictionPowered:
    """A mean with its standard error. ``power``: how far the judge was trusted, 0 = not at all."""

    estimate: float
    standard_error: float
    power: float


def prediction_powered(labelled: Labelled, judged: Vector, form: Form, power: float | None = None) -> PredictionPowered:
    """Return the mean of what people would say of everything. For a difference, give differences as values.

    ``judged``: the judge's values of everything: with those of the labelled (``included``), or of all others
    (``excluded``, for labels drawn at random with one probability: with unequal ones the rest is no random sample).
    ``power``: ``None`` = the one with the smallest variance; 0 = the labels alone. Needs two labels.
    """
    if labelled.num < 2:
        raise ValueError(f"{labelled.num} labels tell of no spread: two are needed")
    if form == "excluded" and labelled.weight.max() > labelled.weight.min():
        raise ValueError("labels were drawn with unequal probabilities: use the form 'included'")
    chosen = power_of([power_share(labelled, len(judged), form)]) if power is None else power
    residual = labelled.human - chosen * labelled.judged
    estimate = chosen * float(judged.mean()) + labelled.mean(residual)
    own = labelled.covariance(labelled.judged, labelled.judged)
    shared = labelled.covariance(labelled.judged, residual) if form == "included" else 0.0
    variance = labelled.of_means(residual, residual) + (chosen**2 * own + 2 * chosen * shared) / len(judged)
    return PredictionPowered(estimate, float(np.sqrt(max(variance, 0.0))), chosen)


def power_share(labelled: Labelled, num_judged: int, form: Form, scale: float = 1.0) -> Share:
    """Return what the labels tell of the best power. ``scale``: of this mean in the sum that is estimated."""
    human, judge = labelled.human, labelled.judged
    above, below = labelled.of_means(human, judge), labelled.of_means(judge, judge)
    own = labelled.covariance(judge, judge) / num_judged
    if form == "included":
        above, below = above - labelled.covariance(human, judge) / num_judged, below - own
    else:
        below += own
    return Share(scale**2 * above, scale**2 * below)


def power_of(parts: Sequence[Share]) -> float:
    """Return the power with the smallest variance, one for all parts; 1 where the labels do not tell."""
    below = sum(part.below for part in parts)
    if below <= NOTHING_VARIES:
        return 1.0
    return float(np.clip(sum(part.above for part in parts) / below, 0.0, 1.0))
