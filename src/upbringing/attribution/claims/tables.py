"""Levels: what each cell scored, with the interval of its own estimand, for every measure, condition and split."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from upbringing.attribution.contrasts.estimates import estimate
from upbringing.attribution.evidence.cells import Evidence, Source
from upbringing.attribution.evidence.design import Design
from upbringing.attribution.evidence.pivot import Term
from upbringing.attribution.evidence.sources import first_judge
from upbringing.attribution.judges.corrections import Corrections
from upbringing.attribution.statistics.inference import Inference
from upbringing.attribution.statistics.levels import rule_of_three
from upbringing.attribution.validity.validity import Validity


def level_table(
    evidence: Evidence, design: Design, validity: Validity, corrections: Corrections
) -> list[dict[str, Any]]:
    """Return one plain mapping per (measure, condition, judge, split, cell); what may not be read has no estimate.

    Where labels tell how the judge errs on all checkpoints of a cell, ``corrected`` (and ``corrected_low``,
    ``corrected_high``, ``corrected_labels``) stands beside.
    """
    return [
        _level(evidence, design, validity, corrections, cell, source)
        for source in _sources(evidence)
        for cell in design.cells
    ]


def _sources(evidence: Evidence) -> Iterable[Source]:
    for measure in evidence.scores.columns.measure.labels:
        for condition in evidence.conditions(measure):
            first = first_judge(evidence, measure)
            for judge in (first, *(other for other in evidence.judges(measure) if other != first)):
                for split in evidence.splits(measure):
                    yield Source(measure, condition, judge, split)


def _level(
    evidence: Evidence, design: Design, validity: Validity, corrections: Corrections, cell: str, source: Source
) -> dict[str, Any]:
    found = estimate(evidence, design, (Term(1.0, cell, source),))
    reasons = [reason.text for reason in validity.reasons(((cell, source),))]
    inference = None if reasons else found.inference
    is_rate = evidence.is_share(source.measure)
    total = sum(found.outcomes.values())
    return {
        "cell": cell,
        "measure": source.measure,
        "condition": source.condition,
        "judge": source.judge,
        "split": source.split,
        "estimate": None if inference is None else inference.estimate,
        "low": None if inference is None else inference.low,
        "high": None if inference is None else inference.high,
        "method": None if inference is None else inference.method,
        "lowest": None if inference is None else found.lowest,
        "highest": None if inference is None else found.highest,
        "rule_of_three": rule_of_three(found.num_clusters)
        if inference is not None and is_rate and inference.estimate in (0.0, 1.0)
        else None,
        "estimand": found.units.estimand,
        "items": found.num_items,
        "clusters": found.num_clusters,
        "seeds": found.units.num_seeds,
        "unscored": found.unscored,
        "ineligible": found.num_ineligible,
        "outcomes": found.outcomes,
        "outcome_rates": {name: count / total for name, count in found.outcomes.items()} if total else {},
        "reasons": reasons,
        **_corrected(corrections, cell, source, inference),
    }


def _corrected(corrections: Corrections, cell: str, source: Source, inference: Inference | None) -> dict[str, Any]:
    level, num_labels = corrections.level(cell, source, inference)
    if level is None:
        return {}
    return {
        "corrected": level.estimate,
        "corrected_low": level.low,
        "corrected_high": level.high,
        "corrected_labels": num_labels,
        "corrected_method": "Rogan-Gladen",
    }
