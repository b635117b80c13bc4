"""What an interval allows to be said: equivalence, the four-way verdict, non-inferiority, dominance."""

from __future__ import annotations

from dataclasses import replace
from typing import Literal

from scipy import special

from upbringing.attribution.statistics.inference import CONFIDENCE, Inference, normal_quantile

Answer = Literal["yes", "no", "undecided"]
FourWay = Literal["changed", "negligible", "equivalent", "inconclusive"]
ROUNDING = 1e-9  # of an estimate: what was scored altogether is summed in two ways
DOMINANCE_RATIO = 0.25  # an effect "drives" when the other is below a quarter of it
NO_DOMINANCE_SCALE = (
    "dominance was declared in log-odds and not tested: a rate that it compares is, or may be, 0 or 1, and so has none"
)


def widened(inference: Inference, lowest: float | None, highest: float | None) -> Inference:
    """Return ``inference`` with intervals widened to hold wherever unscored answers may lie.

    ``lowest`` and ``highest`` bound the estimate. The result is the union of the intervals at all estimates
    between them, the conservative interval for a partly identified mean, and the largest of the p-values there.
    """
    if lowest is None or highest is None or inference.low is None or inference.high is None:
        return inference
    assert inference.low90 is not None
    assert inference.high90 is not None
    down, up = inference.estimate - lowest, highest - inference.estimate
    if max(down, up) <= ROUNDING * max(1.0, abs(inference.estimate)):
        return inference
    down, up = max(down, 0.0), max(up, 0.0)
    moved = replace(
        inference,
        low=inference.low - down,
        high=inference.high + up,
        low90=inference.low90 - down,
        high90=inference.high90 + up,
        down=down,
        up=up,
    )
    return replace(moved, p=_largest_p(inference, moved.gap))


def _largest_p(inference: Inference, gap: float) -> float | None:
    """Return the p-value of ``inference`` with the estimate as near to zero as ``gap``."""
    if inference.p is None or gap >= abs(inference.estimate):
        return inference.p
    if inference.df is not None and inference.standard_error:
        return float(2 * special.stdtr(inference.df, -gap / inference.standard_error))
    assert inference.low is not None
    assert inference.high is not None
    own = inference.estimate - inference.low if inference.estimate > 0 else inference.high - inference.estimate
    error = own / normal_quantile(CONFIDENCE)
    return 1.0 if error <= 0 else max(inference.p, float(2 * special.ndtr(-gap / error)))


def excludes_zero(inference: Inference) -> bool:
    """Return whether the 95% interval lies on one side of zero."""
    return inference.low is not None and inference.high is not None and (inference.low > 0 or inference.high < 0)


def equivalence_radius(inference: Inference) -> float | None:
    """Return the smallest margin at which two one-sided tests at 5% would pass."""
    if inference.low90 is None or inference.high90 is None:
        return None
    return max(abs(inference.low90), abs(inference.high90))


def is_equivalent(inference: Inference, margin: float | None) -> bool:
    """Return whether both one-sided 5% tests pass: the 90% interval lies inside the margin."""
    radius = equivalence_radius(inference)
    return margin is not None and radius is not None and radius < margin


def four_way_verdict(inference: Inference, margin: float | None, *, significant: bool) -> FourWay:
    """Return the verdict. ``significant``: the test against zero survives its family's correction."""
    return verdict_given(inference, is_alike=is_equivalent(inference, margin), significant=significant)


def verdict_given(inference: Inference, *, is_alike: bool, significant: bool) -> FourWay:
    """Return the verdict where ``is_alike`` was decided, on whatever scale the margin is."""
    moved = excludes_zero(inference) and significant
    if is_alike:
        return "negligible" if excludes_zero(inference) else "equivalent"
    return "changed" if moved else "inconclusive"


def beyond_margin(inference: Inference, margin: float | None) -> Answer | None:
    """Return whether the change is larger than the margin: decided by the intervals, ``None`` without one."""
    if margin is None or inference.low is None or inference.high is None:
        return None
    if inference.low > margin or inference.high < -margin:
        return "yes"
    return "no" if is_equivalent(inference, margin) else "undecided"


def noninferior(inference: Inference, margin: float | None, *, lower_is_better: bool) -> Answer | None:
    """Return whether the change for the worse stays below the margin (one-sided 5%)."""
    if margin is None or inference.low90 is None or inference.high90 is None:
        return None
    worst = inference.high90 if lower_is_better else -inference.low90
    best = inference.low90 if lower_is_better else -inference.high90
    if worst < margin:
        return "yes"
    return "no" if best > margin else "undecided"


def dominance(larger: Inference, difference: Inference, total: Inference) -> Answer:
    """Return whether the smaller effect stays within ``DOMINANCE_RATIO`` of the larger one.

    ``difference``: smaller - ratio x larger; ``total``: smaller + ratio x larger. Both one-sided at 5%; the sign
    of ``larger`` comes from its own 95% interval, which must exclude zero.
    """
    if not excludes_zero(larger):
        return "undecided"
    upper, lower = (difference, total) if larger.estimate > 0 else (total, difference)
    if upper.high90 is None or upper.low90 is None or lower.low90 is None or lower.high90 is None:
        return "undecided"
    if upper.high90 < 0 < lower.low90:
        return "yes"
    return "no" if upper.low90 > 0 or lower.high90 < 0 else "undecided"
