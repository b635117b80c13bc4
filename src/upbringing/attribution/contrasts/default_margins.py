"""Margins for what declares none, by the measure's kind, where a study asked for them beforehand.

Source: statistics-and-measures 3.4: rates of 0.1 to 0.9 by 0.05 (strict) or 0.10 (loose), rare harm by a ratio of 1.5,
areas under a curve by 0.03, margins of log-probabilities by a tenth of the gap between known groups. Departures: which
kind a rate is, is read off the cells that are subtracted; harm that is not rare but lies outside 0.1 to 0.9 has none.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

from upbringing.attribution.contrasts.estimates import estimate
from upbringing.attribution.evidence.cells import Evidence, Source
from upbringing.attribution.evidence.design import Design
from upbringing.attribution.evidence.pivot import terms_of
from upbringing.attribution.evidence.questions import Question
from upbringing.attribution.statistics.equivalence import excludes_zero
from upbringing.attribution.statistics.inference import Inference
from upbringing.attribution.statistics.risk_ratio import is_of_two_sides
from upbringing.formats.tree import DefaultMargins, Tree

RATE_MARGINS: Mapping[DefaultMargins, float] = {"strict": 0.05, "loose": 0.10}
COMMON = (0.1, 0.9)  # rates between which a margin on the difference is meant
RARE_RATIO = 1.5
AUROC_MARGIN = 0.03
PART_OF_GAP = 0.10
LOG_PROBABILITY = "nats"
NO_DEFAULT = "there is no default margin for a measure in {unit}"
NO_RATE = "the rate that it is compared with was not measured"
NOT_COMMON = "the rate that it is compared with is {rate:.2f}, outside {low:g} to {high:g}, and is no rare harm"
NOT_TWO_SIDES = "the harm is rare, and this contrast compares no two rates, which could be held against a ratio"
NO_GROUPS = "no helpful-only and safety-trained cells were declared, or the measure does not tell them apart"


@dataclass(frozen=True)
class MarginBasis:
    """The study that margins are picked in: the whole one, also where some of its runs are asked about."""

    tree: Tree
    evidence: Evidence
    design: Design


def with_margin(question: Question, basis: MarginBasis) -> Question:
    """Return the question with the ratio margin of its measure, else with the study's default, where it has neither."""
    spec, study = question.spec, basis.tree.study
    if spec.margin is not None or spec.ratio_margin is not None or not question.terms:
        return question
    if spec.measure in study.ratio_margins:
        return _changed(question, ratio_margin=study.ratio_margins[spec.measure])
    if study.default_margins is None:
        return question
    found = _default(question, basis, study.default_margins)
    if isinstance(found, str):
        return replace(question, no_margin=found)
    return _changed(question, **found, margin_default=study.default_margins)


def _changed(question: Question, **update: object) -> Question:
    return replace(question, spec=question.spec.model_copy(update=update))


def _default(question: Question, basis: MarginBasis, rule: DefaultMargins) -> dict[str, float] | str:
    """Return the margin as a field of a contrast, or why there is none."""
    measure, source = question.spec.measure, question.source
    info = basis.evidence.info(measure)
    if basis.evidence.is_share(measure):
        return _of_rate(question, basis, rule)
    if info.estimator == "auroc" or info.unit == "AUROC":
        return {"margin": AUROC_MARGIN}
    if info.unit == LOG_PROBABILITY and info.direction.endswith("safer"):
        gap = _known_gap(basis, source)
        is_told = gap is not None and excludes_zero(gap)
        return {"margin": PART_OF_GAP * abs(gap.estimate)} if gap is not None and is_told else NO_GROUPS
    return NO_DEFAULT.format(unit=info.unit)


def _of_rate(question: Question, basis: MarginBasis, rule: DefaultMargins) -> dict[str, float] | str:
    spec = question.spec
    total = sum(weight for weight in spec.weights.values() if weight > 0)
    below = {cell: -weight / total for cell, weight in spec.weights.items() if weight < 0}
    found = estimate(basis.evidence, basis.design, terms_of(below, question.source)).inference
    if found is None:
        return NO_RATE
    (low, high), rate = COMMON, found.estimate
    if low <= rate <= high:
        return {"margin": RATE_MARGINS[rule]}
    direction = basis.evidence.info(spec.measure).direction
    is_rare = rate < low if direction.startswith("lower") else rate > high and direction.startswith("higher")
    if not is_rare:
        return NOT_COMMON.format(rate=rate, low=low, high=high)
    return {"ratio_margin": RARE_RATIO} if is_of_two_sides(spec.weights.values()) else NOT_TWO_SIDES


def _known_gap(basis: MarginBasis, source: Source) -> Inference | None:
    """Return the difference between the cells known to be safety-trained and to be helpful only."""
    groups = [_cells(basis.tree, known) for known in ("safety-trained", "helpful-only")]
    if not all(groups):
        return None
    weights = {cell: sign / len(group) for group, sign in zip(groups, (1.0, -1.0), strict=True) for cell in group}
    return estimate(basis.evidence, basis.design, terms_of(weights, source)).inference


def _cells(tree: Tree, known: str) -> tuple[str, ...]:
    names: Iterable[str] = (cell.name for cell in tree.cells if cell.known == known)
    return tuple(dict.fromkeys(names))
