"""Claims: every question estimated, corrected for how many were asked, and put into words."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from upbringing.attribution.cells import Evidence, Source
from upbringing.attribution.corrected import Corrected
from upbringing.attribution.corrected_numbers import corrected_numbers, uncalibrated_numbers, uncorrected_numbers
from upbringing.attribution.corrections import Corrections, Uncorrected
from upbringing.attribution.design import Design
from upbringing.attribution.equivalence import DOMINANCE_RATIO, NO_DOMINANCE_SCALE, dominance
from upbringing.attribution.estimates import ONE_PROMPT_GIVEN, ONE_WORLD_GIVEN, Estimate, estimate
from upbringing.attribution.families import Tested, corrected_together
from upbringing.attribution.inference import Inference
from upbringing.attribution.multiplicity import EXPLORATORY_LEVEL, PRIMARY_LEVEL
from upbringing.attribution.orders import order_range
from upbringing.attribution.pivot import Term, terms_of
from upbringing.attribution.questions import Question
from upbringing.attribution.ratios import estimate_asked
from upbringing.attribution.redundancy import Pattern, pattern
from upbringing.attribution.sentences import LEFT_OUT, NO_ROWS, NOT_MEASURED, statement, verdict_sentence
from upbringing.attribution.shares import (
    Shares,
    asked_of,
    blanked,
    is_scale_sensitive,
    other_share,
    share_fields,
    shares,
)
from upbringing.attribution.teachers import teachers_of
from upbringing.attribution.validity import Reason, Validity
from upbringing.attribution.verdicts import deciding, is_on_scale, numbers
from upbringing.formats.findings import Claim, OrderRange, Units, Verdict
from upbringing.formats.tree import Tree

EXPLORATORY = "exploratory"
PRIMARY = "primary"


@dataclass(frozen=True)
class Answered:
    """A question, its estimate and what forbids reading it. ``by_judge``: the same from other judges.

    ``against_reasons``: what forbids reading the contrast that it is to be dominated by. ``shares``: of the total that
    the contrast names; ``order_range``: over the orders it names; ``pattern``: redundancy or synergy. ``correction``:
    what human labels make of it, which then decides. ``is_uncalibrated``: its judge can err and has no labels at all.
    """

    question: Question
    found: Estimate | None
    reasons: tuple[Reason, ...]
    by_judge: Mapping[str, Estimate]
    against_reasons: tuple[Reason, ...] = ()
    shares: Shares | None = None
    order_range: OrderRange | None = None
    pattern: Pattern | None = None
    correction: Corrected | Uncorrected | None = None
    is_uncalibrated: bool = False

    @property
    def decides(self) -> Inference | None:
        """The inference that decides, where there is one: what labels corrected before what the judge says."""
        found = self.correction.found if isinstance(self.correction, Corrected) else self.found
        return None if found is None or self.reasons else deciding(self.question.spec, found)

    @property
    def family(self) -> str:
        """The family whose members are corrected together."""
        spec = self.question.spec
        return PRIMARY if spec.role == "primary" and spec.family == EXPLORATORY else spec.family

    @property
    def tested(self) -> Tested:
        """The question as its family sees it."""
        return Tested(self.family, self.question.spec.role == "primary", self.decides, bool(self.reasons))


def answer(
    question: Question, evidence: Evidence, design: Design, validity: Validity, corrections: Corrections
) -> Answered:
    """Return the question estimated, unless something forbids it, and corrected as far as people's labels allow."""
    source = question.source
    if question.left_out:
        text = LEFT_OUT.format(arms=", ".join(question.left_out))
        return Answered(question, None, (Reason("rows", text),), {})
    if not question.terms:
        where = source.condition if source.split is None else f"{source.condition}, split {source.split}"
        text = NO_ROWS.format(measure=source.measure, condition=where)
        return Answered(question, None, (Reason("rows", text),), {})
    reasons = (
        *validity.of_measure(source.measure),
        *validity.of_design(question.spec),
        *validity.reasons((term.cell, term.source) for term in question.terms),
    )
    found = estimate_asked(evidence, design, question.spec, question.terms)
    if found.inference is None and not reasons:
        reasons = (Reason("rows", NOT_MEASURED),)
    by_judge = {
        judge: estimate_asked(evidence, design, question.spec, _for_judge(question.terms, judge))
        for judge in (() if reasons else question.judges)
    }
    against = validity.reasons((cell, source) for cell in _against(question))
    is_uncalibrated = corrections.is_uncalibrated(source)
    if reasons:
        return Answered(question, found, reasons, by_judge, against, is_uncalibrated=is_uncalibrated)
    spec = question.spec
    return Answered(
        question,
        found,
        reasons,
        by_judge,
        against,
        shares=shares(evidence, design, validity, source, asked_of(spec)) if spec.share_of else None,
        order_range=order_range(evidence, design, validity, source, spec),
        pattern=pattern(evidence, design, validity, source, spec),
        correction=corrections.contrast(question.terms),
        is_uncalibrated=is_uncalibrated,
    )


