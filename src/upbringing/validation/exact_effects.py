"""Checks without chance of effects and fractions: Shapley's axioms on tables made by hand, aliases that are refused."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import permutations, product

import numpy as np

from upbringing.attribution.attribute import attribute
from upbringing.base.streams import stream
from upbringing.formats.effects import coalitions
from upbringing.formats.effects.coalitions import Coalition, Weights
from upbringing.formats.findings import Findings
from upbringing.formats.tree import ContrastSpec
from upbringing.validation.drawing import draw
from upbringing.validation.process import SMALL
from upbringing.validation.scenarios import PlantedCell, Scenario
from upbringing.validation.tables import MEASURE, rows_of, tree_of

STAGES = ("midtrain", "sft", "rl")
FACTORS = ("a", "b", "c", "d")
TOLERANCE = 1e-12
NUM_TABLES = 50

Values = dict[Coalition, float]


def effects_are_exact() -> tuple[int, int]:
    """Return how many identities hold on tables of all on/off combinations of three stages."""
    cases: list[bool] = []
    for number in range(NUM_TABLES):
        drawn = stream(0, "validation", "effects", number).random(2 ** len(STAGES))
        values = dict(zip(coalitions.coalitions(STAGES), drawn.tolist(), strict=True))
        cases += _identities(values)
    return sum(cases), len(cases)


def _value(weights: Weights, values: Values) -> float:
    return sum(weight * values[coalition] for coalition, weight in weights.items())


def _identities(values: Values) -> Iterable[bool]:
    """Yield whether efficiency, the null player, symmetry, path sums and the average over orders hold exactly."""
    total = values[frozenset(STAGES)] - values[frozenset()]
    shapley = {stage: _value(coalitions.shapley(stage, STAGES), values) for stage in STAGES}
    yield abs(sum(shapley.values()) - total) < TOLERANCE
    yield abs(_value(coalitions.total(STAGES), values) - total) < TOLERANCE
    for stage in STAGES:
        by_order = [_contribution(stage, order, values) for order in permutations(STAGES)]
        yield abs(shapley[stage] - float(np.mean(by_order))) < TOLERANCE
        given = [_value(each, values) for each in coalitions.contributions(stage, STAGES)]
        yield {round(each, 12) for each in given} == {round(each, 12) for each in by_order}
        without = frozenset(STAGES) - {stage}
        yield _value(coalitions.necessity(stage, STAGES), values) == values[frozenset(STAGES)] - values[without]
        yield _value(coalitions.sufficiency(stage, STAGES), values) == values[frozenset({stage})] - values[frozenset()]
    null = {coalition: values[coalition - {"rl"}] for coalition in values}
    yield _value(coalitions.shapley("rl", STAGES), null) == 0.0
    twins = {coalition: values[_exchanged(coalition)] for coalition in values}
    yield abs(_value(coalitions.shapley("sft", STAGES), twins) - shapley["rl"]) < TOLERANCE
    in_order = [("midtrain", "sft"), ("sft", "rl")]
    asymmetric = [_value(coalitions.shapley(stage, STAGES, in_order), values) for stage in STAGES]
    path = [_contribution(stage, STAGES, values) for stage in STAGES]
    yield max(abs(one - other) for one, other in zip(asymmetric, path, strict=True)) < TOLERANCE
    additive = {coalition: 0.1 + 0.2 * len(coalition) for coalition in values}
    yield abs(_value(coalitions.interaction(("sft", "rl"), STAGES), additive)) < TOLERANCE


def _contribution(stage: str, order: tuple[str, ...], values: Values) -> float:
    before = frozenset(order[: order.index(stage)])
    return values[before | {stage}] - values[before]


def _exchanged(coalition: Coalition) -> Coalition:
    """Return the coalition with ``sft`` and ``rl`` in each other's place."""
    other = {"sft": "rl", "rl": "sft"}
    return frozenset(other.get(name, name) for name in coalition)


def aliases_are_refused() -> tuple[int, int]:
    """Return how many things hold of a half fraction of four factors, in which pairs of interactions are aliased."""
    findings = _half_fraction(_interaction("a", "b"), _main("a"))
    table = [frozenset(row["effects"]) for row in findings.tables.get("aliases", ())]
    by_name = {claim.contrast: claim for claim in findings.claims}
    refused, allowed = by_name["a x b"], by_name["a"]
    cases = [
        *(frozenset(pair) in table for pair in (("a x b", "c x d"), ("a x c", "b x d"), ("a x d", "b x c"))),
        refused.verdict == "not-measurable" and refused.estimate is None and bool(refused.blocked_by),
        any("c x d" in reason for reason in refused.blocked_by),
        allowed.estimate is not None,
    ]
    return sum(cases), len(cases)


def _runs() -> list[dict[str, int]]:
    """Return the signs of the eight cells of the half fraction d = abc."""
    return [dict(zip(FACTORS, (*signs, int(np.prod(signs))), strict=True)) for signs in product((1, -1), repeat=3)]


def _arm(run: dict[str, int]) -> str:
    return "".join(name if sign > 0 else "-" for name, sign in run.items())


def _interaction(one: str, other: str) -> ContrastSpec:
    weights = {f"{_arm(run)}@sft": run[one] * run[other] / 2 for run in _runs()}
    return ContrastSpec(name=f"{one} x {other}", weights=weights, measure=MEASURE, kind="interaction", level="L3")


def _main(one: str) -> ContrastSpec:
    weights = {f"{_arm(run)}@sft": run[one] / 4 for run in _runs()}
    return ContrastSpec(name=one, weights=weights, measure=MEASURE, kind="main-effect", level="L3")


def _half_fraction(*contrasts: ContrastSpec) -> Findings:
    cells = tuple(PlantedCell(arm=_arm(run), rate=0.4) for run in _runs())
    scenario = Scenario(id="fraction", title="half of 2^4", cells=cells, contrasts=())
    levels = {f"{_arm(run)}@sft": {name: "on" if sign > 0 else "off" for name, sign in run.items()} for run in _runs()}
    tree = tree_of(scenario, SMALL)
    placed = tuple(cell.model_copy(update={"factors": levels[cell.name]}) for cell in tree.cells)
    study = tree.study.model_copy(update={"contrasts": contrasts})
    drawn = draw(scenario, SMALL, stream(0, "validation", "fraction"))
    return attribute(rows_of(drawn), tree.model_copy(update={"cells": placed, "study": study}))
