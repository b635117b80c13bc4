"""The gates I5 to I7: runs that share a pretraining run, prompts that share a request, events that are rare."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from upbringing.validation.gates import Experiment, Gate
from upbringing.validation.planted import BRANCHED, CLUSTERED, RARE, SHARED_ROOT
from upbringing.validation.process import MEDIUM, SMALL, Design
from upbringing.validation.thresholds import COVERAGE, MANY, NOMINAL_LOW
from upbringing.validation.trials_attribute import AttributeTrial
from upbringing.validation.trials_contrast import LevelTrial, SplitPlotTrial

NO_EVENT = (  # never seen where 1,000 answers of one cell are scored
    Gate(id="I7", claim="no event: the bound is that of the prompts", outcome="bounded_by_prompts", at_least=1.0),
    Gate(
        id="I7",
        claim="naive: a t interval for rare events",
        outcome="covered_crossed",
        at_least=NOMINAL_LOW,
        must="fail",
    ),
)


def unit_experiments() -> tuple[Experiment, ...]:
    """Return the experiments on what is independent of what."""
    return (*_split_plots(), *_levels())


def _split_plots() -> Iterable[Experiment]:
    nested = Design(num_items=200, num_seeds=5, num_branches=2)
    covered = replace(COVERAGE, id="I5", claim="pretraining runs as units: the 95% interval covers the truth")
    wrong = Gate(id="I5", claim="naive: every run is a unit", outcome="covered_every_run", at_least=NOMINAL_LOW,
                 must="fail")  # fmt: skip
    for design in (nested, replace(nested, num_seeds=1, num_branches=5), replace(nested, num_seeds=1, num_branches=10)):
        yield Experiment(
            name=f"split-plot {design.label}",
            trial=SplitPlotTrial(scenario=SHARED_ROOT, design=design),
            route="estimator",
            gates=(covered, wrong) if design is nested else (wrong,),
            scenario=SHARED_ROOT,
            setting=design.label,
            replicates=MANY,
        )
    yield Experiment(
        name="split-plot attribute",
        trial=AttributeTrial(scenario=SHARED_ROOT, design=nested),
        route="attribute",
        gates=(covered,),
        scenario=SHARED_ROOT,
        setting=nested.label,
    )
    branches = replace(nested, num_seeds=1, num_branches=5)
    yield Experiment(
        name="split-plot one run attribute",
        trial=AttributeTrial(scenario=BRANCHED, design=branches),
        route="attribute",
        gates=(replace(covered, claim="branches of one run as units: the 95% interval covers what holds given it"),),
        scenario=BRANCHED,
        setting=branches.label,
    )


def _levels() -> Iterable[Experiment]:
    variants = replace(MEDIUM, num_variants=10)
    ignoring = Gate(
        id="I6",
        claim="the harness shows the fault of ignoring clusters",
        outcome="covered_without_clusters",
        at_most=0.85,
    )
    yield Experiment(
        name="level clustered",
        trial=LevelTrial(scenario=CLUSTERED, design=variants),
        route="estimator",
        gates=(
            replace(COVERAGE, id="I6", claim="variants of 20 requests: the rate's interval covers it"),
            ignoring,
            replace(ignoring, claim="naive: variants are prompts", at_least=NOMINAL_LOW, at_most=None, must="fail"),
        ),
        scenario=CLUSTERED,
        setting=variants.label,
        replicates=MANY,
    )
    yield Experiment(
        name="level clustered attribute",
        trial=AttributeTrial(scenario=CLUSTERED, design=variants),
        route="attribute",
        gates=(replace(COVERAGE, id="I6", outcome="levels_covered", claim="variants: the rate's interval covers it"),),
        scenario=CLUSTERED,
        setting=variants.label,
    )
    for design in (SMALL, MEDIUM):
        yield Experiment(
            name=f"level rare {design.label}",
            trial=LevelTrial(scenario=RARE, design=design),
            route="estimator",
            gates=(
                replace(COVERAGE, id="I7", claim="a rate of 0.5%: the interval covers it", at_most=None),
                Gate(id="I7", claim="the interval has a width", outcome="has_width", at_least=1.0),
                *(NO_EVENT if design is SMALL else ()),
            ),
            scenario=RARE,
            setting=design.label,
            replicates=MANY,
        )  # fmt: skip
