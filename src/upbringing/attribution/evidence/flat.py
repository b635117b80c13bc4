"""Trees from little: a minimal tree of checkpoints, or a flat table that carries the tree in its columns.

A checkpoint of a minimal tree has ``id`` and, as far as known, ``parent``, ``stage``, ``arm``, ``seed``,
``root_seed`` and ``control`` (what its arm is there for). Absent: ``stage`` = the id, ``arm`` = that of the checkpoints
made from it (or ``main``), ``seed`` = 0, ``root_seed`` = none, which means that all runs start from one fixed, existing
checkpoint, ``control`` = none.
"""

from __future__ import annotations

import itertools
from typing import Any, get_args

import pyarrow as pa
import pyarrow.compute as pc

from upbringing.base.errors import FormatError
from upbringing.formats.tree import Cell, CellSeeds, Checkpoint, Control, ItemInfo, StudyInfo, Tree

CHECKPOINT_COLUMNS = ("parent", "stage", "arm", "seed", "root_seed", "control")
ITEM_COLUMNS = ("cluster", "split", "world", "request", "twin", "family")
MAIN_ARM = "main"
CONTROLS: tuple[Control, ...] = get_args(Control)


def tree_of_flat_table(table: pa.Table) -> Tree:
    """Return the tree that a flat rows table describes in its own columns."""
    for name in ("checkpoint", "item"):
        if name not in table.column_names:
            raise FormatError(f"the rows have no column {name!r} (found: {', '.join(table.column_names)}): add it")
        if nulls := table.column(name).null_count:
            raise FormatError(f"the column {name!r} is null in {nulls} rows: every row needs one")
    checkpoints = tuple(
        Checkpoint(**{("id" if key == "checkpoint" else key): value for key, value in fields.items()})
        for fields in _distinct(table, "checkpoint", CHECKPOINT_COLUMNS)
    )
    found = [name for name in ITEM_COLUMNS if name in table.column_names]
    items = tuple(
        ItemInfo(**{("id" if key == "item" else key): value for key, value in fields.items()})
        for fields in (_distinct(table, "item", ITEM_COLUMNS) if found else ())
    )
    return with_cells(Tree(study=StudyInfo(name="flat table"), checkpoints=checkpoints, items=items))


def _distinct(table: pa.Table, key: str, columns: tuple[str, ...]) -> list[dict[str, Any]]:
    """Return one mapping per distinct ``key``, sorted; two rows that contradict each other are an error."""
    names = [key, *(name for name in columns if name in table.column_names)]
    plain = pa.table({name: _plain(table.column(name)) for name in names})
    rows: list[dict[str, Any]] = plain.group_by(names).aggregate([]).to_pylist()
    rows.sort(key=lambda row: str(row[key]))
    for before, after in itertools.pairwise(rows):
        if before[key] == after[key]:
            differs = next(name for name in names if before[name] != after[name])
            raise FormatError(
                f"the {key} {after[key]!r} has two values in the column {differs!r} "
                f"({before[differs]!r} and {after[differs]!r}): give each {key} one"
            )
    return rows


def _plain(column: pa.ChunkedArray) -> pa.ChunkedArray:
    return pc.cast(column, column.type.value_type) if pa.types.is_dictionary(column.type) else column


def with_cells(tree: Tree) -> Tree:
    """Return ``tree`` with cells; a tree that already lists cells is returned as it is.

    Every checkpoint fills the cell of its arm and stage; an ancestor also fills a cell in each arm that was made
    from it, once for each of their seeds, so that a shared base is the first point of every path.
    """
    if tree.cells or not tree.checkpoints:
        return tree
    known = {checkpoint.id: checkpoint for checkpoint in tree.checkpoints}
    for checkpoint in tree.checkpoints:
        _path(checkpoint, known)  # a circle has no last checkpoint, and would be no cell at all
    parents = {checkpoint.parent for checkpoint in tree.checkpoints}
    controls = _controls(tree)
    cells: dict[tuple[str, str, str, int | None, int | None], Cell] = {}
    for leaf in tree.checkpoints:
        if leaf.id in parents:
            continue
        arm = _text(leaf, "arm") or MAIN_ARM
        seeds = _seeds(leaf)
        for checkpoint in _path(leaf, known):
            own_arm = _text(checkpoint, "arm") or arm
            for name in {arm, own_arm}:
                position = _text(checkpoint, "stage") or checkpoint.id
                control = controls.get(name, "none")
                cell = Cell(arm=name, position=position, checkpoint=checkpoint.id, seeds=seeds, control=control)
                cells[(name, position, checkpoint.id, seeds.pretrain, seeds.sft or 0)] = cell
    ordered = sorted(cells, key=lambda key: (key[0], key[1], key[2], key[3] or 0, key[4] or 0))
    return tree.model_copy(update={"cells": tuple(cells[key] for key in ordered)})


def _controls(tree: Tree) -> dict[str, Control]:
    """Return the control of every arm of which a checkpoint states one."""
    found: dict[str, Control] = {}
    for checkpoint in tree.checkpoints:
        stated = _text(checkpoint, "control")
        control = next((each for each in CONTROLS if each == stated), None)
        if stated is not None and control is None:
            raise FormatError(f"checkpoint {checkpoint.id!r}: control is {stated!r}, it must be {', '.join(CONTROLS)}")
        if control is not None and control != "none":
            arm = _text(checkpoint, "arm") or MAIN_ARM
            if found.setdefault(arm, control) != control:
                raise FormatError(
                    f"the arm {arm!r} is {found[arm]!r} and, at {checkpoint.id!r}, {control!r}: choose one"
                )
    return found


def _seeds(leaf: Checkpoint) -> CellSeeds:
    """Return the seeds that a checkpoint states: none without both; ``seed`` is 0 where only ``root_seed`` stands."""
    root, seed = _integer(leaf, "root_seed"), _integer(leaf, "seed")
    return CellSeeds(pretrain=root, sft=0 if seed is None and root is not None else seed)


def _path(leaf: Checkpoint, known: dict[str, Checkpoint]) -> list[Checkpoint]:
    path: list[Checkpoint] = []
    current: Checkpoint | None = leaf
    while current is not None:
        if current in path:
            raise FormatError(f"the checkpoint {current.id!r} is its own ancestor: correct the column 'parent'")
        path.append(current)
        current = known.get(current.parent) if current.parent else None
    return path


def _text(checkpoint: Checkpoint, name: str) -> str | None:
    value = (checkpoint.model_extra or {}).get(name)
    if value is not None and not isinstance(value, str):
        raise FormatError(f"checkpoint {checkpoint.id!r}: {name} is {value!r}, it must be text")
    return value


def _integer(checkpoint: Checkpoint, name: str) -> int | None:
    value = (checkpoint.model_extra or {}).get(name)
    if isinstance(value, bool) or not (value is None or isinstance(value, int)):
        raise FormatError(f"checkpoint {checkpoint.id!r}: {name} is {value!r}, it must be a whole number")
    return value
