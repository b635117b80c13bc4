"""Trials of looking again and again: while prompts arrive, and while runs are added."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from upbringing.attribution.statistics.anytime import confidence_sequence
from upbringing.attribution.statistics.crossed import crossed_inference, prompts_inference
from upbringing.attribution.statistics.equivalence import excludes_zero
from upbringing.validation.drawing import draw
from upbringing.validation.process import Design
from upbringing.validation.scenarios import Scenario
from upbringing.validation.trials_contrast import covers, is_significant


@dataclass(frozen=True, kw_only=True)
class PeekingTrial:
    """Two checkpoints whose prompts arrive in portions, with a look after each: by a fixed-n test, and in sequence.

    ``num_looks``: looks, equally spaced, of which the first is at two portions. Variants of a request arrive together;
    ``ever_told_by_variant`` takes each of them for a request.
    """

    scenario: Scenario
    design: Design
    num_looks: int

    def __call__(self, random: np.random.Generator) -> Mapping[str, float]:
        """Return the outcomes of one study: one run of each checkpoint, whose rates differ by the truth on average."""
        drawn = draw(self.scenario, replace(self.design, num_seeds=1), random)
        planted = self.scenario.contrasts[0]
        values, variants = drawn.table(planted.weights)[0], drawn.contrast(planted.weights)[0]
        ends = np.linspace(0, len(values), self.num_looks + 2).astype(int)[2:]
        looks = [confidence_sequence(values[:end]) for end in ends]
        by_variant = [confidence_sequence(variants[drawn.cluster < end]) for end in ends]
        truth = self.scenario.truth(planted)
        return {
            "ever_changed": float(any(is_significant(prompts_inference(values[:end])) for end in ends)),
            "changed_at_the_end": float(is_significant(prompts_inference(values))),
            "ever_told": float(any(excludes_zero(each) for each in looks)),
            "ever_told_by_variant": float(any(excludes_zero(each) for each in by_variant)),
            "covered_at_all_looks": float(all(covers(each, truth) for each in looks)),
        }


@dataclass(frozen=True, kw_only=True)
class AddedSeedsTrial:
    """A study whose analyst adds a run of each cell until something is found, against the one that was registered.

    ``registered``: runs of the first analysis; the design has the most runs that are ever added.
    """

    scenario: Scenario
    design: Design
    registered: int

    def __call__(self, random: np.random.Generator) -> Mapping[str, float]:
        """Return the outcomes of one study."""
        table = draw(self.scenario, self.design, random).table(self.scenario.contrasts[0].weights)
        told = [
            is_significant(crossed_inference(table[:num])) for num in range(self.registered, self.design.num_seeds + 1)
        ]
        return {"changed_as_registered": float(told[0]), "ever_changed": float(any(told))}
