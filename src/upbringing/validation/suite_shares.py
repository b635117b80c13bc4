"""The gates I12, I13 and A4 to A7: shares of a total, redundancy, synergy, erosion, scales and orders."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from upbringing.validation.gates import Experiment, Gate
from upbringing.validation.naive import BootstrapShareTrial
from upbringing.validation.planted import CEILING, EROSION, NULL_PATH, ORDER, REDUNDANCY, SPLIT, SYNERGY
from upbringing.validation.process import HIGH, LARGE, MEDIUM, Design
from upbringing.validation.scenarios import Scenario
from upbringing.validation.thresholds import COVERAGE, NOISES, NOMINAL_LOW
from upbringing.validation.trials_shares import ShareAttributeTrial, ShareTrial

RMSE = {("low", MEDIUM): 0.05, ("high", MEDIUM): 0.075, ("low", LARGE): 0.03, ("high", LARGE): 0.055}
HITS = {"low": 0.93, "high": 0.65}
THREE_SEEDS = Design(num_items=200, num_seeds=3)
NULL_TOTAL = replace(NULL_PATH, cells=NULL_PATH.cells[:3], contrasts=NULL_PATH.contrasts[:2])
NOTHING = replace(
    NULL_TOTAL,
    contrasts=tuple(
        replace(each, share_of=((NULL_TOTAL.cells[-1].name, 1.0), (NULL_TOTAL.cells[0].name, -1.0)))
        for each in NULL_TOTAL.contrasts
    ),
)
FEW = 300  # studies through ``attribute`` where each takes tens of milliseconds
SHARE_COVERAGE = replace(COVERAGE, id="I12", claim="70/30 split: the share's set covers 70%", outcome="share_covered")


def share_experiments() -> tuple[Experiment, ...]:
    """Return the experiments on shares and on what stages do together."""
    return (*_splits(), *_few_seeds(), *_nothing(), *_bootstrap(), *_together())


def _splits() -> Iterable[Experiment]:
    bias = Gate(id="I12", claim="70/30 split: bias of the share", outcome="share_error", statistic="bias", at_most=0.02)
    for name, noise in NOISES.items():
        for design in (MEDIUM, LARGE):
            error = Gate(
                id="I12",
                claim="70/30 split: root mean square error of the share",
                outcome="share_error",
                statistic="rmse",
                at_most=RMSE[name, design],
            )
            hits = Gate(id="I12", claim="70/30 split: share within 0.05", outcome="share_hit", at_least=HITS[name])
            gates = (SHARE_COVERAGE, bias, error, hits) if design is LARGE else (SHARE_COVERAGE, bias, error)
            yield _estimated(SPLIT.with_noise(noise), design, name, gates)
    yield Experiment(
        name="share attribute",
        trial=ShareAttributeTrial(scenario=SPLIT, design=MEDIUM),
        route="attribute",
        gates=(SHARE_COVERAGE,),
        scenario=SPLIT,
        setting=f"{MEDIUM.label}, low noise",
        replicates=FEW,
    )


def _estimated(scenario: Scenario, design: Design, noise: str, gates: tuple[Gate, ...]) -> Experiment:
    return Experiment(
        name=f"share {scenario.title} {noise} {design.label}",
        trial=ShareTrial(scenario=scenario, design=design),
        route="estimator",
        gates=gates,
        scenario=scenario,
        setting=f"{design.label}, {noise} noise",
        replicates=2000,
    )


def _few_seeds() -> Iterable[Experiment]:
    for name, noise in NOISES.items():
        error = Gate(
            id="I12",
            claim="70/30 split: root mean square error of the share",
            outcome="share_error",
            statistic="rmse",
            at_most=RMSE[name, MEDIUM],
            must="inform",
        )
        yield _estimated(SPLIT.with_noise(noise), THREE_SEEDS, name, (error,))


def _nothing() -> Iterable[Experiment]:
    printed = Gate(id="I13", claim="total effect 0: a share is printed", outcome="printed", at_most=0.05)
    for name, noise in NOISES.items():
        yield _estimated(NOTHING.with_noise(noise), MEDIUM, name, (printed,))
    undefined = Gate(
        id="I13", claim="a share without bounds is not printed, and why is said", outcome="says_undefined", at_least=1.0
    )
    yield Experiment(
        name="share of nothing attribute",
        trial=ShareAttributeTrial(scenario=NOTHING, design=MEDIUM),
        route="attribute",
        gates=(printed, undefined),
        scenario=NOTHING,
        setting=f"{MEDIUM.label}, low noise",
        replicates=FEW,
    )


def _bootstrap() -> Iterable[Experiment]:
    wrong = Gate(
        id="I12", claim="naive: percentile bootstrap of the share", outcome="covered", at_least=NOMINAL_LOW, must="fail"
    )
    design = replace(MEDIUM, num_seeds=2)  # with three seeds it covers some 92%, too near to 93% for a gate
    yield Experiment(
        name="bootstrap share 2",
        trial=BootstrapShareTrial(scenario=SPLIT.with_noise(HIGH), design=design),
        route="estimator",
        gates=(wrong,),
        scenario=SPLIT,
        setting=f"{design.label}, high noise",
        replicates=2000,
    )
    yield Experiment(
        name="bootstrap share of nothing",
        trial=BootstrapShareTrial(scenario=NOTHING, design=MEDIUM),
        route="estimator",
        gates=(Gate(id="I13", claim="naive: a share is always printed", outcome="printed", at_most=0.05, must="fail"),),
        scenario=NOTHING,
        setting=f"{MEDIUM.label}, low noise",
        replicates=FEW,
    )


def _together() -> Iterable[Experiment]:
    asked: tuple[tuple[Scenario, tuple[tuple[str, str, str, float], ...]], ...] = (
        (REDUNDANCY, (("A4", "either stage suffices: called overdetermined", "overdetermined", 0.80),)),
        (SYNERGY, (("A4", "neither stage alone: said to need the other", "needs_others", 0.80),)),
        (
            EROSION,
            (
                ("A5", "the eroding stage has a negative share", "negative_share", 0.95),
                ("A5", "the other's share is above 100%, unclipped", "above_one", 0.95),
            ),
        ),
        (
            CEILING,
            (
                ("A6", "both scales stand side by side", "both_scales", 1.0),
                ("A6", "flagged exactly where the stages' ranking differs", "scale_flag_right", 1.0),
            ),
        ),
        (ORDER, (("A7", "the range over orders holds both path values", "order_range_right", 1.0),)),
    )
    for scenario, claims in asked:
        gates = tuple(
            Gate(id=gate, claim=claim, outcome=outcome, at_least=least) for gate, claim, outcome, least in claims
        )
        yield Experiment(
            name=f"together {scenario.id}",
            trial=ShareAttributeTrial(scenario=scenario, design=MEDIUM),
            route="attribute",
            gates=gates,
            scenario=scenario,
            setting=f"{MEDIUM.label}, low noise",
            replicates=FEW,
        )
