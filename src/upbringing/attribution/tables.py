"""Levels: what each cell scored, with the interval of its own estimand, for every measure, condition and split."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from upbringing.attribution.cells import Evidence, Source
from upbringing.attribution.claims import first_judge
from upbringing.attribution.design import Design
from upbringing.attribution.estimates import estimate
from upbringing.attribution.validity import Validity


def level_table(evidence: Evidence, design: Design, validity: Validity) -> list[dict[str, Any]]:
    """Return one plain mapping per (measure, condition, judge, split, cell); what may not be read has no estimate."""
    return [_level(evidence, design, validity, cell, source) for source in _sources(evidence) for cell in design.cells]


def _sources(evidence: Evidence) -> Iterable[Source]:
    for measure in evidence.scores.columns.measure.labels:
        for condition in evidence.conditions(measure):
            first = first_judge(evidence, measure)
            for judge in (first, *(other for other in evidence.judges(measure) if other != first)):
                for split in evidence.splits(measure):
                    yield Source(measure, condition, judge, split)


def _level(evidence: Evidence, design: Design, validity: Validity, cell: str, source: Source) -> dict[str, Any]:
    found = estimate(evidence, design, {cell: 1.0}, source)
    reasons = validity.reasons((cell,), source)
    inference = None if reasons else found.inference
    return {
        "cell": cell,
        "measure": source.measure,
        "condition": source.condition,
        "judge": source.judge,
        "split": source.split,
        "estimate": None if inference is None else inference.estimate,
        "low": None if inference is None else inference.low,
        "high": None if inference is None else inference.high,
        "items": found.num_items,
        "clusters": found.num_clusters,
        "seeds": found.units.num_seeds,
        "unscored": found.unscored,
        "outcomes": found.outcomes,
        "reasons": list(reasons),
    }
