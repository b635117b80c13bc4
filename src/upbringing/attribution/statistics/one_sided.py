"""One-sided tests of a claim that exists already: that its effect is above nothing, and that it is below a margin."""

from __future__ import annotations

from upbringing.attribution.statistics.far_tail import tail
from upbringing.attribution.statistics.inference import CONFIDENCE, normal_quantile, t_quantile
from upbringing.formats.findings import Claim, Corrected


def one_sided_p_values(claim: Claim, sign: float, margin: float | None) -> tuple[float, float]:
    """Return the p-values of "``sign`` times the effect is at most 0" and of "it is at least the margin".

    Where labels correct the claim, by its corrected numbers; what could not be scored counts against either. 1 where
    the claim has no interval, and for the second one without a margin.
    """
    number = claim.corrected or claim
    if number.estimate is None or number.low is None or number.high is None:
        return 1.0, 1.0
    ends = sorted((sign * number.low, sign * number.high))
    bounds = sorted(sign * number.bounds.get(name, number.estimate) for name in ("low", "high"))
    lowest, highest = min(bounds[0], sign * number.estimate), max(bounds[1], sign * number.estimate)
    quantile = normal_quantile(CONFIDENCE) if number.df is None else t_quantile(number.df, CONFIDENCE)
    above = _tail(lowest, (lowest - ends[0]) / quantile, number)
    if margin is None:
        return above, 1.0
    return above, _tail(margin - highest, (ends[1] - highest) / quantile, number)


def _tail(gap: float, error: float, number: Claim | Corrected) -> float:
    """Return the one-sided p-value of a statistic ``gap / error``; above 0.5 where the gap is negative."""
    if error <= 0:
        return 1.0
    beyond = tail(abs(gap) / error, number.df, number.spread)
    return beyond if gap >= 0 else 1 - beyond