def _against(question: Question) -> dict[str, float]:
    """Return the weights of the contrast that a dominance claim is held against; empty for other claims."""
    against = (question.spec.model_extra or {}).get("against")
    return against if question.spec.test == "dominance" and isinstance(against, dict) else {}


def _for_judge(terms: Sequence[Term], judge: str) -> tuple[Term, ...]:
    return tuple(replace(term, source=replace(term.source, judge=judge)) for term in terms)


def claims_of(
    answers: Sequence[Answered], tree: Tree, evidence: Evidence, corrections: Corrections
) -> tuple[Claim, ...]:
    """Return the claims in the order of ``answers``: Holm within primary families, Benjamini-Hochberg in others."""
    together = corrected_together([each.tested for each in answers])
    labels = {measure.id: measure.label or measure.id for measure in tree.measures}
    teachers = teachers_of(corrections.design)
    beside = [
        {
            "p_adjusted": found.p,
            "minimum_detectable": found.detectable,
            **_dominance(each, evidence, corrections),
            "scale_sensitive": flag,
        }
        for each, found, flag in zip(answers, together, _scale_flags(answers), strict=True)
    ]
    return tuple(
        _claim(number, each, beside[number], evidence, labels, teachers.is_separable(each.question.spec.weights))
        for number, each in enumerate(answers)
    )


def _scale_flags(answers: Sequence[Answered]) -> list[bool | None]:
    """Return for each answer whether contributions to its total rank differently in log-odds; ``None`` = unranked."""
    groups: dict[tuple[Any, ...], list[int]] = {}
    for number, each in enumerate(answers):
        spec = each.question.spec
        if each.shares is not None:
            groups.setdefault((each.question.source, spec.kind, frozenset(spec.share_of.items())), []).append(number)
    flags: list[bool | None] = [None] * len(answers)
    for members in groups.values():
        estimates = [
            (found.inference.estimate, found.logit.estimate)
            for number in members
            if (found := answers[number].found) is not None and found.inference is not None and found.logit is not None
        ]
        if len(estimates) == len(members) > 1:
            flag = is_scale_sensitive(estimates)
            for number in members:
                flags[number] = flag
    return flags


