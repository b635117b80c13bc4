"""The gates A and W that need no model: stages named, interactions, erosion, teachers, one checkpoint, shuffles."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from upbringing.validation.gates import Experiment, Gate
from upbringing.validation.planted import (
    EROSION,
    ONE_CAUSE,
    SAME_CHECKPOINT,
    SYNERGY,
    TEACHERS,
)
from upbringing.validation.process import LARGE, MEDIUM, Design
from upbringing.validation.thresholds import (
    COVERAGE,
    FALSE,
    MANY,
    NOISES,
)
from upbringing.validation.trials_attribute import AttributeTrial, SameCheckpointTrial, ShuffleTrial
from upbringing.validation.trials_contrast import ContrastTrial

AA_REPEATS = 400
AA_FALSE = 0.072  # 5% and two Monte Carlo errors of 400 repeats
THREE_SEEDS = Design(num_items=200, num_seeds=3)


def attribution_experiments() -> tuple[Experiment, ...]:
    """Return the experiments of tables A and W that need nothing but the estimators and ``attribute``."""
    return (*_stages(), *_interactions(), *_teachers(), *_controls())


def _stages() -> Iterable[Experiment]:
    for name, noise in NOISES.items():
        right = Gate(id="A3", claim="the stage that causes 0.32 is named", outcome="right_stage", at_least=0.98)
        for design in (MEDIUM, THREE_SEEDS):
            yield Experiment(
                name=f"one cause {name} {design.label}",
                trial=AttributeTrial(scenario=ONE_CAUSE.without_shares().with_noise(noise), design=design, contrast=1),
                route="attribute",
                gates=(right if design is MEDIUM else replace(right, must="inform"),),
                scenario=ONE_CAUSE,
                setting=f"{design.label}, {name} noise",
            )
        yield Experiment(
            name=f"erosion {name}",
            trial=AttributeTrial(scenario=EROSION.without_shares().with_noise(noise), design=MEDIUM, contrast=1),
            route="attribute",
            gates=(
                Gate(id="A5", claim="the eroding stage is called a fall", outcome="changed_down", at_least=0.95),
                replace(COVERAGE, id="A5", claim="the interval of the fall covers it"),
            ),
            scenario=EROSION,
            setting=f"{MEDIUM.label}, {name} noise",
        )


def _interactions() -> Iterable[Experiment]:
    for name, noise in NOISES.items():
        found = Gate(id="A4", claim="an interaction of 0.30 is found", outcome="changed", at_least=0.80)
        for design in (MEDIUM, THREE_SEEDS):
            yield Experiment(
                name=f"synergy {name} {design.label}",
                trial=ContrastTrial(scenario=SYNERGY.with_noise(noise), design=design),
                route="estimator",
                gates=(found if design is MEDIUM else replace(found, must="inform"),),
                scenario=SYNERGY,
                setting=f"{design.label}, {name} noise",
                replicates=MANY,
            )


def _teachers() -> Iterable[Experiment]:
    for name, noise in NOISES.items():
        yield Experiment(
            name=f"teachers {name}",
            trial=ContrastTrial(scenario=TEACHERS.with_noise(noise), design=MEDIUM),
            route="estimator",
            gates=(replace(COVERAGE, id="A10", claim="the interval of the teacher's effect covers it"),),
            scenario=TEACHERS,
            setting=f"{MEDIUM.label}, {name} noise",
            replicates=MANY,
        )


def _controls() -> Iterable[Experiment]:
    yield Experiment(
        name="same checkpoint",
        trial=SameCheckpointTrial(scenario=SAME_CHECKPOINT, num_items=200),
        route="attribute",
        gates=(
            Gate(id="W2", claim="one checkpoint, sampled twice, is called changed", outcome="changed",
                 at_most=AA_FALSE),
            Gate(id="W2", claim="greedy answers: the difference is exactly 0", outcome="greedy_difference",
                 at_most=0.0),
        ),
        scenario=SAME_CHECKPOINT,
        setting="N=200, S=1",
        replicates=AA_REPEATS,
    )  # fmt: skip
    yield Experiment(
        name="shuffle",
        trial=ShuffleTrial(scenario=ONE_CAUSE.without_shares(), design=LARGE),
        route="attribute",
        gates=(Gate(id="W3", claim="labels exchanged within runs: a stage is called changed", outcome="changed",
                    at_most=FALSE),),
        scenario=ONE_CAUSE,
        setting=LARGE.label,
        replicates=500,
    )  # fmt: skip
