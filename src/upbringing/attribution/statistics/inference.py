"""One estimated number with its interval, however it was computed."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import special, stats

from upbringing.formats.findings import Spread

CONFIDENCE = 0.95
EQUIVALENCE_CONFIDENCE = 0.90  # two one-sided tests at 5% are a 90% interval inside the margin
POWER = 0.80  # the power at which the smallest detectable change is stated


@dataclass(frozen=True)
class Inference:
    """An estimate, its 95% interval ``[low, high]`` and its 90% interval ``[low90, high90]``.

    The intervals, ``p`` (two-sided, against zero) and ``standard_error`` are ``None`` when nothing that varies
    was observed: an interval of plus or minus zero is never made. ``df`` ``None`` = a normal quantile was used.
    ``method`` names the estimator. ``spread``: what the standard error is made of, where runs and prompts are crossed.
    ``down``, ``up``: how far answers without a score may move the estimate; all but ``standard_error`` allow for it.
    """

    estimate: float
    method: str
    standard_error: float | None = None
    df: float | None = None
    low: float | None = None
    high: float | None = None
    low90: float | None = None
    high90: float | None = None
    p: float | None = None
    spread: Spread | None = None
    down: float = 0.0
    up: float = 0.0

    @property
    def gap(self) -> float:
        """How far from zero the estimate surely lies, whatever answers without a score would have been."""
        return max(self.estimate - self.down, 0.0) if self.estimate > 0 else max(-self.estimate - self.up, 0.0)

    @property
    def half_width(self) -> float | None:
        """Half the width of the 95% interval."""
        return None if self.low is None or self.high is None else (self.high - self.low) / 2


def t_inference(
    estimate: float, standard_error: float, df: float, method: str, spread: Spread | None = None
) -> Inference:
    """Return the Student-t inference; without an interval when ``standard_error`` or ``df`` is zero."""
    if not (standard_error > 0 and df > 0):
        return Inference(estimate=estimate, method=method)
    wide = t_quantile(df, CONFIDENCE) * standard_error
    narrow = t_quantile(df, EQUIVALENCE_CONFIDENCE) * standard_error
    return Inference(
        estimate=estimate,
        method=method,
        standard_error=standard_error,
        df=df,
        low=estimate - wide,
        high=estimate + wide,
        low90=estimate - narrow,
        high90=estimate + narrow,
        p=float(2 * special.stdtr(df, -abs(estimate) / standard_error)),
        spread=spread,
    )


def t_quantile(df: float, confidence: float) -> float:
    """Return the two-sided Student-t quantile, e.g. ``t(0.975, df)`` for ``confidence`` 0.95."""
    return float(special.stdtrit(df, (1 + confidence) / 2))


def normal_quantile(confidence: float) -> float:
    """Return the two-sided normal quantile."""
    return float(special.ndtri((1 + confidence) / 2))


def _own_half_width(inference: Inference) -> float:
    """Return half the width that answers without a score did not make; of one side, where the other was cut off."""
    if inference.low is None or inference.high is None:
        return 0.0
    below = inference.estimate - inference.down - inference.low
    above = inference.high - inference.estimate - inference.up
    if min(below, above) < 0:
        return max(below, above, 0.0)
    return max((inference.high - inference.low) / 2 - (inference.down + inference.up) / 2, 0.0)


def minimum_detectable(inference: Inference, critical: float | None = None) -> float | None:
    """Return the smallest true change found with 80% power by the two-sided 5% test, or ``None``.

    ``critical``: how many standard errors the test asks for, where it is another one. Exact for the t test by the
    noncentral t distribution; for intervals without degrees of freedom the half width stands for the standard error.
    How far answers without a score may move the estimate comes on top: no test finds what they may hide.
    """
    if inference.half_width is None:
        return None
    hidden = max(inference.down, inference.up)
    if inference.df is None or inference.standard_error is None:
        normal = normal_quantile(CONFIDENCE)
        needed = normal if critical is None else critical
        error = _own_half_width(inference) / normal
        return (needed + float(special.ndtri(POWER))) * error + hidden
    critical = t_quantile(inference.df, CONFIDENCE) if critical is None else critical
    shift = float(special.nctdtrinc(inference.df, 1 - POWER, critical))
    if not np.isfinite(shift):  # the noncentral routine fails for huge df, where the sum of quantiles is exact
        shift = critical + float(stats.t.ppf(POWER, inference.df))
    return shift * inference.standard_error + hidden
