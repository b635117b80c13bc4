"""Which runs are independent, and what a claim on them is about."""

from __future__ import annotations

import pytest

from upbringing.attribution.evidence.design import Design, design_of
from upbringing.attribution.evidence.units import units_of
from upbringing.formats.tree import Cell, CellSeeds, Checkpoint, StageInfo, StudyInfo, Tree

STAGES = {"pretrain": "pretrain", "sft": "sft"}


def continued(base: Checkpoint | None, *, parent: str | None = "base", runs: int = 3) -> Design:
    """Two arms, each pretrained and tuned with three seeds; ``runs`` pretraining runs per arm."""
    checkpoints, cells = [] if base is None else [base], []
    for arm in ("a", "b"):
        for seed in range(3):
            run = seed % runs
            before = parent
            for place, stage in enumerate(STAGES):
                name = f"{arm}-{stage}-{run if stage == 'pretrain' else seed}"
                stages = tuple(StageInfo(role=each, kind=each) for each in list(STAGES)[: place + 1])
                if name not in {each.id for each in checkpoints}:
                    checkpoints.append(Checkpoint(id=name, parent=before, stages=stages))
                seeds = CellSeeds(world=run, sft=seed if stage == "sft" else None)
                cells.append(Cell(arm=arm, position=stage, checkpoint=name, seeds=seeds))
                before = name
    return design_of(Tree(study=StudyInfo(name="s"), checkpoints=tuple(checkpoints), cells=tuple(cells)))


EXISTING = Checkpoint(id="base", stages=(StageInfo(role="start", kind="existing"),))


@pytest.mark.parametrize("base", [EXISTING, Checkpoint(id="base"), None])
@pytest.mark.parametrize("weights", [("a@sft", "b@sft"), ("a@sft", "a@pretrain"), ("a@pretrain", "b@pretrain")])
def test_pretraining_that_continues_a_base_is_given_that_base(base: Checkpoint | None, weights: list[str]) -> None:
    units = units_of(continued(base), weights)
    assert (units.estimand, units.conditional_on) == ("recipe-given-start", ("base",))
    assert (len(units.units), units.num_roots, units.is_paired) == (3, 1, True)


def test_pretraining_from_random_weights_is_the_recipe() -> None:
    for base, parent in ((None, None), (Checkpoint(id="base", stages=(StageInfo(role="start", kind="fresh"),)), None)):
        units = units_of(continued(base, parent=parent), ("a@sft", "b@sft"))
        assert (units.estimand, units.conditional_on, units.num_roots) == ("recipe", (), 3)


def test_what_branches_off_one_continued_run_is_given_that_run() -> None:
    units = units_of(continued(EXISTING, runs=1), ("a@sft", "b@sft"))
    given = ("base", "one pretraining run")
    assert (len(units.units), units.estimand, units.conditional_on) == (3, "recipe-given-start", given)
    assert units.is_one_root
