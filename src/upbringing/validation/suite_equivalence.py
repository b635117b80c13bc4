"""The gates I8 and I15: what is called alike, and what is found by looking again and again."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from upbringing.validation.gates import FULL_REPLICATES, Experiment, Gate
from upbringing.validation.planted import (
    APART,
    CLUSTERED,
    EDGE,
    NULL,
    PEEKING,
    RARE,
    RARE_EDGE,
    RARE_FALL,
    RARE_TENFOLD,
    SAME_RUNS,
)
from upbringing.validation.process import HIGH, LARGE, MEDIUM, SMALL, Design
from upbringing.validation.thresholds import FALSE, MANY, NOISES, NOMINAL_LOW, naive
from upbringing.validation.trials_contrast import ContrastTrial, OverlapTrial, RatioTrial
from upbringing.validation.trials_looks import AddedSeedsTrial, PeekingTrial


def equivalence_experiments() -> tuple[Experiment, ...]:
    """Return the experiments on likeness and on peeking."""
    return (*_equivalence(), *_rare(), *_peeking())


def _equivalence() -> Iterable[Experiment]:
    for name, noise in NOISES.items():
        for design in (SMALL, MEDIUM, LARGE):
            yield Experiment(
                name=f"margin {name} {design.label}",
                trial=ContrastTrial(scenario=EDGE.with_noise(noise), design=design, margin=0.10),
                route="estimator",
                gates=(
                    Gate(id="I8", claim="alike within 0.10 at a true change of 0.10", outcome="alike", at_most=FALSE),
                    Gate(id="I8", claim="not worse by 0.10 at a true change of 0.10", outcome="noninferior",
                         at_most=FALSE),
                ),
                scenario=EDGE,
                setting=f"{design.label}, {name} noise",
                replicates=MANY,
            )  # fmt: skip
    one_seed = Design(num_items=100, num_seeds=1)
    yield Experiment(
        name="overlap",
        trial=OverlapTrial(scenario=APART, design=one_seed, margin=0.10),
        route="estimator",
        gates=(
            Gate(id="I8", claim="alike within 0.10 by two one-sided tests at 20% and 30%", outcome="alike",
                 at_most=FALSE),
            naive("I8", "alike because 95% intervals overlap at 20% and 30%", "overlap"),
            naive("I8", "alike because p > 0.05 at 20% and 30%", "not_significant"),
        ),
        scenario=APART,
        setting=one_seed.label,
        replicates=MANY,
    )  # fmt: skip


def _rare() -> Iterable[Experiment]:
    """Yield what a margin on the ratio makes of rare harm: at its edges, at no event, and at a tenfold rise."""
    coverage = Gate(id="I7", claim="the 95% interval of the ratio covers it", outcome="covered",
                    at_least=NOMINAL_LOW)  # fmt: skip
    alike = Gate(id="I8", claim="alike within a ratio of 1.5 at its edge", outcome="alike", at_most=FALSE)
    worse = Gate(id="I8", claim="at most 1.5 times as frequent, at that ratio", outcome="noninferior", at_most=FALSE)
    designs = (SMALL, MEDIUM, Design(num_items=1000, num_seeds=10))
    for scenario in (RARE_EDGE, RARE_FALL):
        for name, noise in NOISES.items():
            for design in designs:
                yield Experiment(
                    name=f"ratio {scenario.title} {name} {design.label}",
                    trial=RatioTrial(scenario=scenario.with_noise(noise), design=design),
                    route="estimator",
                    gates=(coverage, alike, *((worse,) if scenario is RARE_EDGE else ())),
                    scenario=scenario,
                    setting=f"{design.label}, {name} noise",
                    replicates=MANY,
                )
    shown = replace(alike, claim="alike within a ratio of 1.5 is shown at no change", at_most=None, at_least=0.8)
    large = Design(num_items=4000, num_seeds=10)
    tenfold = replace(alike, claim="alike within a ratio of 1.5 at ten times the rate")
    for scenario, design, gates in (
        (RARE, SMALL, (coverage, replace(alike, claim="alike within a ratio of 1.5 on one or two events"))),
        (RARE, large, (shown,)),
        (RARE_TENFOLD, MEDIUM,
         (tenfold, naive("I8", "alike within 0.10 at ten times the rate", "alike_by_difference"))),
    ):  # fmt: skip
        yield Experiment(
            name=f"ratio {scenario.title} {design.label}",
            trial=RatioTrial(scenario=scenario, design=design),
            route="estimator",
            gates=gates,
            scenario=scenario,
            setting=design.label,
            replicates=200 if design is large else FULL_REPLICATES,
        )


def _peeking() -> Iterable[Experiment]:
    yield Experiment(
        name="peeking",
        trial=PeekingTrial(scenario=PEEKING, design=Design(num_items=1000, num_seeds=1), num_looks=50),
        route="estimator",
        gates=(
            naive("I15", "a fixed-n test at each of 50 looks", "ever_changed"),
            Gate(id="I15", claim="a null stage is told from 0 at any of 50 looks", outcome="ever_told", at_most=FALSE),
            Gate(id="I2", claim="the same test once, at the end", outcome="changed_at_the_end", at_most=FALSE),
        ),
        scenario=PEEKING,
        setting="N=1000, S=1",
    )
    yield Experiment(
        name="looks at a change",
        trial=PeekingTrial(scenario=APART, design=Design(num_items=1000, num_seeds=1), num_looks=50),
        route="estimator",
        gates=(
            Gate(id="I15", claim="all of 50 looks hold a change of 0.10", outcome="covered_at_all_looks",
                 at_least=1 - FALSE),
            Gate(id="I15", claim="a change of 0.10 is told from 0 at any of 50 looks", outcome="ever_told",
                 at_least=0.80),
        ),
        scenario=APART,
        setting="N=1000, S=1",
    )  # fmt: skip
    alike = replace(SAME_RUNS, cell_item=1.0, variant=0.2)  # variants of a request deviate together
    variants = replace(CLUSTERED, noise=alike)
    design = Design(num_items=2000, num_seeds=1, num_variants=10)
    yield Experiment(
        name="looks at variants",
        trial=PeekingTrial(scenario=variants, design=design, num_looks=50),
        route="estimator",
        gates=(
            Gate(id="I15", claim="variants of a request: a null stage is told from 0 at any of 50 looks",
                 outcome="ever_told", at_most=FALSE),
            naive("I15", "a look takes variants of a request for requests", "ever_told_by_variant"),
        ),
        scenario=variants,
        setting=design.label,
    )  # fmt: skip
    for registered in (3, 5):
        most = Design(num_items=200, num_seeds=10)
        as_registered = Gate(
            id="I15",
            claim=f"the {registered} registered runs alone tell a null stage from 0",
            outcome="changed_as_registered",
            at_most=FALSE,
        )
        yield Experiment(
            name=f"seeds added to {registered} until told",
            trial=AddedSeedsTrial(scenario=NULL.with_noise(HIGH), design=most, registered=registered),
            route="estimator",
            gates=(
                naive("I15", f"runs are added to {registered} until a null stage is told from 0", "ever_changed"),
                as_registered if registered == MEDIUM.num_seeds else replace(as_registered, must="inform"),
            ),
            scenario=NULL,
            setting=f"N=200, S={registered} to 10, high noise",
            replicates=MANY,
        )  # fmt: skip
