"""Edits and emulations in the tree of foreign logs: what stands for what, at which level, and what is refused."""

from __future__ import annotations

from typing import Any

import pytest

from upbringing.attribution.evidence.proxies import stand_ins
from upbringing.base.errors import StudyError
from upbringing.formats.tree import EDITED, EMULATED
from upbringing.lab.declared_tree import DeclaredCheckpoint, DeclaredTree, tree_of

CHECKPOINTS: dict[str, Any] = {
    "base": {},
    "tuned": {"parent": "base", "stage": "sft", "arm": "tuned"},
    "plain": {"parent": "base", "stage": "sft", "arm": "plain"},
    "edited": {"parent": "tuned", "stage": "sft", "arm": "edited", "stands_for": "plain@sft"},
    "later": {"parent": "edited", "stage": "rl", "arm": "later"},
}


def declared(cells: tuple[str, str], role: str = "exploratory") -> DeclaredTree:
    one, other = cells
    contrast = {"name": "c", "measure": "m", "weights": {one: 1.0, other: -1.0}, "role": role}
    return DeclaredTree.model_validate({"name": "logs", "checkpoints": CHECKPOINTS, "contrasts": [contrast]})


def test_an_edited_checkpoint_stands_for_a_cell_in_its_own_arm_alone() -> None:
    tree = tree_of(declared(("tuned@sft", "plain@sft")))
    standing = {cell.name: cell.stands_for for cell in tree.cells if cell.stands_for is not None}
    assert standing == {"edited@sft": "plain@sft"}


def test_a_checkpoint_may_say_that_it_was_emulated() -> None:
    emulated = {"parent": "tuned", "stage": "sft", "arm": "moved", "stands_for": "plain@sft", "proxy": EMULATED}
    checkpoints = CHECKPOINTS | {"moved": emulated}
    tree = tree_of(DeclaredTree.model_validate({"name": "logs", "checkpoints": checkpoints}))
    assert stand_ins(tree) == {"edited": {EDITED}, "moved": {EMULATED}}
    assert {cell.arm for cell in tree.cells if cell.proxy is not None} == {"moved"}
    assert '"proxy"' not in tree_of(declared(("tuned@sft", "plain@sft"))).model_dump_json()
    with pytest.raises(ValueError, match="proxy: emulate_tuning says how a checkpoint predicts retrained ones"):
        DeclaredCheckpoint(proxy=EMULATED)


@pytest.mark.parametrize(
    ("cells", "level"),
    [
        (("tuned@sft", "plain@sft"), "L2"),
        (("edited@sft", "plain@sft"), "L4"),
        (("later@rl", "tuned@sft"), "L4"),
        (("plain@sft", "plain@base"), "L1"),
    ],
)
def test_the_level_follows_from_the_cells(cells: tuple[str, str], level: str) -> None:
    assert tree_of(declared(cells)).study.contrasts[0].level == level


def test_a_primary_contrast_has_no_edited_cell() -> None:
    with pytest.raises(StudyError, match="'c' is primary and has a cell of edited weights"):
        tree_of(declared(("edited@sft", "plain@sft"), role="primary"))
