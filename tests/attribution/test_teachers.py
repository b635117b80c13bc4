"""Stages and their teachers: told apart only where another teacher's answers were tried, and one of them saw no RL."""

from __future__ import annotations

from typing import Literal

import pytest

from upbringing.attribution.evidence.design import design_of
from upbringing.attribution.evidence.teachers import teachers_of
from upbringing.formats.tree import Cell, CellSeeds, Checkpoint, StageInfo, StudyInfo, Teacher, Tree

Rl = Literal["yes", "no", "unknown"]
BASE = StageInfo(role="pretrain", kind="pretrain", data_sha256="p")
TEMPLATE = Teacher(id="template", lineage=(), rl="no")
MAIN_SFT = "main@sft"


def tuned(teacher: Teacher | None, data: str = "a") -> StageInfo:
    return StageInfo(role="sft", kind="sft", data_sha256=data, teacher=teacher)


def model(name: str, rl: Rl) -> Teacher:
    return Teacher(id=name, rl=rl)


def tree_of(**arms: tuple[StageInfo, ...]) -> Tree:
    """Each arm is a chain measured after every stage, with two runs."""
    checkpoints, cells = [], []
    for arm, stages in arms.items():
        for run in range(2):
            parent = None
            for stage in stages:
                name = f"{arm}-{stage.role}-{run}"
                checkpoints.append(Checkpoint(id=name, parent=parent, stages=(stage,)))
                cells.append(Cell(arm=arm, position=stage.role, checkpoint=name, seeds=CellSeeds(pretrain=run)))
                parent = name
    return Tree(study=StudyInfo(name="s"), checkpoints=tuple(checkpoints), cells=tuple(cells))


def separable(tree: Tree, *names: str) -> bool | None:
    return teachers_of(design_of(tree)).is_separable(names)


def test_one_teacher_is_not_told_apart_whether_rl_made_it_or_not() -> None:
    for rl in ("yes", "no", "unknown"):
        tree = tree_of(main=(BASE, tuned(model("m", rl))))  # type: ignore[arg-type]
        assert separable(tree, MAIN_SFT, "main@pretrain") is False


@pytest.mark.parametrize(
    ("first", "second", "told"),
    [
        (model("a", "yes"), model("b", "no"), True),
        (model("a", "no"), model("b", "no"), True),
        (model("a", "yes"), TEMPLATE, True),
        (model("a", "yes"), model("b", "yes"), False),
        (model("a", "yes"), model("b", "unknown"), False),
        (model("a", "no"), model("a", "no"), False),
    ],
)
def test_a_second_teacher_tells_them_apart_where_one_saw_no_rl(first: Teacher, second: Teacher, told: bool) -> None:
    tree = tree_of(main=(BASE, tuned(first)), other=(BASE, tuned(second, "b")))
    assert separable(tree, MAIN_SFT, "other@sft") is told
    assert separable(tree, MAIN_SFT, "main@pretrain") is told


def test_a_second_teacher_on_another_base_tells_nothing_apart() -> None:
    other = BASE.model_copy(update={"data_sha256": "q"})
    tree = tree_of(main=(BASE, tuned(model("a", "yes"))), other=(other, tuned(model("b", "no"), "b")))
    assert separable(tree, MAIN_SFT, "main@pretrain") is False


def test_no_model_has_nothing_to_be_told_apart_from() -> None:
    tree = tree_of(main=(BASE, tuned(TEMPLATE)), unknown=(BASE, tuned(None, "b")))
    assert separable(tree, MAIN_SFT, "main@pretrain") is None
    assert separable(tree, MAIN_SFT, "unknown@sft") is None


def test_stages_without_answers_are_not_about_a_teacher() -> None:
    other = BASE.model_copy(update={"data_sha256": "q"})
    tree = tree_of(main=(BASE, tuned(model("a", "yes"))), other=(other, tuned(model("a", "yes"))))
    assert separable(tree, MAIN_SFT, "other@sft") is None


def test_rl_after_the_answers_of_a_teacher_with_rl_is_about_the_teacher_too() -> None:
    rl = StageInfo(role="rl", kind="rl", reward="oracle")
    for made_by_rl, told in (("yes", False), ("no", None)):
        tree = tree_of(main=(BASE, tuned(model("a", made_by_rl)), rl))  # type: ignore[arg-type]
        assert separable(tree, "main@rl", MAIN_SFT) is told
