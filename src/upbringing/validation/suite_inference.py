"""The gates I: intervals, false attribution, families, nested runs, clusters, rare events, equivalence, one seed."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from upbringing.validation.gates import Experiment, Gate
from upbringing.validation.planted import (
    APART,
    BIMODAL,
    CLUSTERED,
    EDGE,
    EFFECTIVE,
    FAILED_RUNS,
    HIDING,
    NULL,
    NULL_PATH,
    OUTLIER,
    PEEKING,
    RARE,
    SHARED_ROOT,
    UNEVEN_RUNS,
)
from upbringing.validation.process import HIGH, LARGE, LOW, MEDIUM, SMALL, Design
from upbringing.validation.trials_attribute import AttributeTrial, FamilyAttributeTrial
from upbringing.validation.trials_contrast import (
    ContrastTrial,
    FamilyTrial,
    LevelTrial,
    OverlapTrial,
    PeekingTrial,
    PromptsOnlyTrial,
    SplitPlotTrial,
)

NOMINAL_LOW, NOMINAL_HIGH, SMALL_LOW = 0.93, 0.97, 0.92
FALSE = 0.064  # 5% and two Monte Carlo errors of 1,000 studies
MANY = 4000  # studies where the estimators are called directly
NOISES = {"low": LOW, "high": HIGH}
FAMILY_MEASURES = 6

COVERAGE = Gate(
    id="I1", claim="the 95% interval covers the truth", outcome="covered", at_least=NOMINAL_LOW, at_most=NOMINAL_HIGH
)
SMALL_COVERAGE = replace(COVERAGE, at_least=SMALL_LOW, at_most=None)
FALSE_ATTRIBUTION = Gate(id="I2", claim="a null stage is called changed", outcome="changed", at_most=FALSE)


def inference_experiments() -> tuple[Experiment, ...]:
    """Return the experiments of table I that need nothing but the estimators and ``attribute``."""
    return (
        *_contrasts(),
        *_through_attribute(),
        *_other_runs(),
        *_prompts_only(),
        *_families(),
        *_split_plots(),
        *_levels(),
        *_equivalence(),
        *_peeking(),
    )


def _contrasts() -> Iterable[Experiment]:
    for scenario in (NULL, EFFECTIVE):
        for name, noise in NOISES.items():
            for design in (SMALL, MEDIUM, LARGE):
                coverage = SMALL_COVERAGE if design is SMALL else COVERAGE
                power = Gate(
                    id="I1", claim="an effect of 0.26 is found", outcome="changed", at_least=0.80, must="inform"
                )
                more = (FALSE_ATTRIBUTION,) if scenario is NULL else ((power,) if design is SMALL else ())
                yield Experiment(
                    name=f"contrast {scenario.title} {name} {design.label}",
                    trial=ContrastTrial(scenario=scenario.with_noise(noise), design=design),
                    route="estimator",
                    gates=(coverage, *more),
                    scenario=scenario.id,
                    setting=f"{design.label}, {name} noise",
                    replicates=MANY,
                )


def _through_attribute() -> Iterable[Experiment]:
    for scenario in (NULL, EFFECTIVE):
        for name, noise in NOISES.items():
            levels = replace(COVERAGE, claim="levels: the 95% interval covers the rate", outcome="levels_covered")
            yield Experiment(
                name=f"attribute {scenario.title} {name}",
                trial=AttributeTrial(scenario=scenario.with_noise(noise), design=MEDIUM),
                route="attribute",
                gates=(COVERAGE, levels, *((FALSE_ATTRIBUTION,) if scenario is NULL else ())),
                scenario=scenario.id,
                setting=f"{MEDIUM.label}, {name} noise",
            )


def _other_runs() -> Iterable[Experiment]:
    """Yield what the reference sets no thresholds for: those of I1 and I2 are asked of it too."""
    for scenario in (OUTLIER, UNEVEN_RUNS, BIMODAL):
        for design in (SMALL, MEDIUM):
            yield Experiment(
                name=f"contrast {scenario.title} {design.label}",
                trial=ContrastTrial(scenario=scenario, design=design),
                route="estimator",
                gates=(SMALL_COVERAGE if design is SMALL else COVERAGE, FALSE_ATTRIBUTION),
                scenario=scenario.id,
                setting=design.label,
                replicates=MANY,
            )
    yield Experiment(
        name="attribute hiding",
        trial=AttributeTrial(scenario=HIDING, design=MEDIUM),
        route="attribute",
        gates=(replace(COVERAGE, at_most=None), FALSE_ATTRIBUTION),
        scenario=HIDING.id,
        setting=MEDIUM.label,
    )
    yield Experiment(
        name="contrast hiding",
        trial=ContrastTrial(scenario=HIDING, design=MEDIUM),
        route="estimator",
        gates=(replace(FALSE_ATTRIBUTION, claim="naive: incoherent answers count as not harmful", must="fail"),),
        scenario=HIDING.id,
        setting=MEDIUM.label,
    )
    yield Experiment(
        name="attribute failed runs",
        trial=AttributeTrial(scenario=FAILED_RUNS, design=replace(MEDIUM, num_seeds=6), lists_lost=False),
        route="attribute",
        gates=(COVERAGE, FALSE_ATTRIBUTION),
        scenario=FAILED_RUNS.id,
        setting="N=200, S=6 of which some failed",
    )


def _prompts_only() -> Iterable[Experiment]:
    for design in (SMALL, MEDIUM):
        yield Experiment(
            name=f"prompts only {design.label}",
            trial=PromptsOnlyTrial(scenario=NULL.with_noise(HIGH), design=design),
            route="estimator",
            gates=(
                Gate(id="I3", claim="the harness shows the fault of prompt-only errors", outcome="changed_one",
                     at_least=0.25),
                _naive("I3", "naive: error bars over prompts, one seed", "changed_one"),
                _naive("I3", "naive: error bars over prompts, seeds averaged", "changed_averaged"),
            ),
            scenario=NULL.id,
            setting=f"{design.label}, high noise",
            replicates=MANY,
        )  # fmt: skip


def _families() -> Iterable[Experiment]:
    familywise = Gate(id="I4", claim="any of 4 stages x 6 measures is called changed", outcome="any_changed",
                      at_most=FALSE)  # fmt: skip
    for name, noise in NOISES.items():
        scenario = NULL_PATH.with_noise(noise)
        naive = _naive("I4", "naive: no correction for 24 tests", "any_uncorrected")
        yield Experiment(
            name=f"family {name}",
            trial=FamilyTrial(scenario=scenario, design=MEDIUM, num_measures=FAMILY_MEASURES),
            route="estimator",
            gates=(familywise, naive),
            scenario=scenario.id,
            setting=f"{MEDIUM.label}, {name} noise",
            replicates=2000,
        )
    yield Experiment(
        name="family attribute",
        trial=FamilyAttributeTrial(scenario=NULL_PATH, design=SMALL, num_measures=FAMILY_MEASURES),
        route="attribute",
        gates=(familywise,),
        scenario=NULL_PATH.id,
        setting=f"{SMALL.label}, low noise",
    )


def _split_plots() -> Iterable[Experiment]:
    nested = Design(num_items=200, num_seeds=5, num_branches=2)
    covered = replace(COVERAGE, id="I5", claim="pretraining runs as units: the 95% interval covers the truth")
    naive = Gate(id="I5", claim="naive: every run is a unit", outcome="covered_every_run", at_least=NOMINAL_LOW,
                 must="fail")  # fmt: skip
    for design in (nested, replace(nested, num_seeds=1, num_branches=5), replace(nested, num_seeds=1, num_branches=10)):
        yield Experiment(
            name=f"split-plot {design.label}",
            trial=SplitPlotTrial(scenario=SHARED_ROOT, design=design),
            route="estimator",
            gates=(covered, naive) if design is nested else (naive,),
            scenario=SHARED_ROOT.id,
            setting=design.label,
            replicates=MANY,
        )
    yield Experiment(
        name="split-plot attribute",
        trial=AttributeTrial(scenario=SHARED_ROOT, design=nested),
        route="attribute",
        gates=(covered,),
        scenario=SHARED_ROOT.id,
        setting=nested.label,
    )


def _levels() -> Iterable[Experiment]:
    variants = replace(MEDIUM, num_variants=10)
    ignoring = {"outcome": "covered_without_clusters"}
    yield Experiment(
        name="level clustered",
        trial=LevelTrial(scenario=CLUSTERED, design=variants),
        route="estimator",
        gates=(
            replace(COVERAGE, id="I6", claim="variants of 20 requests: the rate's interval covers it"),
            Gate(id="I6", claim="the harness shows the fault of ignoring clusters", at_most=0.85, **ignoring),
            Gate(id="I6", claim="naive: variants are prompts", at_least=NOMINAL_LOW, must="fail", **ignoring),
        ),
        scenario=CLUSTERED.id,
        setting=variants.label,
        replicates=MANY,
    )
    yield Experiment(
        name="level clustered attribute",
        trial=AttributeTrial(scenario=CLUSTERED, design=variants),
        route="attribute",
        gates=(replace(COVERAGE, id="I6", outcome="levels_covered", claim="variants: the rate's interval covers it"),),
        scenario=CLUSTERED.id,
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
            scenario=RARE.id,
            setting=design.label,
            replicates=MANY,
        )  # fmt: skip


NO_EVENT = (  # never seen where 1,000 answers of one cell are scored
    Gate(
        id="I7", claim="no event: the bound is that of the prompts", outcome="bounded_by_prompts", at_least=1.0
    ),
    Gate(
        id="I7", claim="naive: a t interval for rare events", outcome="covered_crossed", at_least=NOMINAL_LOW, must="fail"
    ),
)


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
                scenario=EDGE.id,
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
            _naive("I8", "naive: alike because 95% intervals overlap at 20% and 30%", "overlap"),
            _naive("I8", "naive: alike because p > 0.05 at 20% and 30%", "not_significant"),
        ),
        scenario=APART.id,
        setting=one_seed.label,
        replicates=MANY,
    )  # fmt: skip


def _peeking() -> Iterable[Experiment]:
    yield Experiment(
        name="peeking",
        trial=PeekingTrial(scenario=PEEKING, design=Design(num_items=1000, num_seeds=1), num_looks=50),
        route="estimator",
        gates=(
            _naive("I15", "naive: a fixed-n test at each of 50 looks", "ever_changed"),
            Gate(id="I2", claim="the same test once, at the end", outcome="changed_at_the_end", at_most=FALSE),
        ),
        scenario=PEEKING.id,
        setting="N=1000, S=1",
    )


def _naive(name: str, claim: str, outcome: str) -> Gate:
    """Return the gate that a naive analysis has to fail: false findings in at most 6.4% of studies."""
    return Gate(id=name, claim=claim, outcome=outcome, at_most=FALSE, must="fail")


