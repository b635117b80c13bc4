"""A rate corrected for the judge's errors: Rogan and Gladen's estimator with the labels' own uncertainty.

Source: Rogan and Gladen 1978; statistics-and-measures 5.2, procedure P4, step 2. Departures: rates and variances come
weighted by the inverse sampling probability of each label, because labels stratified by verdict fix what a verdict is
worth and not how often the judge errs.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from upbringing.attribution.statistics.inference import CONFIDENCE, normal_quantile, t_quantile
from upbringing.attribution.statistics.rates import Rate


@dataclass(frozen=True)
class Known:
    """A share and the variance of its estimate."""

    share: float
    variance: float


@dataclass(frozen=True)
class Errors:
    """How a judge errs on one checkpoint."""

    sensitivity: Known
    specificity: Known

    @property
    def information(self) -> float:
        """Sensitivity + specificity - 1: 1 = never wrong, 0 = as good as a coin."""
        return self.sensitivity.share + self.specificity.share - 1.0

    @property
    def tells(self) -> bool:
        """Whether the labels show that the judge tells better than a coin."""
        spread = math.sqrt(self.sensitivity.variance + self.specificity.variance)
        return self.information > normal_quantile(CONFIDENCE) * spread

    def noise(self, share: float) -> float:
        """Return what the labels' uncertainty adds to the variance at a true ``share``, before scaling."""
        return (1 - share) ** 2 * self.specificity.variance + share**2 * self.sensitivity.variance


@dataclass(frozen=True)
class Level:
    """A corrected rate with its interval, all in [0, 1]."""

    estimate: float
    low: float
    high: float
    variance: float


def known(rate: Rate) -> Known | None:
    """Return a rate among labels with its variance, in which an error that was not seen is not impossible."""
    if rate.share is None:
        return None
    smoothed = (rate.share * rate.effective + 0.5) / (rate.effective + 1.0)
    return Known(rate.share, smoothed * (1 - smoothed) / rate.effective)


def corrected_share(judged: float, errors: Errors) -> float | None:
    """Return ``(judged + specificity - 1) / (sensitivity + specificity - 1)`` kept in [0, 1].

    ``None`` unless the judge is better than a coin.
    """
    if errors.information <= 0:
        return None
    return min(1.0, max(0.0, (judged + errors.specificity.share - 1.0) / errors.information))


def rogan_gladen(judged: Known, errors: Errors) -> Known | None:
    """Return the corrected rate of one checkpoint; ``None`` unless the judge is better than a coin."""
    share = corrected_share(judged.share, errors)
    if share is None:
        return None
    return Known(share, (judged.variance + errors.noise(share)) / errors.information**2)


def corrected_level(judged: Known, df: float | None, by_checkpoint: Sequence[tuple[float, Errors]]) -> Level | None:
    """Return the corrected mean rate of several checkpoints. ``None`` unless the judge tells on each of them.

    ``judged``: the judge's mean rate, with its variance over prompts and runs and the degrees of freedom of that.
    ``by_checkpoint``: the judge's own rate and errors on each.
    """
    num = len(by_checkpoint)
    shares = [corrected_share(share, errors) for share, errors in by_checkpoint]
    if not num or not all(errors.tells for _, errors in by_checkpoint):
        return None
    pairs = [(share, errors) for share, (_, errors) in zip(shares, by_checkpoint, strict=True) if share is not None]
    information = sum(errors.information for _, errors in pairs) / num
    labels = sum(errors.noise(share) / errors.information**2 for share, errors in pairs) / num**2
    variance = judged.variance / information**2 + labels
    centre = sum(share for share, _ in pairs) / num
    quantile = normal_quantile(CONFIDENCE) if df is None else t_quantile(df, CONFIDENCE)
    reach = quantile * variance**0.5
    return Level(centre, max(0.0, centre - reach), min(1.0, centre + reach), variance)
