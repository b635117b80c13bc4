"""The gates O: acceptance on studies of other kinds, and on studies that lack runs, arms or labels."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from upbringing.validation.gates import Experiment, Gate
from upbringing.validation.outside import KINDS, OutsideTrial
from upbringing.validation.planted import EFFECTIVE, EVEN_JUDGE, FAILED_RUNS, JUDGE_DRIFT, JUDGE_DRIFT_WHERE_MUCH_HARMS
from upbringing.validation.process import MEDIUM
from upbringing.validation.thresholds import FALSE
from upbringing.validation.trials_attribute import AttributeTrial
from upbringing.validation.trials_judges import UncalibratedTrial

RIGHT = Gate(id="O1", claim="decidable effects are called changed, with the right sign", outcome="right", at_least=0.95)
WRONG = Gate(id="O2", claim="null stages are called changed", outcome="false", at_most=FALSE)
ALIKE = Gate(id="O3", claim="effects beyond the margin are called alike", outcome="called_alike", at_most=FALSE)
REPLICATES = 1000  # of which half are null
FEW = 200  # studies of what leaves nothing to chance


def outside_experiments() -> tuple[Experiment, ...]:
    """Return the experiments of acceptance from outside."""
    return (*_kinds(), *_lacking())


def _kinds() -> Iterable[Experiment]:
    for kind in KINDS:
        yield Experiment(
            name=f"outside {kind.name}",
            trial=OutsideTrial(kind=kind),
            route="attribute",
            gates=(RIGHT, WRONG, ALIKE),
            scenario=kind.scenario(0.30, 0.20, 0.25),
            setting=kind.name,
            replicates=REPLICATES,
        )


def _lacking() -> Iterable[Experiment]:
    """Yield studies from which something is missing: then nothing is decided about the recipe."""
    for num_seeds in (1, 2):
        design = replace(MEDIUM, num_seeds=num_seeds)
        yield Experiment(
            name=f"lacking seeds {num_seeds}",
            trial=AttributeTrial(scenario=EFFECTIVE, design=design),
            route="attribute",
            gates=(Gate(id="O4", claim="too few seeds: claims of the recipe", outcome="is_recipe", at_most=0.0),),
            scenario=EFFECTIVE,
            setting=design.label,
            replicates=FEW,
        )
    everything_lost = replace(FAILED_RUNS, lost=0.5)
    yield Experiment(
        name="lacking runs",
        trial=AttributeTrial(scenario=everything_lost, design=MEDIUM),
        route="attribute",
        gates=(Gate(id="O4", claim="runs are missing: not measurable", outcome="not_measurable", at_least=0.99),),
        scenario=FAILED_RUNS,
        setting="half of all runs failed",
        replicates=FEW,
    )
    yield Experiment(
        name="lacking labels",
        trial=UncalibratedTrial(scenario=JUDGE_DRIFT, design=MEDIUM),
        route="attribute",
        gates=(
            Gate(
                id="O4", claim="no labels calibrate a language model that judges: said so", outcome="said", at_least=1.0
            ),
            Gate(
                id="O4",
                claim="no labels calibrate a language model that judges: undecided",
                outcome="undecided",
                at_least=1.0,
            ),
        ),
        scenario=JUDGE_DRIFT,
        setting=MEDIUM.label,
        replicates=FEW,
    )
    yield from _unchecked_rules()


def _unchecked_rules() -> Iterable[Experiment]:
    """Yield studies of a rule whose errors no labels show: nulls on which they drift, and a large change."""
    drift = Gate(
        id="O5",
        claim="a rule that no labels check errs more on one cell: a null stage called changed",
        outcome="changed",
        at_most=FALSE,
    )
    found = Gate(
        id="O5", claim="a rule that no labels check: a large change is found", outcome="changed", at_least=0.95
    )
    for scenario, gate in ((JUDGE_DRIFT, drift), (JUDGE_DRIFT_WHERE_MUCH_HARMS, drift), (EVEN_JUDGE, found)):
        yield Experiment(
            name=f"unchecked rule: {scenario.title}",
            trial=UncalibratedTrial(scenario=scenario, design=MEDIUM, kind="rule"),
            route="attribute",
            gates=(gate,),
            scenario=scenario,
            setting=MEDIUM.label,
            replicates=FEW,
        )
