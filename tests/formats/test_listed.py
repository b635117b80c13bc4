"""A tree that contradicts itself is refused: a run that nobody listed would vanish from every mean."""

from __future__ import annotations

from pathlib import Path

import pytest

from upbringing.base.errors import FormatError
from upbringing.formats.tree import Cell, Checkpoint, StudyInfo, Tree, read_tree


def written(tmp_path: Path, *cells: str) -> Path:
    tree = Tree(
        study=StudyInfo(name="s"),
        checkpoints=(Checkpoint(id="base-0", parent="not-listed"), Checkpoint(id="tuned-0", parent="base-0")),
        cells=tuple(Cell(arm="main", position="sft", checkpoint=each) for each in cells),
    )
    path = tmp_path / "tree.json"
    path.write_text(tree.model_dump_json(), encoding="utf-8")
    return path


def test_ancestors_need_not_be_listed(tmp_path: Path) -> None:
    assert len(read_tree(written(tmp_path, "tuned-0")).cells) == 1


def test_a_cell_on_a_checkpoint_that_is_not_listed_is_named_with_the_nearest(tmp_path: Path) -> None:
    with pytest.raises(FormatError, match=r"'main@sft' is filled by the checkpoint 'tuned-1'.*did you mean 'tuned-0'"):
        read_tree(written(tmp_path, "tuned-0", "tuned-1"))


def test_a_checkpoint_that_stands_twice_is_named(tmp_path: Path) -> None:
    path = written(tmp_path, "tuned-0")
    tree = read_tree(path)
    path.write_text(
        tree.model_copy(update={"checkpoints": (*tree.checkpoints, tree.checkpoints[0])}).model_dump_json(),
        encoding="utf-8",
    )
    with pytest.raises(FormatError, match="'base-0' twice"):
        read_tree(path)


def test_a_file_that_is_no_json_is_named_without_an_empty_field(tmp_path: Path) -> None:
    (tmp_path / "tree.json").write_text("{", encoding="utf-8")
    with pytest.raises(FormatError, match="schema version 1: Invalid JSON"):
        read_tree(tmp_path / "tree.json")
