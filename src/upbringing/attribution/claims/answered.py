"""Questions estimated, with what forbids reading the answer and what labels, or their lack, make of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from upbringing.attribution.claims.verdicts import deciding
from upbringing.attribution.contrasts.estimates import Estimate
from upbringing.attribution.contrasts.ratios import estimate_asked
from upbringing.attribution.effects.orders import order_range
from upbringing.attribution.effects.redundancy import Pattern, pattern
from upbringing.attribution.effects.shares import Shares, asked_of, shares
from upbringing.attribution.evidence.cells import Evidence
from upbringing.attribution.evidence.design import Design
from upbringing.attribution.evidence.pivot import Term
from upbringing.attribution.evidence.questions import Question
from upbringing.attribution.judges.corrected import Corrected
from upbringing.attribution.judges.corrections import Corrections, Uncorrected
from upbringing.attribution.judges.error_gap import with_error_gap
from upbringing.attribution.statistics.families import Tested
from upbringing.attribution.statistics.inference import Inference
from upbringing.attribution.validity.validity import Reason, Validity
from upbringing.attribution.words.sentences import LEFT_OUT, NO_ROWS, NOT_MEASURED
from upbringing.formats.findings import OrderRange

EXPLORATORY = "exploratory"
PRIMARY = "primary"


@dataclass(frozen=True)
class Answered:
    """A question, its estimate and what forbids reading it. ``by_judge``: the same from other judges.

    ``against_reasons``: what forbids reading the contrast that it is to be dominated by. ``shares``: of the total that
    the contrast names; ``order_range``: over the orders it names; ``pattern``: redundancy or synergy. ``correction``:
    what human labels make of it, which then decides. ``is_uncalibrated``: its judge can err and has no labels at all.
    ``error_gap``: how far the errors of its judge were taken to differ, which ``found`` allows for.
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
    error_gap: float | None = None

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
    against = validity.reasons((cell, source) for cell in against_of(question))
    is_uncalibrated = corrections.is_uncalibrated(source)
    if reasons:
        return Answered(question, found, reasons, by_judge, against, is_uncalibrated=is_uncalibrated)
    spec = question.spec
    correction = corrections.contrast(question.terms)
    gap = corrections.assumed_gap(found, question.terms, correction)
    return Answered(
        question,
        found if gap is None else with_error_gap(found, [term.weight for term in question.terms], gap),
        reasons,
        by_judge,
        against,
        shares=shares(evidence, design, validity, source, asked_of(spec)) if spec.share_of else None,
        order_range=order_range(evidence, design, validity, source, spec),
        pattern=pattern(evidence, design, validity, source, spec),
        correction=correction,
        is_uncalibrated=is_uncalibrated,
        error_gap=gap,
    )


def against_of(question: Question) -> dict[str, float]:
    """Return the weights of the contrast that a dominance claim is held against; empty for other claims."""
    against = (question.spec.model_extra or {}).get("against")
    return against if question.spec.test == "dominance" and isinstance(against, dict) else {}


def _for_judge(terms: Sequence[Term], judge: str) -> tuple[Term, ...]:
    return tuple(replace(term, source=replace(term.source, judge=judge)) for term in terms)
