"""The gates I8 and I14 on the planner: power as planned, standard errors as predicted."""

from __future__ import annotations

from collections.abc import Iterable

from upbringing.attribution.power.power import Goal
from upbringing.validation.gates import Experiment, Gate
from upbringing.validation.planted import EFFECTIVE, NULL
from upbringing.validation.process import LARGE, MEDIUM, SMALL, Design
from upbringing.validation.thresholds import MANY, NOISES
from upbringing.validation.trials_power import PilotTrial, PlannedTrial

CLOSE = 0.05  # of power: five points
LIKENESS = Goal(test="equivalence", margin=0.10)
CHANGE = Goal(test="difference", margin=0.26)


def power_experiments() -> tuple[Experiment, ...]:
    """Return the experiments on the planner."""
    return (*_planned(), *_pilots())


def _planned() -> Iterable[Experiment]:
    for name, noise in NOISES.items():
        for design in (SMALL, MEDIUM, LARGE):
            for goal, scenario, what in (
                (LIKENESS, NULL, "power of 'alike within 0.10' at no change"),
                (CHANGE, EFFECTIVE, "power to find 0.26"),
            ):
                gate = Gate(
                    id="I8",
                    claim=f"{what}: simulated and planned differ by",
                    outcome="surplus",
                    statistic="bias",
                    at_most=CLOSE,
                )
                yield Experiment(
                    name=f"planned {goal.test} {name} {design.label}",
                    trial=PlannedTrial(scenario=scenario.with_noise(noise), design=design, goal=goal),
                    route="estimator",
                    gates=(gate,),
                    scenario=scenario,
                    setting=f"{design.label}, {name} noise",
                    replicates=MANY,
                )


def _pilots() -> Iterable[Experiment]:
    gate = Gate(
        id="I14",
        claim="standard error predicted by pilots (N=200, S=10), over the true one",
        outcome="predicted",
        statistic="ratio",
        against="study_error",
        at_least=0.90,
        at_most=1.10,
    )
    for name, noise in NOISES.items():
        for design in (MEDIUM, LARGE):
            yield Experiment(
                name=f"pilot {name} {design.label}",
                trial=PilotTrial(
                    scenario=NULL.with_noise(noise), pilot=Design(num_items=200, num_seeds=10), design=design
                ),
                route="estimator",
                gates=(gate,),
                scenario=NULL,
                setting=f"{design.label}, {name} noise",
                replicates=MANY,
            )
