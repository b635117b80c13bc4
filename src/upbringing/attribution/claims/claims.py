"""Claims: answers corrected for how many were asked, and put into words."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from upbringing.attribution.claims.answered import Answered
from upbringing.attribution.claims.corrected_numbers import corrected_numbers, uncalibrated_numbers, uncorrected_numbers
from upbringing.attribution.claims.dominating import dominance_fields
from upbringing.attribution.claims.verdicts import numbers
from upbringing.attribution.contrasts.estimates import ONE_PROMPT_GIVEN, ONE_WORLD_GIVEN, Estimate
from upbringing.attribution.effects.shares import asked_of, blanked, is_scale_sensitive, other_share, share_fields
from upbringing.attribution.evidence.cells import Evidence
from upbringing.attribution.evidence.teachers import teachers_of
from upbringing.attribution.judges.corrected import Corrected
from upbringing.attribution.judges.corrections import Corrections
from upbringing.attribution.statistics.families import corrected_together
from upbringing.attribution.statistics.multiplicity import EXPLORATORY_LEVEL, PRIMARY_LEVEL
from upbringing.attribution.words.judge_sentences import SHARE_UNCHECKED
from upbringing.attribution.words.sentences import statement, verdict_sentence
from upbringing.formats.findings import Claim, Units, Verdict
from upbringing.formats.measure_labels import measure_labels
from upbringing.formats.tree import Tree


def claims_of(
    answers: Sequence[Answered], tree: Tree, evidence: Evidence, corrections: Corrections
) -> tuple[Claim, ...]:
    """Return the claims in the order of ``answers``: Holm within primary families, Benjamini-Hochberg in others."""
    together = corrected_together([each.tested for each in answers])
    labels = measure_labels(tree.measures)
    teachers = teachers_of(corrections.design)
    beside = [
        {
            "p_adjusted": found.p,
            "minimum_detectable": found.detectable,
            **dominance_fields(each, evidence, corrections),
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
            "error_gap": each.error_gap,
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
        elif each.error_gap:
            update = blanked(update, SHARE_UNCHECKED)
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
