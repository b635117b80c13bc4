"""The gates I1 to I4: intervals of one contrast, false attribution, errors over prompts only, families of tests."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from upbringing.validation.gates import Experiment, Gate
from upbringing.validation.planted import (
    BIMODAL,
    EFFECTIVE,
    FAILED_RUNS,
    HIDING,
    NULL,
    NULL_PATH,
    OUTLIER,
    UNEVEN_RUNS,
)
from upbringing.validation.process import HIGH, LARGE, MEDIUM, SMALL
from upbringing.validation.thresholds import (
    COVERAGE,
    FALSE,
    FALSE_ATTRIBUTION,
    MANY,
    NOISES,
    SMALL_COVERAGE,
    naive,
)
from upbringing.validation.trials_attribute import AttributeTrial, FamilyAttributeTrial
from upbringing.validation.trials_contrast import ContrastTrial, FamilyTrial, PromptsOnlyTrial

FAMILY_MEASURES = 6
FEW_SEEDS = {
    NULL.id: Gate(
        id="I8", claim="alike within 0.10 is shown at no change", outcome="alike", at_least=0.80, must="inform"
    ),
    EFFECTIVE.id: Gate(id="I1", claim="an effect of 0.26 is found", outcome="changed", at_least=0.80, must="inform"),
}


def inference_experiments() -> tuple[Experiment, ...]:
    """Return the experiments on single contrasts, families of them and errors over prompts only."""
    return (
        *_contrasts(),
        *_through_attribute(),
        *_other_runs(),
        *_prompts_only(),
        *_families(),
    )


def _contrasts() -> Iterable[Experiment]:
    for scenario in (NULL, EFFECTIVE):
        for name, noise in NOISES.items():
            for design in (SMALL, MEDIUM, LARGE):
                coverage = SMALL_COVERAGE if design is SMALL else COVERAGE
                more = (FALSE_ATTRIBUTION,) if scenario is NULL else ()
                few = (FEW_SEEDS[scenario.id],) if design is SMALL else ()
                yield Experiment(
                    name=f"contrast {scenario.title} {name} {design.label}",
                    trial=ContrastTrial(scenario=scenario.with_noise(noise), design=design),
                    route="estimator",
                    gates=(coverage, *more, *few),
                    scenario=scenario,
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
                scenario=scenario,
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
                scenario=scenario,
                setting=design.label,
                replicates=MANY,
            )
    yield Experiment(
        name="attribute hiding",
        trial=AttributeTrial(scenario=HIDING, design=MEDIUM),
        route="attribute",
        gates=(replace(COVERAGE, at_most=None), FALSE_ATTRIBUTION),
        scenario=HIDING,
        setting=MEDIUM.label,
    )
    yield Experiment(
        name="contrast hiding",
        trial=ContrastTrial(scenario=HIDING, design=MEDIUM),
        route="estimator",
        gates=(replace(FALSE_ATTRIBUTION, claim="naive: incoherent answers count as not harmful", must="fail"),),
        scenario=HIDING,
        setting=MEDIUM.label,
    )
    yield Experiment(
        name="attribute failed runs",
        trial=AttributeTrial(scenario=FAILED_RUNS, design=replace(MEDIUM, num_seeds=6), lists_lost=False),
        route="attribute",
        gates=(COVERAGE, FALSE_ATTRIBUTION),
        scenario=FAILED_RUNS,
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
                naive("I3", "error bars over prompts, one seed", "changed_one"),
                naive("I3", "error bars over prompts, seeds averaged", "changed_averaged"),
            ),
            scenario=NULL,
            setting=f"{design.label}, high noise",
            replicates=MANY,
        )  # fmt: skip


def _families() -> Iterable[Experiment]:
    familywise = Gate(id="I4", claim="any of 4 stages x 6 measures is called changed", outcome="any_changed",
                      at_most=FALSE)  # fmt: skip
    for name, noise in NOISES.items():
        scenario = NULL_PATH.without_shares().with_noise(noise)
        wrong = [naive("I4", "no correction for 24 tests", "any_uncorrected")]
        if noise == HIGH:
            wrong.append(naive("I4", "Holm on estimated degrees of freedom", "any_by_estimated_df"))
        yield Experiment(
            name=f"family {name}",
            trial=FamilyTrial(scenario=scenario, design=MEDIUM, num_measures=FAMILY_MEASURES),
            route="estimator",
            gates=(familywise, *wrong),
            scenario=scenario,
            setting=f"{MEDIUM.label}, {name} noise",
            replicates=2000,
        )
    yield Experiment(
        name="family attribute",
        trial=FamilyAttributeTrial(scenario=NULL_PATH.without_shares(), design=SMALL, num_measures=FAMILY_MEASURES),
        route="attribute",
        gates=(familywise,),
        scenario=NULL_PATH,
        setting=f"{SMALL.label}, low noise",
        replicates=400,
    )
