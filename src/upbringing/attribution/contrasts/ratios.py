"""Ratios of rates from what was scored: which claims have one, and why others have none."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from upbringing.attribution.contrasts.estimates import Estimate, estimate_of, mean_over, over_units
from upbringing.attribution.evidence.cells import Evidence
from upbringing.attribution.evidence.design import Design
from upbringing.attribution.evidence.pivot import Matrix, Pivot, Term, pivot
from upbringing.attribution.statistics.crossed import are_nested
from upbringing.attribution.statistics.inference import Inference
from upbringing.attribution.statistics.risk_ratio import Rates, is_of_two_sides, risk_ratio
from upbringing.attribution.statistics.unpaired import unpaired_inference
from upbringing.formats.risk_ratio import RiskRatio
from upbringing.formats.tree import ContrastSpec

NOT_TWO_SIDES = "a ratio compares two cells, or two averages of cells, and this contrast does neither"
NO_RATIO_LABELS = "no human labels show how far the judge's errors differ, which may make any ratio of rare events"
NOT_A_RATE = "a ratio of rates is asked of a measure that is no rate"


def estimate_asked(evidence: Evidence, design: Design, spec: ContrastSpec, terms: Sequence[Term]) -> Estimate:
    """Return the contrast estimated, with the ratio of its rates where that is what counts as alike."""
    scores = pivot(evidence, design, terms)
    found = estimate_of(evidence, scores)
    is_rate = all(evidence.is_share(term.source.measure) for term in terms)
    if spec.ratio_margin is None or found.inference is None or not is_rate or not is_of_two_sides(scores.weights):
        return found
    rates = _rates(replace(scores, units=found.units), evidence.info(spec.measure).direction)
    return replace(found, ratio=risk_ratio(rates))


def _rates(scores: Pivot, direction: str) -> Rates:
    """Return the rates of harm: of a measure of which more is better, the rates of what it does not count."""
    is_good = direction.startswith("higher")
    value = _harm(scores.value, is_good)
    low, high = (_harm(each, is_good) for each in ((scores.high, scores.low) if is_good else (scores.low, scores.high)))
    runs = [_harm(each, is_good) for each in scores.of_runs()] if scores.units.runs else []

    def over(weights: Matrix) -> Inference:
        if runs:
            return unpaired_inference(weights.tolist(), runs)
        return over_units(scores.units, np.tensordot(weights, value, axes=1))

    seen = ~np.isnan(scores.contrast())
    is_nested = scores.units.estimand != "artefact" and are_nested(scores.contrast())
    num_worlds = int(seen.any(axis=1).sum()) if is_nested else None
    return Rates(scores.weights, value, low, high, lambda table: mean_over(scores.units, table), over, num_worlds)


def _harm(values: Matrix, is_good: bool) -> Matrix:
    return 1 - values if is_good else values


def said_of(spec: ContrastSpec, found: Estimate) -> RiskRatio | None:
    """Return what the claim says of the ratio, or why there is none; ``None`` where no ratio was asked."""
    if spec.ratio_margin is None or found.is_same_checkpoint:
        return None
    ratio = found.ratio
    if ratio is None and found.as_judged is not None:
        return RiskRatio(margin=spec.ratio_margin, reason=NO_RATIO_LABELS)
    if ratio is None:
        why = NOT_A_RATE if is_of_two_sides(spec.weights.values()) else NOT_TWO_SIDES
        return RiskRatio(margin=spec.ratio_margin, reason=why)
    return RiskRatio(
        margin=spec.ratio_margin,
        estimate=ratio.estimate,
        low=ratio.low,
        high=_finite(ratio.high),
        radius=_finite(ratio.radius),
        above=ratio.above,
        below=ratio.below,
        method=ratio.method,
    )


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None
