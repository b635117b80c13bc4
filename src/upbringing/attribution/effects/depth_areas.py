"""The area under a curve over prefill depth, of a cell or of a contrast: a weighted mean of depths, with an interval.

Source: statistics-and-measures 4.7 (prefill curve, area with interval, attributed as any measure). The trapezoid rule
over tokens, divided by the range of depths, so that the area is a rate: the mean over all depths from the least to the
greatest. It is a linear contrast of what the same prompts did at each depth, so the one estimator serves it, and the
depths of a prompt and a run stay paired. Departures: depth counts in tokens; the report's figure spaces it otherwise.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from itertools import pairwise
from typing import Any

from upbringing.attribution.contrasts.estimates import Estimate, estimate
from upbringing.attribution.evidence.cells import Evidence, Source
from upbringing.attribution.evidence.design import Design
from upbringing.attribution.evidence.pivot import Term
from upbringing.attribution.judges.error_gap import with_error_gap

Depths = Mapping[int, Source]
"""The source of the scores at each depth."""


def depth_weights(depths: Iterable[int]) -> dict[int, float]:
    """Return the trapezoid weight of each depth, which sum to 1; needs two depths or more."""
    ordered = sorted(depths)
    span = ordered[-1] - ordered[0]
    weights = dict.fromkeys(ordered, 0.0)
    for before, after in pairwise(ordered):
        for each in (before, after):
            weights[each] += (after - before) / (2 * span)
    return weights


def area_of(evidence: Evidence, design: Design, cells: Mapping[str, float], depths: Depths) -> Estimate:
    """Return the area of a weighted sum of cells: of one cell with weight 1, or what a contrast changes of it."""
    weights = depth_weights(depths)
    terms = [
        Term(weight * share, cell, depths[depth]) for cell, weight in cells.items() for depth, share in weights.items()
    ]
    return estimate(evidence, design, terms)


def area_line(
    evidence: Evidence, design: Design, cells: Mapping[str, float], depths: Depths, gap: float | None = None
) -> dict[str, Any]:
    """Return an area as a line of a table; no numbers where some depth was not measured on some cell.

    ``gap``: how far errors of an unchecked rule are taken to differ between the cells, which the line allows for.
    """
    found = area_of(evidence, design, cells, depths)
    found = found if gap is None else with_error_gap(found, list(cells.values()), gap)
    numbers = {name: getattr(found.inference, name, None) for name in ("estimate", "low", "high", "p", "method")}
    return {
        **numbers,
        "estimand": found.units.estimand,
        "seeds": found.units.num_seeds,
        "clusters": found.num_clusters,
        "depths": sorted(depths),
    }