def _claim(
    number: int,
    each: Answered,
    beside: Mapping[str, Any],
    evidence: Evidence,
    labels: Mapping[str, str],
    teacher_separable: bool | None,
) -> Claim:
    """Return the claim of an answer. ``beside``: the fields that other answers or contrasts decide."""
    spec, source = each.question.spec, each.question.source
    claim = Claim(
        id=f"claim-{number}",
        kind=spec.kind,
        measure=spec.measure,
        contrast=spec.name,
        weights=dict(spec.weights),
        condition=source.condition,
        split=source.split,
        role=spec.role,
        family=each.family,
        level=spec.level,
        unit=evidence.info(spec.measure).unit,
        judge=source.judge,
        margin=spec.margin,
        margin_default=spec.margin_default,
        no_margin=each.question.no_margin,
        scale=spec.scale,
        teacher_separable=teacher_separable,
        blocked_by=tuple(reason.text for reason in each.reasons),
    )
    if each.found is not None:
        claim = claim.model_copy(update=_provenance(each.found))
    if each.reasons or each.found is None:
        blocked: Verdict = "blocked" if all(reason.kind == "guard" for reason in each.reasons) else "not-measurable"
        update: dict[str, Any] = {"verdict": blocked}
    else:
        level = PRIMARY_LEVEL if spec.role == "primary" else EXPLORATORY_LEVEL
        significant = beside["p_adjusted"] is not None and beside["p_adjusted"] <= level
        direction = evidence.info(spec.measure).direction
        update = numbers(spec, each.found, each.by_judge, direction, significant=significant)
        update |= {
            **beside,
            "pattern": each.pattern,
            "order_range": each.order_range,
            **share_fields(each.shares, asked_of(spec)),
        }
        update["other_scale"] |= other_share(each.shares, spec.scale)
        if isinstance(each.correction, Corrected):
            update = blanked(update) | corrected_numbers(spec, each.correction, direction, significant=significant)
        elif each.correction is not None:
            kind = evidence.judge_kind(source.judge)
            update |= uncorrected_numbers(update, spec, each.correction, kind)
        elif each.is_uncalibrated:
            update |= uncalibrated_numbers(update, source.judge, evidence.judge_kind(source.judge))
        if update.get("blocked_by"):
            update = blanked(update, update["blocked_by"][0])
    claim = claim.model_copy(update=update)
    label = labels.get(spec.measure, spec.measure)
    return claim.model_copy(update={"sentence": verdict_sentence(claim, label), "statement": statement(claim, label)})


def _provenance(found: Estimate) -> dict[str, Any]:
    units = found.units
    one_world = (ONE_WORLD_GIVEN,) if found.num_worlds == 1 < found.num_scored_runs else ()
    one_prompt = (ONE_PROMPT_GIVEN,) if found.num_clusters == 1 < found.num_items else ()
    return {
        "estimand": units.estimand,
        "conditional_on": (*units.conditional_on, *one_world, *one_prompt),
        "units": Units(
            items=found.num_items,
            clusters=found.num_clusters,
            seeds=units.num_seeds,
            roots=units.num_roots,
            worlds=found.num_worlds,
        ),
        "unscored": found.unscored,
        "checkpoints": found.checkpoints,
    }


def _dominance(each: Answered, evidence: Evidence, corrections: Corrections) -> dict[str, str]:
    """Return as fields whether another contrast (``against``: its weights) drives over four times this one's effect.

    Effects are compared on the scale that the claim declared: on another, a quarter of an effect is another effect.
    """
    spec = each.question.spec
    against = _against(each.question)
    if not against or each.reasons:
        return {}
    if each.against_reasons:
        return {"dominance": "undecided"}
    source: Source = each.question.source

    def combined(ratio: float) -> dict[str, float]:
        cells = dict.fromkeys((*spec.weights, *against))
        return {cell: spec.weights.get(cell, 0.0) + ratio * float(against.get(cell, 0.0)) for cell in cells}

    asked = [terms_of(weights, source) for weights in (against, combined(-DOMINANCE_RATIO), combined(DOMINANCE_RATIO))]
    if isinstance(each.correction, Corrected):
        corrected = [corrections.contrast(terms) for terms in asked]
        found = [part.found if isinstance(part, Corrected) else None for part in corrected]
    else:
        found = [estimate(evidence, corrections.design, terms) for terms in asked]
    if not all(part is None or part.is_same_checkpoint or is_on_scale(spec, part) for part in found):
        return {"dominance": "undecided", "dominance_reason": NO_DOMINANCE_SCALE}
    larger, difference, total = (None if part is None else deciding(spec, part) for part in found)
    if larger is None or difference is None or total is None:
        return {"dominance": "undecided"}
    return {"dominance": dominance(larger, difference, total)}
