"""Claims: every declared contrast on every source of scores, corrected for how many were asked."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from upbringing.attribution.cells import Evidence, Source
from upbringing.attribution.design import Design
from upbringing.attribution.equivalence import (
    beyond_margin,
    equivalence_radius,
    excludes_zero,
    four_way_verdict,
    noninferior,
)
from upbringing.attribution.estimates import Estimate, estimate
from upbringing.attribution.inference import minimum_detectable
from upbringing.attribution.multiplicity import EXPLORATORY_LEVEL, PRIMARY_LEVEL, benjamini_hochberg, holm
from upbringing.attribution.sentences import verdict_sentence
from upbringing.attribution.validity import Validity
from upbringing.formats.findings import Claim, Flips, Units, Verdict
from upbringing.formats.tree import ContrastSpec, Tree

JUDGE_ORDER = ("oracle", "human", "rule", "llm", None)  # exact and human judgements carry a claim where they exist
HEADLINE_SPLIT = "held-out-item"
ANY_CONDITION = "default"


@dataclass(frozen=True)
class Asked:
    """One contrast on one source of scores, estimated."""

    spec: ContrastSpec
    source: Source
    found: Estimate
    blocked_by: tuple[str, ...]


def claims(tree: Tree, evidence: Evidence, design: Design, specs: Sequence[ContrastSpec]) -> tuple[Claim, ...]:
    """Return all claims in the order of ``specs``; Holm for the primary family, Benjamini-Hochberg for the rest."""
    validity = Validity(tree, evidence, design)
    asked = [each for spec in specs for each in _ask(spec, evidence, design, validity)]
    adjusted = _adjusted(asked)
    labels = {measure.id: measure.label or measure.id for measure in tree.measures}
    return tuple(
        _claim(number, each, adjusted[number], evidence, labels.get(each.spec.measure, each.spec.measure))
        for number, each in enumerate(asked)
    )


def _ask(spec: ContrastSpec, evidence: Evidence, design: Design, validity: Validity) -> Iterable[Asked]:
    if not evidence.has_measure(spec.measure) or any(cell not in design.cells for cell in spec.weights):
        return
    splits = evidence.splits(spec.measure)
    headline = HEADLINE_SPLIT if HEADLINE_SPLIT in splits else None
    split = spec.split if spec.split is not None else headline
    conditions = evidence.conditions(spec.measure)
    for condition in conditions if spec.condition == ANY_CONDITION else (spec.condition,):
        judge = first_judge(evidence, spec.measure)
        source = Source(spec.measure, condition, judge, split)
        found = estimate(evidence, design, spec.weights, source)
        yield Asked(spec, source, found, validity.reasons(spec.weights, source))


def first_judge(evidence: Evidence, measure: str) -> str:
    """Return the judge that carries the claims: exact before human before rules before language models."""
    judges = evidence.judges(measure)
    return min(judges, key=lambda judge: (JUDGE_ORDER.index(evidence.judge_kind(judge)), judge))


def _adjusted(asked: Sequence[Asked]) -> list[float | None]:
    result: list[float | None] = [None] * len(asked)
    for is_primary, adjust in ((True, holm), (False, benjamini_hochberg)):
        places = [
            number
            for number, each in enumerate(asked)
            if (each.spec.role == "primary") == is_primary
            and not each.blocked_by
            and each.found.inference is not None
            and each.found.inference.p is not None
        ]
        if places:
            p_values = np.array([_p_value(asked[number]) for number in places], dtype=np.float64)
            for number, value in zip(places, adjust(p_values), strict=True):
                result[number] = float(value)
    return result


def _p_value(asked: Asked) -> float:
    assert asked.found.inference is not None
    assert asked.found.inference.p is not None
    return asked.found.inference.p


def _claim(number: int, asked: Asked, p_adjusted: float | None, evidence: Evidence, label: str) -> Claim:
    spec, found = asked.spec, asked.found
    inference = None if asked.blocked_by else found.inference
    info = evidence.info(spec.measure)
    claim = Claim(
        id=f"claim-{number}",
        kind=spec.kind,
        measure=spec.measure,
        contrast=spec.name,
        weights=dict(spec.weights),
        condition=asked.source.condition,
        split=asked.source.split,
        role=spec.role,
        family=spec.family,
        level=spec.level,
        estimand=found.units.estimand,
        conditional_on=found.units.conditional_on,
        unit=info.unit,
        units=Units(
            items=found.num_items,
            clusters=found.num_clusters,
            seeds=found.units.num_seeds,
            roots=found.units.num_roots,
            worlds=found.num_worlds,
        ),
        unscored=found.unscored,
        judge=asked.source.judge,
        margin=spec.margin,
        blocked_by=asked.blocked_by,
        checkpoints=found.checkpoints,
        scale=spec.scale,
    )
    if inference is None:
        verdict: Verdict = "not-measurable"
        blocked = asked.blocked_by or ("nothing was measured on all of its cells",)
        claim = claim.model_copy(update={"verdict": verdict, "blocked_by": blocked})
    else:
        claim = claim.model_copy(update=_numbers(asked, p_adjusted, evidence))
    return claim.model_copy(update={"sentence": verdict_sentence(claim, label)})


def _numbers(asked: Asked, p_adjusted: float | None, evidence: Evidence) -> dict[str, object]:
    spec, found = asked.spec, asked.found
    inference = found.inference
    assert inference is not None
    level = PRIMARY_LEVEL if spec.role == "primary" else EXPLORATORY_LEVEL
    significant = p_adjusted is not None and p_adjusted <= level
    verdict = four_way_verdict(inference, spec.margin, significant=significant)
    if found.is_same_checkpoint:
        verdict = "equivalent"
    bounds = {}
    if found.lowest is not None and found.highest is not None and found.lowest < found.highest:
        bounds = {"low": found.lowest, "high": found.highest}
        if excludes_zero(inference) and found.lowest < 0 < found.highest:
            verdict = "inconclusive"  # the sign must hold wherever the incoherent answers lie
    direction = evidence.info(spec.measure).direction
    return {
        "estimate": inference.estimate,
        "low": inference.low,
        "high": inference.high,
        "df": inference.df,
        "p": inference.p,
        "p_adjusted": p_adjusted,
        "verdict": verdict,
        "bounds": bounds,
        "beyond_margin": beyond_margin(inference, spec.margin),
        "equivalence_radius": 0.0 if found.is_same_checkpoint else equivalence_radius(inference),
        "minimum_detectable": minimum_detectable(inference),
        "noninferior": noninferior(inference, spec.margin, lower_is_better=direction.startswith("lower")),
        "flips": None if found.flips is None else Flips(rose=found.flips[0], fell=found.flips[1], kept=found.flips[2]),
    }
