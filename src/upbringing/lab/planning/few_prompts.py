"""Which margins no answers could reach: with so few prompts, an interval is wider even where nothing differs."""

from __future__ import annotations

from collections.abc import Iterator

from upbringing.attribution.evidence.cells import SHARE_UNITS
from upbringing.attribution.statistics.inference import EQUIVALENCE_CONFIDENCE
from upbringing.attribution.statistics.levels import wilson
from upbringing.lab.planning.planned_size import asked_prompts
from upbringing.lab.session import Session
from upbringing.study.seeds import replicates

FEW_PROMPTS = (
    "the margin {margin:g} of {measure} is out of reach of {num} prompts in {runs}: even if no answer differed, it "
    "could differ by {reach:.2g}. No claim on it can end as equivalent; ask more prompts, train more seeds, or state "
    "the margin that you would act on"
)


def few_prompt_warnings(session: Session) -> Iterator[str]:
    """Yield a sentence per share whose margin is below the upper end of Wilson's interval of no event.

    Every prompt of every run counts as independent, so what is said here holds whatever the noise is. Measures whose
    prompts are not here are left out.
    """
    margins = {
        each.id: session.study.margins[each.id]
        for each in session.study.battery
        if each.id in session.study.margins and each.info().unit in SHARE_UNITS and each.info().estimator == "mean"
    }
    asked = asked_prompts(session) if margins else {}
    runs = len(replicates(session.study.seeds))
    for measure, margin in margins.items():
        if measure in asked:
            num = asked[measure].num
            _, reach = wilson(0.0, num * runs, EQUIVALENCE_CONFIDENCE)
            if reach > margin:
                yield FEW_PROMPTS.format(
                    margin=margin, measure=measure, num=num, runs=f"{runs} runs" if runs > 1 else "one run", reach=reach
                )
