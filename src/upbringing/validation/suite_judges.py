"""The gates M1 and M3: answers that are incoherent, judges that err, and labels that take their errors out."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from upbringing.validation.gates import Experiment, Gate
from upbringing.validation.planted import INCOHERENT_BASE, JUDGE_DRIFT, JUDGE_EFFECT, SAME_JUDGED
from upbringing.validation.process import MEDIUM
from upbringing.validation.thresholds import COVERAGE, FALSE_ATTRIBUTION, MANY
from upbringing.validation.trials_attribute import AttributeTrial
from upbringing.validation.trials_contrast import ContrastTrial
from upbringing.validation.trials_judges import CorrectedTrial, PredictionPoweredTrial

LABELS = 60  # of each checkpoint
FEW = 400  # studies of what leaves nothing to chance


def judge_experiments() -> tuple[Experiment, ...]:
    """Return the experiments on judges and coherence."""
    return (*_coherence(), *_believed(), *_corrected())


def _coherence() -> Iterable[Experiment]:
    yield Experiment(
        name="incoherent base",
        trial=AttributeTrial(scenario=INCOHERENT_BASE, design=MEDIUM),
        route="attribute",
        gates=(Gate(id="M1", claim="60% incoherent is not measurable", outcome="not_measurable", at_least=1.0),),
        scenario=INCOHERENT_BASE,
        setting=MEDIUM.label,
        replicates=FEW,
    )


def _believed() -> Iterable[Experiment]:
    yield Experiment(
        name="judge drift",
        trial=ContrastTrial(scenario=JUDGE_DRIFT, design=MEDIUM),
        route="estimator",
        gates=(
            Gate(id="M3", claim="the harness shows the fault of an uncorrected judge", outcome="changed", at_least=0.3),
            replace(FALSE_ATTRIBUTION, id="M3", claim="naive: the judge is believed", must="fail"),
        ),
        scenario=JUDGE_DRIFT,
        setting=MEDIUM.label,
        replicates=MANY,
    )


def _corrected() -> Iterable[Experiment]:
    covered = replace(COVERAGE, id="M3", claim="the corrected interval covers the truth")
    false = replace(FALSE_ATTRIBUTION, id="M3", claim="corrected: a null stage is called changed")
    for scenario in (JUDGE_DRIFT, JUDGE_EFFECT):
        yield Experiment(
            name=f"corrected {scenario.title}",
            trial=CorrectedTrial(scenario=scenario, design=MEDIUM, labels=LABELS),
            route="attribute",
            gates=(
                covered,
                Gate(id="M3", claim="labels correct the claim", outcome="is_corrected", at_least=1.0),
                *((false,) if scenario is JUDGE_DRIFT else ()),
            ),
            scenario=scenario,
            setting=f"{MEDIUM.label}, {LABELS} labels per checkpoint",
            replicates=500,
        )
    for form in ("included", "excluded"):
        yield Experiment(
            name=f"prediction-powered {form}",
            trial=PredictionPoweredTrial(scenario=SAME_JUDGED, num_items=400, labels=LABELS, form=form),
            route="estimator",
            gates=(replace(COVERAGE, id="M3", claim=f"difference by labels and verdicts (labelled {form}): covered"),),
            scenario=SAME_JUDGED,
            setting=f"N=400, S=1, {LABELS} labels",
            replicates=MANY,
        )
