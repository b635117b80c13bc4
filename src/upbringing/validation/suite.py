"""The whole suite, and what it cannot run."""

from __future__ import annotations

from upbringing.validation.gates import Experiment, Result
from upbringing.validation.suite_attribution import attribution_experiments
from upbringing.validation.suite_equivalence import equivalence_experiments
from upbringing.validation.suite_inference import inference_experiments
from upbringing.validation.suite_judges import judge_experiments
from upbringing.validation.suite_shares import share_experiments
from upbringing.validation.suite_units import unit_experiments


def experiments() -> tuple[Experiment, ...]:
    """Return every experiment of the suite, in the order of its tables."""
    return (
        *inference_experiments(),
        *unit_experiments(),
        *equivalence_experiments(),
        *share_experiments(),
        *attribution_experiments(),
        *judge_experiments(),
    )


def not_run() -> tuple[Result, ...]:
    """Return the gates of tables I and A that this suite cannot run, each with the reason."""
    return ()
