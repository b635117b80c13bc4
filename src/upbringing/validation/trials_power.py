"""Trials of the planner: what it predicts from a pilot or from true components, and what studies then show."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from upbringing.attribution.power.power import Goal, power_of
from upbringing.attribution.power.sampling import SampleSize, sampling
from upbringing.attribution.statistics.crossed import crossed_inference
from upbringing.attribution.statistics.equivalence import four_way_verdict
from upbringing.attribution.statistics.variance import VarianceComponents, estimated_components
from upbringing.base.streams import stream
from upbringing.validation.drawing import draw
from upbringing.validation.process import Array, Design
from upbringing.validation.scenarios import Scenario
from upbringing.validation.trials_contrast import ALIKE, is_significant

LARGE_PILOT = Design(num_items=1000, num_seeds=1000)  # from which components are known to 3%


@lru_cache(maxsize=32)
def true_components(scenario: Scenario) -> VarianceComponents:
    """Return the components of a scenario's first contrast, from a pilot so large that they are all but known."""
    drawn = draw(scenario, LARGE_PILOT, stream(0, "validation", "components", scenario.id, scenario.title))
    return components_of(drawn.table(scenario.contrasts[0].weights))


def components_of(table: Array) -> VarianceComponents:
    """Return the planner's components of a contrast, (runs, prompts)."""
    return estimated_components(table[:, None, :])


@dataclass(frozen=True, kw_only=True)
class PlannedTrial:
    """A test at a planned size: whether it decides, less the probability that was planned from true components."""

    scenario: Scenario
    design: Design
    goal: Goal

    def __call__(self, random: np.random.Generator) -> Mapping[str, float]:
        """Return the outcomes of one study."""
        planned = _planned(self.scenario, self.design, self.goal)
        table = draw(self.scenario, self.design, random).table(self.scenario.contrasts[0].weights)
        found = crossed_inference(table)
        if self.goal.test == "difference":
            decided = is_significant(found)
        else:
            decided = four_way_verdict(found, self.goal.margin, significant=is_significant(found)) in ALIKE
        return {"surplus": float(decided) - planned, "decided": float(decided), "planned": planned}


@lru_cache(maxsize=32)
def _planned(scenario: Scenario, design: Design, goal: Goal) -> float:
    size = SampleSize(prompts=design.num_items, seeds=design.num_seeds)
    found = sampling(true_components(scenario), size)
    assert found is not None
    return power_of(found, goal)


@dataclass(frozen=True, kw_only=True)
class PilotTrial:
    """A pilot predicts the standard error of a larger study, which is then run."""

    scenario: Scenario
    pilot: Design
    design: Design

    def __call__(self, random: np.random.Generator) -> Mapping[str, float]:
        """Return the outcomes of one pilot and one study."""
        planted = self.scenario.contrasts[0]
        components = components_of(draw(self.scenario, self.pilot, random).table(planted.weights))
        size = SampleSize(prompts=self.design.num_items, seeds=self.design.num_seeds)
        predicted = sampling(components, size)
        assert predicted is not None
        table = draw(self.scenario, self.design, random).table(planted.weights)
        return {
            "predicted": predicted.standard_error,
            "study_error": float(table.mean()) - self.scenario.truth(planted),
        }
