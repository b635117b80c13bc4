"""Trials through the public format: rows and tree are written, ``attribute`` reads them, its claims are judged."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np

from upbringing.attribution.attribute import attribute
from upbringing.formats.findings import Claim, Findings
from upbringing.validation.drawing import Drawn, draw
from upbringing.validation.process import Design
from upbringing.validation.scenarios import Scenario
from upbringing.validation.tables import measure_names, rows_of, tree_of, without_lost
from upbringing.validation.trials_contrast import ALIKE, NAN

UNDECIDED = ("inconclusive", "not-measurable", "blocked")
_attribute = partial(attribute, other_estimators=False)  # no gate reads what stands beside a claim


@dataclass(frozen=True, kw_only=True)
class AttributeTrial:
    """A scenario through ``attribute``: one of its contrasts, and which stage is named.

    ``lists_lost``: whether the tree lists runs that failed, of which there are no rows.
    """

    scenario: Scenario
    design: Design
    contrast: int = 0
    margin: float = 0.10
    lists_lost: bool = True

    def __call__(self, random: np.random.Generator) -> Mapping[str, float]:
        """Return the outcomes of one study."""
        drawn = draw(self.scenario, self.design, random)
        tree = tree_of(self.scenario, self.design, self.margin)
        findings = _attribute(rows_of(drawn), tree if self.lists_lost else without_lost(tree, drawn))
        claim = findings.claims[self.contrast]
        found = claim_outcomes(claim, self._truth(drawn, claim))
        truths = [self.scenario.truth(each) for each in self.scenario.contrasts]
        return found | {
            "right_stage": float(right_stage(findings.claims, truths)),
            "levels_covered": _levels_covered(findings, self.scenario),
            "counted": float(claim.unscored == _num_unscored(drawn, self.scenario.contrasts[self.contrast].weights)),
        }

    def _truth(self, drawn: Drawn, claim: Claim) -> float:
        """Return the true contrast of what the claim is about: the recipe, or these checkpoints."""
        planted = self.scenario.contrasts[self.contrast]
        if claim.estimand != "artefact":
            return self.scenario.truth(planted)
        here = {cell.name: rate for cell, rate in zip(self.scenario.cells, drawn.here.tolist(), strict=True)}
        return float(sum(weight * here[name] for name, weight in planted.weights))


def claim_outcomes(claim: Claim, truth: float) -> dict[str, float]:
    """Return what a claim says of a contrast whose true value is ``truth``; NaN for numbers it does not give."""
    low, high, estimate = claim.low, claim.high, claim.estimate
    has_interval = low is not None and high is not None
    changed = claim.verdict == "changed"
    return {
        "error": NAN if estimate is None else estimate - truth,
        "standard_error": NAN,
        "covered": float(low <= truth <= high) if low is not None and high is not None else NAN,
        "has_interval": float(has_interval),
        "changed": float(changed),
        "changed_down": float(changed and estimate is not None and estimate < 0),
        "alike": float(claim.verdict in ALIKE),
        "undecided": float(claim.verdict in UNDECIDED),
        "not_measurable": float(claim.verdict == "not-measurable"),
        "is_recipe": float(claim.estimand == "recipe"),
        "wrong_sign": float(estimate * truth < 0) if changed and truth and estimate is not None else NAN,
        "exaggeration": abs(estimate / truth) if changed and truth and estimate is not None else NAN,
    }


def right_stage(claims: Sequence[Claim], truths: Sequence[float]) -> bool:
    """Return whether the largest effect found is the largest planted one, and is called a change of its sign."""
    found = [0.0 if claim.estimate is None else claim.estimate for claim in claims[: len(truths)]]
    top, planted = int(np.argmax(np.abs(found))), int(np.argmax(np.abs(truths)))
    return top == planted and claims[top].verdict == "changed" and found[top] * truths[planted] > 0


def _levels_covered(findings: Findings, scenario: Scenario) -> float:
    """Return the share of the recipe's levels whose interval holds the cell's true rate; NaN without any."""
    rates = {cell.name: cell.rate for cell in scenario.cells}
    lines = [
        line
        for line in findings.tables["levels"]
        if line["measure"] in measure_names(1) and line["estimand"] == "recipe" and line["low"] is not None
    ]
    inside = [line["low"] <= rates[line["cell"]] <= line["high"] for line in lines]
    return float(np.mean(inside)) if inside else NAN


def _num_unscored(drawn: Drawn, weights: tuple[tuple[str, float], ...]) -> int:
    names = {name for name, _ in weights}
    places = [place for place, cell in enumerate(drawn.scenario.cells) if cell.name in names]
    return int((np.isnan(drawn.value[places]) & ~drawn.lost[places][:, :, None]).sum())


@dataclass(frozen=True, kw_only=True)
class FamilyAttributeTrial:
    """All stages of a null chain on several measures through ``attribute``: is any called changed?"""

    scenario: Scenario
    design: Design
    num_measures: int

    def __call__(self, random: np.random.Generator) -> Mapping[str, float]:
        """Return the outcomes of one study."""
        drawn = [draw(self.scenario, self.design, random) for _ in range(self.num_measures)]
        tree = tree_of(self.scenario, self.design, 0.10, measure_names(self.num_measures))
        claims = _attribute(rows_of(*drawn), tree).claims
        return {"any_changed": float(any(claim.verdict == "changed" for claim in claims))}


@dataclass(frozen=True, kw_only=True)
class ShuffleTrial:
    """A study whose cells are exchanged at random within each run, which destroys what was planted."""

    scenario: Scenario
    design: Design

    def __call__(self, random: np.random.Generator) -> Mapping[str, float]:
        """Return the outcomes of one study."""
        drawn = draw(self.scenario, self.design, random)
        order = random.permuted(np.tile(np.arange(len(self.scenario.cells)), (self.design.num_runs, 1)), axis=1)
        shuffled = drawn.value[order.T, np.arange(self.design.num_runs)]
        exchanged = Drawn(**{**vars(drawn), "value": shuffled})
        claims = _attribute(rows_of(exchanged), tree_of(self.scenario, self.design)).claims
        return {"changed": float(claims[0].verdict == "changed")}


@dataclass(frozen=True, kw_only=True)
class SameCheckpointTrial:
    """One checkpoint under two names, asked with other decoding seeds; greedy answers are the same by construction."""

    scenario: Scenario
    num_items: int

    def __call__(self, random: np.random.Generator) -> Mapping[str, float]:
        """Return the outcomes of one study."""
        design = Design(num_items=self.num_items, num_seeds=1)
        drawn = draw(self.scenario, design, random)
        tree = tree_of(self.scenario, design, 0.10)
        sampled = _attribute(rows_of(drawn), tree).claims[0]
        greedy = Drawn(**{**vars(drawn), "value": np.stack([drawn.value[0]] * len(self.scenario.cells))})
        same = _attribute(rows_of(greedy), tree).claims[0]
        return {
            "changed": float(sampled.verdict == "changed"),
            "is_artefact": float(sampled.estimand == "artefact"),
            "greedy_difference": abs(same.estimate) if same.estimate is not None else NAN,
        }
