"""Beside every confirmatory claim, the same contrast by a Multi-Bootstrap and by a mixed model, and whether they agree.

All are compared with the claim's own estimator as the judge has it, before answers that could not be scored widen its
interval, and at 95% without any correction for many tests. A sign is compared where one of the two leaves out zero:
where neither does, neither tells one. The mixed model has two intervals, t with the runs' degrees of freedom and
Wald's, and disagrees on zero where both do. Source: statistics-and-measures 3.3, "robustness".
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from upbringing.attribution.claims.answered import Answered
from upbringing.attribution.contrasts.estimates import Estimate
from upbringing.attribution.evidence.cells import Evidence
from upbringing.attribution.evidence.design import Design
from upbringing.attribution.evidence.pivot import Pivot, pivot, union
from upbringing.attribution.statistics.equivalence import excludes_zero
from upbringing.attribution.statistics.glmm import fit_glmm
from upbringing.attribution.statistics.inference import CONFIDENCE, Inference, normal_quantile, t_inference
from upbringing.attribution.statistics.laplace import Counts
from upbringing.attribution.statistics.multi_bootstrap import MULTI_BOOTSTRAP, multi_bootstrap
from upbringing.attribution.statistics.unpaired import RUNS_APART
from upbringing.attribution.words.sentences import (
    FEW_RUNS,
    MODEL_NOT_FITTED,
    MODELS_ENOUGH,
    NO_DRAWN_INTERVAL,
    NO_INTERVAL,
    NOT_BINARY,
    ONE_SIDED,
)
from upbringing.base.fingerprint import fingerprint
from upbringing.base.streams import stream
from upbringing.formats.findings import Claim, Robustness

GLMM = "glmm"
MAX_MODELS = 12  # claims that a mixed model is fitted to, the first ones
DIGITS = 6  # of a fitted model: the optimiser knows no more


def with_robustness(
    claims: Sequence[Claim],
    answers: Sequence[Answered],
    evidence: Evidence,
    design: Design,
    *,
    max_models: int = MAX_MODELS,
) -> tuple[Claim, ...]:
    """Return the claims, the primary ones that say a number with what other estimators say; order as in ``answers``."""
    found, num_models = [], 0
    for claim, each in zip(claims, answers, strict=True):
        if claim.role != "primary" or each.reasons or each.found is None or each.found.is_same_checkpoint:
            found.append(claim)
            continue
        table = pivot(evidence, design, each.question.terms)
        bootstrap = _bootstrapped(table, each, evidence)
        refusal = _why_no_model(table, each, evidence)
        if not refusal and num_models >= max_models:
            refusal = MODELS_ENOUGH.format(num=max_models)
        elif not refusal:
            num_models += 1
        model = Robustness(method=GLMM, scale="logit", reason=refusal) if refusal else _modelled(table, each, evidence)
        found.append(claim.model_copy(update={"robustness": (bootstrap, model)}))
    return tuple(found)


def own_inference(each: Answered) -> Inference | None:
    """Return what other estimators are compared with: the claim's own, before unscored answers widen it."""
    found = each.found
    if found is None:
        return None
    return found.logit_unwidened if _is_logit(each) else found.unwidened


def disagrees(line: Robustness) -> bool:
    """Return whether another estimator gives another sign, or sees zero otherwise."""
    return line.agrees_sign is False or line.agrees_excludes_zero is False


def robustness_lines(claims: Sequence[Claim]) -> list[dict[str, object]]:
    """Return one line per claim and other estimator, for tables."""
    return [
        {
            "claim": claim.id,
            "measure": claim.measure,
            "contrast": claim.contrast,
            "condition": claim.condition,
            "split": claim.split,
            **line.model_dump(mode="json"),
        }
        for claim in claims
        for line in claim.robustness
    ]


def _is_logit(each: Answered) -> bool:
    return each.question.spec.scale == "logit" and each.found is not None and each.found.logit is not None


def _is_over_runs(found: Estimate) -> bool:
    return found.units.estimand != "artefact"


