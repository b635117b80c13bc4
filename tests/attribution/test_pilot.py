"""Components read off rows: the same table that the claim rests on, and nothing where the claim may not be read."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from simulated_studies import two_arms

from upbringing.attribution.attribute import attribute
from upbringing.attribution.power.outlook import ContrastFacts, Outlook, outlook
from upbringing.attribution.power.pilot import pilot_outlooks, pilots
from upbringing.attribution.power.sampling import SampleSize
from upbringing.attribution.statistics.variance import VarianceComponents
from upbringing.base.errors import FormatError
from upbringing.formats.rows import Row, rows_table
from upbringing.formats.tree import Cell, CellSeeds, Checkpoint, ContrastSpec, Gate, StageInfo, StudyInfo, Tree
from upbringing.lab.planning.power_words import decision_words


def measured(**changes: Any) -> tuple[Any, Tree]:
    settings: dict[str, Any] = {"effect": 0.8, "num_items": 120, "num_seeds": 5, "seed_deviation": 1.0, "margin": 0.1}
    return two_arms(1, **{**settings, **changes})


def only(rows: Any, tree: Tree) -> Outlook:
    (found,) = pilot_outlooks(rows, tree)
    return found


@pytest.mark.parametrize("nested", [False, True])
def test_the_outlook_rests_on_the_table_of_the_claim(nested: bool) -> None:
    rows, tree = measured(nested=nested)
    found, claim = only(rows, tree), attribute(rows, tree).claims[0]
    assert found.size == SampleSize(120, 5)
    assert found.components is not None
    assert found.components.is_nested is nested
    assert (found.known, found.estimand, found.df) == ("rows", "recipe", pytest.approx(claim.df))
    assert claim.high is not None
    assert claim.low is not None
    assert claim.minimum_detectable == pytest.approx(found.minimum_detectable, rel=0.05)


@pytest.mark.parametrize(("seed_high", "is_safe"), [(None, True), (0.11, True), (0.3, False)])
def test_what_only_the_estimated_spread_decides_is_not_safe(seed_high: float | None, is_safe: bool) -> None:
    facts = only(*measured(margin=0.3)).facts
    noise = VarianceComponents(prompt=0.3, seed=0.1, cell=0.2, seed_high=seed_high)
    found = outlook(facts, noise, SampleSize(200, 5), known="rows").decisions[0]
    assert (found.test, found.is_decided, found.is_safe) == ("difference", True, is_safe)
    assert (
        "decided if seeds differ as those measured" in decision_words(found, only(*measured(margin=0.3)))
    ) is not is_safe


@pytest.mark.parametrize("margin", [0.0, -0.1, float("nan"), float("inf")])
def test_a_margin_of_nothing_is_refused_by_name(margin: float) -> None:
    """Rows of others may have it: then every change counts, and nothing can be planned to stay within."""
    facts = ContrastFacts("harm", "b - a", margin)
    with pytest.raises(FormatError, match=r"the margin of 'b - a' on 'harm' is .*: state that, or leave"):
        outlook(facts, VarianceComponents(0.3, 0.1, 0.2), SampleSize(200, 5), known="rows")


def test_margins_that_rows_decide_are_called_decided_and_others_say_what_would() -> None:
    rows, tree = measured(num_items=400, num_seeds=10, seed_deviation=0.1, margin=0.3)
    assert [each.is_decided for each in only(rows, tree).decisions] == [True, True, True]
    rows, tree = measured(margin=0.06)
    for decision in only(rows, tree).decisions:
        assert not decision.is_decided
        assert decision.prompts is None
        assert decision.reachable is not None
        assert decision.reachable > 0.06
        assert decision.seeds is not None
        assert decision.cautious is not None
        assert decision.cautious.seeds is not None
        assert decision.cautious.seeds > decision.seeds > 5
        assert decision.cautious.power <= decision.power
        assert decision.options[-1].seeds == decision.seeds


def test_one_seed_speaks_of_its_checkpoints_and_of_no_seeds() -> None:
    found = only(*measured(num_seeds=1))
    assert (found.estimand, found.seed_floor) == ("artefact", 0.0)
    assert found.components is not None
    assert found.components.seed is None
    assert all(each.seeds is None and not each.options for each in found.decisions)


def test_without_a_margin_there_is_nothing_to_decide() -> None:
    found = only(*measured(margin=None))
    assert found.decisions == ()
    assert found.minimum_detectable is not None


def test_what_may_not_be_read_is_not_planned_from() -> None:
    rows, tree = measured()
    gate = Gate(
        name="learned", passed=False, value=0.0, threshold=0.5, sentence="nothing was learned", cells=("a@sft",)
    )
    found = only(rows, tree.model_copy(update={"gates": (gate,)}))
    assert (found.known, found.components) == ("not-known", None)
    assert "nothing was learned" in (found.why or "")


def test_answers_without_a_score_widen_what_must_be_found() -> None:
    rows, tree = measured()
    values = rows["value"].to_pylist()
    kept = [
        Row(
            checkpoint=name,
            measure="harm",
            item=item,
            value=None if number % 10 == 0 else value,
            status="unscored" if number % 10 == 0 else "scored",
            reason_code="lost" if number % 10 == 0 else None,
        )
        for number, (name, item, value) in enumerate(
            zip(rows["checkpoint"].to_pylist(), rows["item"].to_pylist(), values, strict=True)
        )
    ]
    found, whole = only(rows_table(kept), tree), only(rows, tree)
    assert found.facts.unscored == pytest.approx(0.1, abs=0.05)
    assert whole.facts.unscored == 0.0
    assert (found.minimum_detectable or 0) > (whole.minimum_detectable or 0) + 0.05


def test_a_family_is_planned_at_its_first_step() -> None:
    rows, tree = measured()
    spec = tree.study.contrasts[0]
    twice = tree.study.model_copy(update={"contrasts": (spec, spec.model_copy(update={"name": "again"}))})
    found = pilot_outlooks(rows, tree.model_copy(update={"study": twice}))
    assert [each.facts.num_tests for each in found] == [2, 2]
    assert (found[0].minimum_detectable or 0) > (only(rows, tree).minimum_detectable or 0)
    assert all(each.facts.num_tests == 1 for each in pilots(rows, tree))


def split_plot(num_roots: int, num_branches: int, root: float, branch: float) -> tuple[Any, Tree]:
    """Two arms tuned ``num_branches`` times on each pretraining run; what differs between runs is 0.5 + noise."""
    random = np.random.default_rng(4)
    rows, checkpoints, cells = [], [], []
    for run in range(num_roots):
        stages = (StageInfo(role="pretrain", kind="pretrain"),)
        checkpoints.append(Checkpoint(id=f"root-{run}", stages=stages))
        shift = random.normal(0, root)
        for number in range(num_branches):
            seed = run * num_branches + number
            shifts = {"a": 0.0, "b": 0.5 + shift + random.normal(0, branch)}
            for arm, level in shifts.items():
                name = f"{arm}-{seed}"
                tuned = (*stages, StageInfo(role="sft", kind="sft"))
                checkpoints.append(Checkpoint(id=name, parent=f"root-{run}", stages=tuned))
                cells.append(Cell(arm=arm, position="sft", checkpoint=name, seeds=CellSeeds(pretrain=run, sft=seed)))
                noise = random.normal(0, 0.1, 50)
                rows += [
                    Row(checkpoint=name, measure="margin", item=str(item), value=level + float(noise[item]))
                    for item in range(50)
                ]
    weights = {"b@sft": 1.0, "a@sft": -1.0}
    spec = ContrastSpec(name="b - a", weights=weights, measure="margin", role="primary", margin=0.5)
    study = StudyInfo(name="split", contrasts=(spec,))
    return rows_table(rows), Tree(study=study, checkpoints=tuple(checkpoints), cells=tuple(cells))


def test_branches_of_several_pretraining_runs_are_averaged_and_those_of_one_are_the_runs() -> None:
    found = only(*split_plot(12, 3, root=0.4, branch=0.2))
    assert found.size == SampleSize(50, 12, 3)
    assert found.components is not None
    assert found.components.seed == pytest.approx(0.4, rel=0.5)
    assert found.components.subseed == pytest.approx(0.2, rel=0.35)
    alone = only(*split_plot(1, 5, root=0.4, branch=0.2))
    assert (alone.estimand, alone.size) == ("recipe", SampleSize(50, 5, 1))
    assert alone.components is not None
    assert alone.components.seed is not None
    assert alone.components.seed < 0.4  # the root's own deviation is in none of them


def test_a_flat_table_of_another_tool_is_a_pilot_too(tmp_path: Path) -> None:
    rows, tree = measured(margin=None)
    undeclared = tree.model_copy(update={"study": StudyInfo(name="foreign")})
    cells = tuple(
        cell.model_copy(update={"control": "reference" if cell.arm == "a" else "none"}) for cell in tree.cells
    )
    found = pilot_outlooks(rows, undeclared.model_copy(update={"cells": cells}))
    assert [each.facts.contrast for each in found] == ["b - a @ sft"]
    assert found[0].components == only(rows, tree).components


def test_hours_are_asked_for_every_option() -> None:
    asked: list[SampleSize] = []

    def hours(size: SampleSize) -> float:
        asked.append(size)
        return float(size.seeds)

    facts = ContrastFacts("harm", "b - a", 0.1)
    found = outlook(facts, VarianceComponents(0.2, 0.1, 0.4), SampleSize(100, 3), known="stated", hours=hours)
    options = [option for decision in found.decisions for option in decision.options]
    assert options
    assert [(each.prompts, each.seeds, each.hours) for each in options] == [
        (size.prompts, size.seeds, float(size.seeds)) for size in asked
    ]
