"""One estimator for every linear contrast: the table of its units and clusters, then the inference it allows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from scipy import special

from upbringing.attribution.contrasts.profiles import Profile, profile
from upbringing.attribution.evidence.cells import Evidence
from upbringing.attribution.evidence.design import ENOUGH_UNITS, Design, Units
from upbringing.attribution.evidence.pivot import Matrix, Pivot, Term, mean_of_rows, pivot, union
from upbringing.attribution.statistics.crossed import (
    are_nested,
    crossed_inference,
    is_spread_unseen,
    prompts_inference,
    seed_means_inference,
)
from upbringing.attribution.statistics.equivalence import widened
from upbringing.attribution.statistics.inference import CONFIDENCE, Inference, normal_quantile, t_inference
from upbringing.attribution.statistics.levels import RateCounts, clip, rate_inference
from upbringing.attribution.statistics.pairs import paired_binary_inference, rates_inference
from upbringing.attribution.statistics.risk_ratio import Ratio
from upbringing.attribution.statistics.unpaired import unpaired_inference

THESE_WORLDS = "these worlds"
ONE_WORLD_GIVEN, ONE_PROMPT_GIVEN = "one world", "one prompt"
SCORED_RUNS = "the {num} of {total} runs that have scores"
Ends = tuple[float | None, float | None]


@dataclass(frozen=True)
class Drawing:
    """What drawing labels adds to a corrected contrast: variance that its values do not show, degrees of freedom.

    ``is_sample``: some answers have no label, so that the values carry the noise of drawing those that have one.
    """

    variance: float
    df: float
    is_sample: bool


@dataclass(frozen=True)
class Estimate:
    """A contrast estimated. ``inference`` ``None`` = nothing to estimate from; its interval already holds wherever
    the incoherent and unscored answers may lie. ``lowest``, ``highest``: the estimate over the same;
    ``None`` where there are no bounds. ``logit``: the same contrast of rates in log-odds, where it exists.
    ``logit_bounds``: its lowest and highest. ``unwidened``, ``logit_unwidened``: on what was scored alone.
    ``as_judged``: the estimate before it allowed for errors of a judge that no labels show (``error_gap``).
    ``ratio``: of the rates of harm, where a claim asks for it.
    """

    units: Units
    inference: Inference | None
    num_items: int
    num_clusters: int
    num_worlds: int
    num_scored_runs: int
    unscored: int
    lowest: float | None
    highest: float | None
    profile: Profile | None
    checkpoints: tuple[str, ...]
    is_same_checkpoint: bool
    is_nested: bool
    outcomes: dict[str, int]
    num_ineligible: int
    logit: Inference | None = None
    logit_bounds: Ends = (None, None)
    unwidened: Inference | None = None
    logit_unwidened: Inference | None = None
    as_judged: Estimate | None = None
    ratio: Ratio | None = None


def estimate(evidence: Evidence, design: Design, terms: Sequence[Term]) -> Estimate:
    """Return the contrast ``sum of weight x term``.

    Units are independent runs (see ``design``); clusters that a unit has in every term take part.

    Where prompts are nested in worlds and the worlds' means coincide (no event anywhere, say), nothing shows how far
    worlds differ: n prompts without an event in each of S worlds allow a mean rate over all worlds of up to
    ``1 - 0.05**(1/S)`` whatever n is, for a rate may be high in a few worlds only. The prompts still bound the rate in
    these worlds, so the estimate is about these (``artefact``). Source: our own reasoning.
    """
    return estimate_of(evidence, pivot(evidence, design, terms))


def estimate_of(evidence: Evidence, found: Pivot, drawing: Drawing | None = None) -> Estimate:
    """Return the contrast whose scores were ``found``. ``drawing``: of the labels that corrected them."""
    terms, table = found.terms, found.contrast()
    units = found.units
    known = found.known
    same = is_same(found)
    usable = bool(known) and found.is_complete and bool((~np.isnan(table)).any())
    if usable and not same and (num := int((~np.isnan(table)).any(axis=1).sum())) < ENOUGH_UNITS <= len(units.units):
        given = SCORED_RUNS.format(num=num, total=len(units.units))
        units = replace(units, estimand="artefact", conditional_on=(*units.conditional_on, given))
        found = replace(found, units=units)
    if usable and not same and units.estimand != "artefact" and is_spread_unseen(table):
        units = replace(units, estimand="artefact", conditional_on=(*units.conditional_on, THESE_WORLDS))
    is_share = all(evidence.is_share(term.source.measure) for term in terms)
    is_binary = drawing is None and all(evidence.is_binary(term.source.measure) for term in terms)
    inference = None
    if usable and same:
        inference = Inference(estimate=0.0, method="one and the same checkpoint")
    elif usable:
        inference = _inference(
            found, table, is_share=is_share, is_binary=is_binary, is_sampled=drawing is not None and drawing.is_sample
        )
    lowest, highest = (None, None) if same or not usable else found.bounds(lambda part: mean_over(found.units, part))
    unwidened = inference
    if inference is not None:
        inference = unwidened = inference if drawing is None else _with_drawing(inference, drawing)
        is_bounded = all(evidence.is_bounded(term.source.measure) for term in terms)
        inference = _within_range(widened(inference, lowest, highest), found, is_bounded=is_bounded)
    logit, ends = (
        _logit(found, drawing) if usable and is_share and not same and len(terms) > 1 else (None, (None, None))
    )
    return Estimate(
        units=units,
        inference=inference,
        num_items=len(union([values.items for values in known])),
        num_clusters=int((~np.isnan(table)).any(axis=0).sum()),
        num_worlds=len({world for values in known for world in values.worlds}),
        num_scored_runs=int((~np.isnan(table)).any(axis=1).sum()),
        unscored=sum(values.num_unscored for values in known),
        lowest=lowest,
        highest=highest,
        profile=profile(found, is_binary=is_binary) if usable else None,
        checkpoints=tuple(sorted({name for unit in units.units for part in unit.checkpoints for name in part})),
        is_same_checkpoint=same,
        is_nested=usable and len(units.units) > 1 and units.estimand != "artefact" and are_nested(table),
        outcomes=_outcomes(found),
        num_ineligible=sum(values.num_ineligible for values in known),
        logit=None if logit is None else widened(logit, *ends),
        logit_bounds=ends,
        unwidened=unwidened,
        logit_unwidened=logit,
    )


def _with_drawing(inference: Inference, drawing: Drawing) -> Inference:
    """Return ``inference`` with what the drawing of labels adds to it."""
    spread = inference.standard_error
    if spread is None:
        spread = (inference.half_width or 0.0) / normal_quantile(CONFIDENCE)
    df = drawing.df if inference.df is None else min(inference.df, drawing.df)
    parts = inference.spread
    parts = None if parts is None else parts.model_copy(update={"added": parts.added + drawing.variance})
    return t_inference(inference.estimate, (spread**2 + drawing.variance) ** 0.5, df, inference.method, parts)


def is_same(found: Pivot) -> bool:
    """Return whether a difference compares checkpoints with themselves under one source."""
    if sorted(found.weights.tolist()) != [-1.0, 1.0] or found.terms[0].source != found.terms[1].source:
        return False
    return all(unit.checkpoints[0] == unit.checkpoints[1] for unit in found.units.units)


def _outcomes(found: Pivot) -> dict[str, int]:
    total: dict[str, int] = {}
    for values in found.known:
        for name, count in values.outcomes.items():
            total[name] = total.get(name, 0) + count
    return total


def _inference(found: Pivot, table: Matrix, *, is_share: bool, is_binary: bool, is_sampled: bool) -> Inference:
    inference = _over_units(found, table, is_binary=is_binary, is_sampled=is_sampled)
    if not is_share:
        return inference
    seen = ~np.isnan(table)
    num_worlds = int(seen.any(axis=1).sum()) if found.units.estimand != "artefact" and are_nested(table) else None
    counts = RateCounts(int(seen.any(axis=0).sum()), int(seen.sum()), num_worlds)
    if len(found.terms) == 1 and found.terms[0].weight == 1.0:
        return rate_inference(inference, counts)
    if inference.low is None:
        rates = [min(1.0, max(0.0, mean_of_rows(np.where(seen, part, np.nan)) or 0.0)) for part in found.value]
        return rates_inference(inference.estimate, found.weights.tolist(), rates, counts.num_prompts)
    return inference


def _over_units(found: Pivot, table: Matrix, *, is_binary: bool, is_sampled: bool) -> Inference:
    """Return the inference that the independent units allow; two single 0/1 checkpoints have tests of their own."""
    if found.units.runs:
        return unpaired_inference(found.weights.tolist(), found.of_runs())
    is_single = is_binary and found.units.estimand == "artefact" and len(found.units.units) == 1
    if is_single and (pair := _binary_pair(found)) is not None:
        return paired_binary_inference(*pair)
    return over_units(found.units, table, is_sampled=is_sampled)


def over_units(units: Units, table: Matrix, *, is_sampled: bool = False) -> Inference:
    """Return the inference for the mean of ``table`` (units, clusters): over seeds from three on, else over prompts."""
    if units.estimand != "artefact":
        table = table[~np.isnan(table).all(axis=1)]
        if are_nested(table):
            return seed_means_inference(table)
        if (~np.isnan(table)).any(axis=0).sum() > 1:
            return crossed_inference(table, is_sampled=is_sampled)
        return seed_means_inference(table)
    seen = ~np.isnan(table)
    counts = seen.sum(axis=0)
    return prompts_inference(np.where(seen, table, 0.0).sum(axis=0)[counts > 0] / counts[counts > 0])


def mean_over(units: Units, table: Matrix) -> float | None:
    """Return the mean that ``over_units`` estimates from ``table``; ``None`` where it is empty."""
    seen = ~np.isnan(table)
    if not seen.any():
        return None
    if units.estimand == "artefact":
        counts = seen.sum(axis=0)
        return float((np.where(seen, table, 0.0).sum(axis=0)[counts > 0] / counts[counts > 0]).mean())
    rows = table[seen.any(axis=1)]
    return float(np.nanmean(rows, axis=1).mean()) if are_nested(rows) else mean_of_rows(rows)


def _binary_pair(found: Pivot) -> tuple[Matrix, Matrix] | None:
    """Return the paired 0/1 answers of two single checkpoints, one answer and one item per cluster, or ``None``."""
    if sorted(found.weights.tolist()) != [-1.0, 1.0] or any(len(part) != 1 for part in found.found[0]):
        return None
    if any(values is None or len(values.items) != len(values.cluster) for (values,) in found.found[0]):
        return None
    first, second = found.value[:, 0, :] if found.weights[0] > 0 else found.value[::-1, 0, :]
    seen = ~(np.isnan(first) | np.isnan(second))
    first, second = first[seen], second[seen]
    if not np.isin(first, (0.0, 1.0)).all() or not np.isin(second, (0.0, 1.0)).all():
        return None
    return first, second


def _within_range(inference: Inference, found: Pivot, *, is_bounded: bool) -> Inference:
    """Return ``inference`` without the values that a contrast of numbers in [0, 1] cannot take."""
    if not is_bounded:
        return inference
    weights = found.weights
    return clip(inference, float(weights[weights < 0].sum()), float(weights[weights > 0].sum()))


def _logit(found: Pivot, drawing: Drawing | None) -> tuple[Inference | None, Ends]:
    """Return the contrast of log-odds of the terms' rates, by the delta method, and where unscored answers may put it.

    ``None`` where a rate is, or may be, 0 or 1.
    """
    seen = ~np.isnan(found.contrast())
    rates = np.array([mean_over(found.units, np.where(seen, part, np.nan)) for part in found.value], dtype=np.float64)
    sides = found.rate_bounds(lambda part: mean_over(found.units, part)) or (rates, rates)
    if not all(((side > 0) & (side < 1)).all() for side in (rates, *sides)):
        return None, (None, None)
    weights = found.weights
    slopes = weights / (rates * (1 - rates))
    centre = float(weights @ special.logit(rates))
    up, down = np.maximum(weights, 0.0), np.minimum(weights, 0.0)
    low, high = (special.logit(side) for side in sides)
    ends = float(up @ low + down @ high), float(up @ high + down @ low)
    table = np.tensordot(slopes, found.value - rates[:, None, None], axes=1) + centre
    if found.units.runs:
        parts = zip(found.of_runs(), rates.tolist(), strict=True)
        linear = [(part - rate) / (rate * (1 - rate)) + float(special.logit(rate)) for part, rate in parts]
        inference = unpaired_inference(weights.tolist(), linear)
    else:
        inference = _over_units(found, table, is_binary=False, is_sampled=drawing is not None and drawing.is_sample)
    moved = inference.estimate - centre  # runs apart: their mean is not that of all their checkpoints
    ends = ends[0] + moved, ends[1] + moved
    if drawing is None:
        return inference, ends
    steepest = float((1 / (rates * (1 - rates))).max())  # whichever rate the added variance is of
    return _with_drawing(inference, replace(drawing, variance=drawing.variance * steepest**2)), ends
