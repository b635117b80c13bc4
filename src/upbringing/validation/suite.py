"""The whole suite, and what it cannot run."""

from __future__ import annotations

from upbringing.validation.gates import Experiment, Result
from upbringing.validation.planted import CEILING, EROSION, ORDER, REDUNDANCY, SPLIT
from upbringing.validation.process import MEDIUM
from upbringing.validation.suite_attribution import attribution_experiments
from upbringing.validation.suite_equivalence import equivalence_experiments
from upbringing.validation.suite_inference import inference_experiments
from upbringing.validation.suite_judges import judge_experiments
from upbringing.validation.suite_outside import outside_experiments
from upbringing.validation.suite_power import power_experiments
from upbringing.validation.suite_shares import share_experiments
from upbringing.validation.suite_units import unit_experiments
from upbringing.validation.trials_contrast import ContrastTrial


def experiments() -> tuple[Experiment, ...]:
    """Return every experiment of the suite, in the order of its tables."""
    return (
        *inference_experiments(),
        *unit_experiments(),
        *equivalence_experiments(),
        *share_experiments(),
        *attribution_experiments(),
        *judge_experiments(),
        *power_experiments(),
        *outside_experiments(),
        *_unjudged(),
    )


def _unjudged() -> tuple[Experiment, ...]:
    """Return the scenarios that no gate asks the estimator about, for their performance alone."""
    return tuple(
        Experiment(
            name=f"performance {scenario.id}",
            trial=ContrastTrial(scenario=scenario, design=MEDIUM),
            route="estimator",
            gates=(),
            scenario=scenario,
            setting=f"{MEDIUM.label}, low noise",
        )
        for scenario in (SPLIT, REDUNDANCY, EROSION, CEILING, ORDER)
    )


def not_run() -> tuple[Result, ...]:
    """Return the gates of tables I, A and W that this suite cannot run, each with the reason."""
    return tuple(
        Result(id=name, claim=claim, scenario="-", setting="-", route=None, bound="-", status="not run", note=reason)
        for name, claim, reason in NOT_RUN
    )


NOT_RUN = (
    (
        "A11",
        "confounds are warned of when a study is checked",
        "a matter of study files, which this suite stands below and may not read: `tests/study/test_checks.py` (steps, "
        "supervised tokens), `tests/lab/test_plan.py` (teachers, templates, leaked prompts) and "
        "`tests/lab/test_leaks.py` plan such studies and expect each warning",
    ),
    ("W1", "planted canary in tiny models", "trains models: `make validate-models` writes `validation-models.md`"),
)
