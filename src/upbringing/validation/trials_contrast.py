"""Trials of one contrast: through attribution's estimators, and what naive analyses make of the same studies."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from upbringing.attribution.evidence.pivot import Matrix, mean_of_rows
from upbringing.attribution.statistics.crossed import crossed_inference, prompts_inference
from upbringing.attribution.statistics.equivalence import (
    equivalence_radius,
    excludes_zero,
    four_way_verdict,
    is_equivalent,
    noninferior,
)
from upbringing.attribution.statistics.far_tail import far_p
from upbringing.attribution.statistics.inference import CONFIDENCE, Inference
from upbringing.attribution.statistics.levels import RateCounts, rate_inference, wilson
from upbringing.attribution.statistics.multiplicity import PRIMARY_LEVEL, holm
from upbringing.attribution.statistics.risk_ratio import Rates, risk_ratio
from upbringing.validation.drawing import draw
from upbringing.validation.process import Design
from upbringing.validation.scenarios import Scenario

ALIKE = ("equivalent", "negligible")
NAN = float("nan")


@dataclass(frozen=True, kw_only=True)
class ContrastTrial:
    """A contrast of a scenario at recipe level: prompts crossed with runs."""

    scenario: Scenario
    design: Design
    contrast: int = 0
    margin: float = 0.10

    def __call__(self, random: np.random.Generator) -> Mapping[str, float]:
        """Return the outcomes of one study."""
        planted = self.scenario.contrasts[self.contrast]
        drawn = draw(self.scenario, self.design, random)
        found = crossed_inference(drawn.table(planted.weights))
        return contrast_outcomes(found, self.scenario.truth(planted), self.margin)


def contrast_outcomes(found: Inference, truth: float, margin: float) -> dict[str, float]:
    """Return what an inference says of a contrast whose true value is ``truth``."""
    changed = excludes_zero(found) and is_significant(found)
    verdict = four_way_verdict(found, margin, significant=is_significant(found))
    below = noninferior(found, margin, lower_is_better=True)
    return {
        "estimate": found.estimate,
        "error": found.estimate - truth,
        "standard_error": NAN if found.standard_error is None else found.standard_error,
        "covered": float(covers(found, truth)),
        "changed": float(changed),
        "alike": float(verdict in ALIKE),
        "noninferior": float(below == "yes"),
        "wrong_sign": float(found.estimate * truth < 0) if changed and truth else NAN,
        "exaggeration": abs(found.estimate / truth) if changed and truth else NAN,
        "width": NAN if found.half_width is None else 2 * found.half_width,
        "radius": NAN if (radius := equivalence_radius(found)) is None else radius,
    }


def covers(found: Inference, truth: float) -> bool:
    """Return whether the 95% interval holds ``truth``; an inference without an interval covers nothing."""
    return found.low is not None and found.high is not None and found.low <= truth <= found.high


def is_significant(found: Inference) -> bool:
    """Return whether the two-sided 5% test rejects zero."""
    return found.p is not None and found.p <= 1 - CONFIDENCE


@dataclass(frozen=True, kw_only=True)
class PromptsOnlyTrial:
    """The naive analysis that takes prompts for all that varies: of one run, and of all runs averaged."""

    scenario: Scenario
    design: Design

    def __call__(self, random: np.random.Generator) -> Mapping[str, float]:
        """Return the outcomes of one study."""
        planted = self.scenario.contrasts[0]
        table = draw(self.scenario, self.design, random).table(planted.weights)
        truth = self.scenario.truth(planted)
        found = {"one": prompts_inference(table[0]), "averaged": prompts_inference(table.mean(axis=0))}
        outcomes = {f"covered_{name}": float(covers(each, truth)) for name, each in found.items()}
        return outcomes | {f"changed_{name}": float(is_significant(each)) for name, each in found.items()}


@dataclass(frozen=True, kw_only=True)
class SplitPlotTrial:
    """Runs that branch off shared pretraining runs: with those as units, and naively with every run as one."""

    scenario: Scenario
    design: Design

    def __call__(self, random: np.random.Generator) -> Mapping[str, float]:
        """Return the outcomes of one study."""
        planted = self.scenario.contrasts[0]
        drawn = draw(self.scenario, self.design, random)
        truth = self.scenario.truth(planted)
        every = crossed_inference(drawn.contrast(planted.weights))
        outcomes = {"covered_every_run": float(covers(every, truth)), "changed_every_run": float(is_significant(every))}
        if self.design.num_seeds > 1:
            outcomes |= contrast_outcomes(crossed_inference(drawn.table(planted.weights)), truth, margin=0.10)
        return outcomes


@dataclass(frozen=True, kw_only=True)
class LevelTrial:
    """The rate of one cell: its interval, and naively with variants of a request taken for independent prompts."""

    scenario: Scenario
    design: Design

    def __call__(self, random: np.random.Generator) -> Mapping[str, float]:
        """Return the outcomes of one study."""
        drawn = draw(self.scenario, self.design, random)
        values, truth = drawn.value[0], self.scenario.cells[0].rate
        table = drawn.per_unit(values)
        found = rate_inference(crossed_inference(table), RateCounts(table.shape[1], table.size))
        naive = rate_inference(crossed_inference(values), RateCounts(values.shape[1], values.size))
        none = float(values.sum()) == 0.0
        return {
            "covered": float(covers(found, truth)),
            "covered_without_clusters": float(covers(naive, truth)),
            "has_width": float(found.low is not None and found.high is not None and found.high > found.low),
            "bounded_by_prompts": float(found.high == wilson(0.0, table.shape[1])[1]) if none else NAN,
            "covered_crossed": float(covers(crossed_inference(table), truth)),
        }


@dataclass(frozen=True, kw_only=True)
class RatioTrial:
    """The ratio of the rates of two cells, and whether it is called alike within ``ratio_margin``."""

    scenario: Scenario
    design: Design
    ratio_margin: float = 1.5

    def __call__(self, random: np.random.Generator) -> Mapping[str, float]:
        """Return the outcomes of one study."""
        below, above = (cell.rate for cell in self.scenario.cells)
        value = draw(self.scenario, self.design, random).value[::-1]

        def over(weights: Matrix) -> Inference:
            return crossed_inference(np.tensordot(weights, value, axes=1))

        rates = Rates(np.array([1.0, -1.0]), value, value, value, mean_of_rows, over)
        found, difference = risk_ratio(rates), over(rates.weights)
        return {
            "covered": float(found.low <= above / below <= found.high),
            "alike": float(found.is_within(self.ratio_margin)),
            "alike_by_difference": float(is_equivalent(difference, 0.10)),
            "noninferior": float(found.noninferior(self.ratio_margin) == "yes"),
            "is_bounded": float(np.isfinite(found.high)),
        }


@dataclass(frozen=True, kw_only=True)
class FamilyTrial:
    """All stages of a null chain on several measures: is any found, with Holm's correction and without."""

    scenario: Scenario
    design: Design
    num_measures: int

    def __call__(self, random: np.random.Generator) -> Mapping[str, float]:
        """Return the outcomes of one study."""
        drawn = [draw(self.scenario, self.design, random) for _ in range(self.num_measures)]
        found = [
            crossed_inference(each.table(planted.weights)) for each in drawn for planted in self.scenario.contrasts
        ]
        apart = np.array([1.0 if each.p is None else each.p for each in found])
        together = np.array([1.0 if (p := far_p(each)) is None else p for each in found])
        return {
            "any_changed": float((holm(together) <= PRIMARY_LEVEL).any()),
            "any_by_estimated_df": float((holm(apart) <= PRIMARY_LEVEL).any()),
            "any_uncorrected": float((apart <= PRIMARY_LEVEL).any()),
        }


@dataclass(frozen=True, kw_only=True)
class OverlapTrial:
    """Two checkpoints that differ: is their likeness inferred, naively or by two one-sided tests?

    Intervals of each level that overlap, and a paired test that does not reject, are taken as "alike".
    """

    scenario: Scenario
    design: Design
    margin: float

    def __call__(self, random: np.random.Generator) -> Mapping[str, float]:
        """Return the outcomes of one study, about its own checkpoints (one run each)."""
        drawn = draw(self.scenario, replace(self.design, num_seeds=1), random)
        first, second = (prompts_inference(values[0]) for values in drawn.value)
        difference = prompts_inference(drawn.value[1, 0] - drawn.value[0, 0])
        verdict = four_way_verdict(difference, self.margin, significant=is_significant(difference))
        is_apart = (first.high or 0.0) < (second.low or 0.0) or (second.high or 0.0) < (first.low or 0.0)
        return {
            "overlap": float(not is_apart),
            "not_significant": float(not is_significant(difference)),
            "alike": float(verdict in ALIKE),
        }
