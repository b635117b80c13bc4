"""What of an effect is retained elsewhere: one contrast read from two sources, as a ratio with its 95% set.

The questions of two sources need not be the same, nor equally many: each question enters by its influence on the mean
of its source, so that runs are paired, questions that both share are too, and others are drawn independently. Source:
statistics-and-measures 4.3 (Fieller 1954, by inverting the test) and section 6, claim C. Departures: rates near 0 bar
no ratio, for a trait that a neutral model never shows is at 0 by design; where a rate in the denominator is near 1, it
is said that the ratio may flatter.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from upbringing.attribution.contrasts.estimates import Ends, mean_over
from upbringing.attribution.contrasts.fieller import Combined, Ratio, combined_of, ratio_of
from upbringing.attribution.contrasts.ratios import estimate_asked
from upbringing.attribution.effects.shares import CEILING
from upbringing.attribution.evidence.cells import Evidence, Source
from upbringing.attribution.evidence.design import Design, Units
from upbringing.attribution.evidence.pivot import Matrix, Pivot, Term, mean_of_rows, pivot, terms_of
from upbringing.attribution.statistics.crossed import are_nested
from upbringing.attribution.statistics.inference import Inference
from upbringing.attribution.statistics.unpaired import RUNS_APART
from upbringing.attribution.validity.validity import Validity
from upbringing.attribution.words.conclusion_sentences import NO_INTERVAL
from upbringing.attribution.words.margin_words import margin_of_spec
from upbringing.attribution.words.sentences import NOT_MEASURED
from upbringing.formats.tree import ContrastSpec

NO_BASE = "the effect in distribution is not told from 0"
BASE_WITHIN_MARGIN = "the effect in distribution is within {margin}"


@dataclass(frozen=True)
class Retention:
    """A ratio with its 95% set, never clipped; ``reason`` says why there is none.

    ``p``: two-sided, of "the ratio is the threshold". ``is_above``: which side of it the estimate lies on, where its
    95% set leaves it out. ``base``: the denominator. ``is_near_limit``: a rate in the denominator is near 1.
    """

    value: float | None = None
    low: float | None = None
    high: float | None = None
    p: float | None = None
    is_above: bool | None = None
    base: float | None = None
    is_near_limit: bool = False
    reason: str = ""


@dataclass(frozen=True)
class Asked:
    """A contrast from two sources, with the margin or risk ratio that the second is held against, declared or default.

    ``threshold``: the ratio to tell what is retained from.
    """

    spec: ContrastSpec
    over: Source
    under: Source
    threshold: float

    @property
    def weights(self) -> Mapping[str, float]:
        """The weights of its cells."""
        return self.spec.weights


def retention(evidence: Evidence, design: Design, validity: Validity, asked: Asked) -> Retention:
    """Return the effect in ``over`` as a part of that in ``under``; undefined where the latter is not told from 0."""
    cells = tuple(asked.weights)
    sources = (asked.over, asked.under)
    barred = [
        *(reason.text for source in sources for reason in validity.of_measure(source.measure)),
        *(reason.text for reason in validity.reasons((cell, source) for source in sources for cell in cells)),
        *(reason for source in sources if (reason := validity.no_share(cells, source)) is not None),
    ]
    if barred:
        return Retention(reason=barred[0])
    terms = [terms_of(asked.weights, source) for source in sources]
    found = pivot(evidence, design, [*terms[0], *terms[1]])
    if not found.is_complete:
        return Retention(reason=NOT_MEASURED)
    if found.units.runs:
        return Retention(reason=RUNS_APART)
    over, under = _part(found, slice(0, len(cells))), _part(found, slice(len(cells), None))
    combined = two_sources(over, under)
    if combined is None:
        return Retention(reason=NOT_MEASURED)
    ratio = ratio_of(combined)
    if ratio.value is not None and _is_within_margin(evidence, design, asked.spec, terms[1], ratio.denominator):
        reason = BASE_WITHIN_MARGIN.format(margin=margin_of_spec(asked.spec))
        return Retention(reason=reason, base=ratio.denominator.estimate)
    is_share = evidence.is_share(asked.under.measure)
    return _retained(ratio, combined, asked, is_near_limit=is_share and _is_near_limit(under))


def _part(found: Pivot, rows: slice) -> Pivot:
    """Return the terms of one source, on the units and clusters of both."""
    value = found.value[rows]
    is_known = found.low is found.value and found.high is found.value
    return replace(
        found,
        terms=found.terms[rows],
        found=tuple(row[rows] for row in found.found),
        value=value,
        low=value if is_known else found.low[rows],
        high=value if is_known else found.high[rows],
    )


def two_sources(over: Pivot, under: Pivot) -> Combined | None:
    """Return the test of every weighted sum of two contrasts of the same units; ``None`` where no unit has both."""
    tables = [part.contrast() for part in (over, under)]
    seen = [~np.isnan(table) for table in tables]
    both = seen[0].any(axis=1) & seen[1].any(axis=1)
    if not both.any() or not _are_enough(over.units, [table[both] for table in tables]):
        return None
    rows = np.asarray(both)[:, None]
    asked = (seen[0] | seen[1]) & rows
    one, other = (_influence(np.asarray(np.where(rows, table, np.nan)), asked) for table in tables)
    ends = [part.bounds(lambda table: mean_over(over.units, table)) for part in (over, under)]
    return combined_of(over.units, one, other, lambda first, second: _bounds((first, second), ends))


def _are_enough(units: Units, tables: Sequence[Matrix]) -> bool:
    """Return whether the spread over prompts can be seen in each source, wherever it is needed."""
    is_over_prompts = units.estimand == "artefact" or not all(are_nested(table) for table in tables)
    return not is_over_prompts or all((~np.isnan(table)).any(axis=0).sum() > 1 for table in tables)


def _influence(table: Matrix, asked: NDArray[np.bool_]) -> Matrix:
    """Return ``table`` spread over all places that were ``asked``, so that the mean of each row stays that of its own.

    A place that only the other source asked holds the mean over all rows: it adds nothing to the spread over prompts.
    """
    seen = ~np.isnan(table)
    mean = mean_of_rows(table) or 0.0
    scale = asked.sum(axis=1) / np.maximum(seen.sum(axis=1), 1)
    spread: Matrix = mean + np.where(seen, (table - mean) * scale[:, None], 0.0)
    return np.where(asked, spread, np.nan)


def _bounds(weights: tuple[float, float], ends: Sequence[Ends]) -> Ends:
    """Return the lowest and highest of a weighted sum; ``None`` where one part is bounded by nothing."""
    low = high = 0.0
    for weight, (lowest, highest) in zip(weights, ends, strict=True):
        if weight == 0:
            continue
        if lowest is None or highest is None:
            return None, None
        sides = sorted((weight * lowest, weight * highest))
        low, high = low + sides[0], high + sides[1]
    return low, high


def _is_near_limit(found: Pivot) -> bool:
    rates = [mean_over(found.units, table) for table in found.value]
    return any(rate is not None and rate > CEILING for rate in rates)


def _is_within_margin(
    evidence: Evidence, design: Design, spec: ContrastSpec, terms: Sequence[Term], base: Inference
) -> bool:
    """Return whether the effect in the denominator, as estimated, lies within its margin or its risk ratio."""
    if spec.ratio_margin is not None:
        found = estimate_asked(evidence, design, spec, terms).ratio
        size = None if found is None else found.estimate
        return size is not None and 1 / spec.ratio_margin <= size <= spec.ratio_margin
    return spec.margin is not None and abs(base.estimate) <= spec.margin


def _retained(found: Ratio, combined: Combined, asked: Asked, *, is_near_limit: bool) -> Retention:
    base = found.denominator
    if base.low is None:
        return Retention(reason=NO_INTERVAL, base=base.estimate)
    if found.value is None:
        return Retention(reason=NO_BASE, base=base.estimate)
    if found.low is None or found.high is None:
        return Retention(reason=NO_INTERVAL, base=base.estimate)
    against = combined(1.0, -asked.threshold)
    return Retention(
        value=found.value,
        low=found.low,
        high=found.high,
        p=against.p,
        is_above=_side(against, base),
        base=base.estimate,
        is_near_limit=is_near_limit,
    )


def _side(against: Inference, base: Inference) -> bool | None:
    """Return whether the ratio lies above the threshold; ``None`` where its test does not tell."""
    if against.low is None or against.high is None or against.low <= 0 <= against.high:
        return None
    return bool((against.low > 0) == (base.estimate > 0))
