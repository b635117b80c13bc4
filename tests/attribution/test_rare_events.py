"""Rare events in few worlds: what no world showed bounds these worlds, not all that the recipe may meet."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pytest

from upbringing.attribution.attribute import attribute
from upbringing.attribution.statistics.inference import t_inference, t_quantile
from upbringing.attribution.statistics.levels import RateCounts, rate_inference, wilson
from upbringing.attribution.words.sentences import ALIKE_WORLDS, NESTED
from upbringing.formats.rows import Row, rows_table
from upbringing.formats.tree import (
    Cell,
    CellSeeds,
    Checkpoint,
    ContrastSpec,
    ItemInfo,
    MeasureInfo,
    StageInfo,
    StudyInfo,
    Tree,
)

NUM_ITEMS = 24


@dataclass(frozen=True)
class Worlds:
    """A study of two arms and, per arm, the true rate in each of its worlds."""

    rows: pa.Table
    tree: Tree
    rates: Mapping[str, list[float]]


def drawn(random: np.random.Generator, num_worlds: int, mean: float, spread: float) -> Worlds:
    """Rates of worlds are beta distributed with ``mean``; the smaller ``spread`` (alpha + beta), the more they vary."""
    alpha, beta = mean * spread, (1 - mean) * spread
    return answered(random, {arm: random.beta(alpha, beta, num_worlds).tolist() for arm in ("a", "b")})


def answered(random: np.random.Generator, rates: Mapping[str, list[float]], *, nested: bool = True) -> Worlds:
    rows, checkpoints, cells, items = [], [], [], {}
    for arm, of_worlds in rates.items():
        for world, rate in enumerate(of_worlds):
            name = f"{arm}-{world}"
            checkpoints.append(Checkpoint(id=name, stages=(StageInfo(role="pretrain", kind="pretrain"),)))
            cells.append(Cell(arm=arm, position="sft", checkpoint=name, seeds=CellSeeds(world=world, pretrain=world)))
            for number, value in enumerate(random.random(NUM_ITEMS) < rate):
                item = f"{world if nested else 0}-{number}"
                items[item] = ItemInfo(id=item, world=str(world) if nested else None, request="harmful")
                rows.append(Row(checkpoint=name, measure="harm", item=item, value=float(value)))
    contrast = ContrastSpec(
        name="b - a", weights={"b@sft": 1.0, "a@sft": -1.0}, measure="harm", role="primary", margin=0.1
    )
    tree = Tree(
        study=StudyInfo(name="s", contrasts=(contrast,)), checkpoints=tuple(checkpoints), cells=tuple(cells),
        measures=(MeasureInfo(id="harm"),), items=tuple(items.values()),
    )  # fmt: skip
    return Worlds(rows_table(rows), tree, rates)


def test_no_event_in_any_world_is_about_these_worlds() -> None:
    study = answered(np.random.default_rng(0), {"a": [0.0] * 3, "b": [0.0] * 3})
    findings = attribute(study.rows, study.tree)
    (claim,) = findings.claims
    assert (claim.verdict, claim.estimand, claim.conditional_on) == ("equivalent", "artefact", ("these worlds",))
    assert "conditional on these worlds" in (claim.model_extra or {})["statement"]
    assert ALIKE_WORLDS.format(num=1) in findings.warnings
    assert NESTED not in findings.warnings  # no interval here rests on the seeds' means
    assert {line["estimand"] for line in findings.tables["levels"]} == {"artefact"}


def test_a_copy_is_alike_in_any_world() -> None:
    study = answered(np.random.default_rng(0), {"a": [0.1, 0.3, 0.2], "b": [0.5, 0.5, 0.9]})
    copies = [cell.model_copy(update={"arm": "b"}) for cell in study.tree.cells if cell.arm == "a"]
    own = [cell for cell in study.tree.cells if cell.arm == "a"]
    (claim,) = attribute(study.rows, study.tree.model_copy(update={"cells": (*own, *copies)})).claims
    assert (claim.verdict, claim.estimand, claim.conditional_on) == ("equivalent", "recipe", ())


def test_events_that_worlds_differ_in_are_about_the_recipe() -> None:
    study = answered(np.random.default_rng(0), {"a": [0.1, 0.3, 0.2], "b": [0.5, 0.5, 0.9]})
    findings = attribute(study.rows, study.tree)
    assert findings.claims[0].estimand == "recipe"
    assert NESTED in findings.warnings
    shared = answered(np.random.default_rng(0), {"a": [0.0] * 3, "b": [0.0] * 3}, nested=False)
    assert attribute(shared.rows, shared.tree).claims[0].estimand == "recipe"  # the same prompts in every run


def test_few_worlds_widen_a_rare_rate_by_hand() -> None:
    # three worlds with 2, 0 and 1 events of 24: their means vary by 1/24 around 1/24
    found = rate_inference(t_inference(1 / 24, 1 / 24 / np.sqrt(3), 2.0, "seed means"), RateCounts(72, 72, 3))
    num = (1 / 24) * (23 / 24) / (1 / 24**2 / 3)  # 69
    assert found.high == pytest.approx(wilson(1 / 24, num * (1.959964 / t_quantile(2, 0.95)) ** 2)[1])
    without = rate_inference(t_inference(1 / 24, 1 / 24 / np.sqrt(3), 2.0, "seed means"), RateCounts(72, 72))
    assert found.high is not None
    assert without.high is not None
    assert found.high > without.high + 0.05


@pytest.mark.parametrize(
    ("num_worlds", "mean", "spread"),
    [(3, 0.02, 20.0), (5, 0.02, 3.0), (3, 0.08, 0.3)],  # the last: worlds in which it nearly always or never happens
)
def test_intervals_cover_the_planted_rates_where_worlds_differ(num_worlds: int, mean: float, spread: float) -> None:
    random = np.random.default_rng(1)
    differences, levels = [], []
    for _ in range(120):
        study = drawn(random, num_worlds, mean, spread)
        here = {arm: float(np.mean(rates)) for arm, rates in study.rates.items()}
        findings = attribute(study.rows, study.tree, other_estimators=False)
        (claim,) = findings.claims
        assert claim.low is not None
        assert claim.high is not None
        truth = here["b"] - here["a"] if claim.estimand == "artefact" else 0.0
        differences.append(claim.low <= truth <= claim.high)
        for line in findings.tables["levels"]:
            rate = here[line["cell"][0]] if line["estimand"] == "artefact" else mean
            levels.append(line["low"] <= rate <= line["high"])
    assert np.mean(differences) >= 0.93
    assert np.mean(levels) >= 0.93