def _bootstrapped(table: Pivot, each: Answered, evidence: Evidence) -> Robustness:
    own, found = own_inference(each), each.found
    assert found is not None
    scale = "logit" if _is_logit(each) else "natural"
    if table.units.runs:
        return Robustness(method=MULTI_BOOTSTRAP, scale=scale, reason=RUNS_APART)
    if own is None or own.low is None:
        return Robustness(method=MULTI_BOOTSTRAP, scale=scale, reason=NO_INTERVAL)
    drawn = multi_bootstrap(
        table.value,
        table.weights,
        stream(0, MULTI_BOOTSTRAP, _identity(table, evidence)),
        runs_vary=_is_over_runs(found),
        is_logit=scale == "logit",
    )
    if drawn is None:
        return Robustness(method=MULTI_BOOTSTRAP, scale=scale, reason=NO_DRAWN_INTERVAL)
    return Robustness(
        method=MULTI_BOOTSTRAP,
        scale=scale,
        estimate=drawn.estimate,
        low=drawn.low,
        high=drawn.high,
        agrees_sign=_agrees_on_sign(own, drawn),
        agrees_excludes_zero=excludes_zero(own) == excludes_zero(drawn),
    )


def _identity(table: Pivot, evidence: Evidence) -> str:
    """Return the name of the runs and prompts that are drawn: claims on the same ones share their draws."""
    items = union([values.items for values in table.known])
    labels = sorted(evidence.facts.labels[code] for code in items.tolist())
    return fingerprint({"runs": len(table.units.units), "prompts": labels})


def _why_no_model(table: Pivot, each: Answered, evidence: Evidence) -> str:
    """Return why no mixed model can be fitted to a claim; empty where one can be."""
    assert each.found is not None
    if not all(evidence.is_binary(term.source.measure) for term in table.terms):
        return NOT_BINARY
    if not _is_over_runs(each.found):
        return FEW_RUNS
    if table.units.runs:
        return RUNS_APART
    own = own_inference(each)
    if own is None or own.low is None:
        return NO_INTERVAL
    extreme = counts_of(table, evidence).one_sided
    return ONE_SIDED.format(cell=table.terms[extreme[0]].cell) if extreme else ""


def counts_of(table: Pivot, evidence: Evidence) -> Counts:
    """Return the 0/1 answers that the crossed estimator of a contrast rests on, per cell, run and prompt."""
    seen = ~np.isnan(table.contrast())
    num = len(table.clusters)
    positives, trials = np.zeros(table.value.shape), np.zeros(table.value.shape)
    for row, parts in enumerate(table.found):
        for place, part in enumerate(parts):
            for values in part:
                if values is not None:
                    where = np.searchsorted(table.clusters, evidence.facts.cluster[values.items])
                    positives[place, row] += np.bincount(where, values.positives, num)
                    trials[place, row] += np.bincount(where, values.repeats, num)
    kept = seen.any(axis=0)
    return Counts((positives * seen)[:, :, kept], (trials * seen)[:, :, kept], table.weights)


def _modelled(table: Pivot, each: Answered, evidence: Evidence) -> Robustness:
    own = own_inference(each)
    fit = fit_glmm(counts_of(table, evidence))
    if fit is None or own is None:
        return Robustness(method=GLMM, scale="logit", reason=MODEL_NOT_FITTED)
    df = len(table.units.units) - 1.0
    found = t_inference(fit.estimate, fit.standard_error, df, GLMM)
    assert found.low is not None
    assert found.high is not None
    half = normal_quantile(CONFIDENCE) * fit.standard_error
    by_t, by_wald = excludes_zero(found), abs(fit.estimate) > half
    return Robustness(
        method=GLMM,
        scale="logit",
        estimate=round(fit.estimate, DIGITS),
        low=round(found.low, DIGITS),
        high=round(found.high, DIGITS),
        df=df,
        wald_low=round(fit.estimate - half, DIGITS),
        wald_high=round(fit.estimate + half, DIGITS),
        agrees_sign=_agrees_on_sign(own, found),
        agrees_excludes_zero=excludes_zero(own) == by_t if by_t == by_wald else None,
    )


def _agrees_on_sign(own: Inference, other: Inference) -> bool | None:
    """Return whether both signs are the same; ``None`` where neither interval leaves out zero."""
    if not excludes_zero(own) and not excludes_zero(other):
        return None
    return (own.estimate > 0) == (other.estimate > 0)
