"""Simulated studies with planted truth: the process of statistics-and-measures, section 7.4."""

from __future__ import annotations

import numpy as np
import pyarrow as pa

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

ARMS = ("a", "b")


def two_arms(
    seed: int,
    *,
    effect: float,
    num_items: int,
    num_seeds: int,
    seed_deviation: float,
    margin: float | None = None,
    nested: bool = False,
) -> tuple[pa.Table, Tree]:
    """A measure on two arms of one stage whose logits differ by ``effect``, with paired items and seeds."""
    random = np.random.default_rng(seed)
    item_effect = random.normal(0, 1.5, num_items)
    rows, checkpoints, cells, items = [], [], [], []
    for run in range(num_seeds):
        shared = random.normal(0, 0.3)
        if nested:
            item_effect = random.normal(0, 1.5, num_items)
        for arm, shift in zip(ARMS, (0.0, effect), strict=True):
            name = f"{arm}-{run}"
            logits = (
                shift - 0.4 + item_effect + random.normal(0, 0.7, num_items) + shared + random.normal(0, seed_deviation)
            )
            values = random.random(num_items) < 1 / (1 + np.exp(-logits))
            checkpoints.append(Checkpoint(id=name, stages=(StageInfo(role="pretrain", kind="pretrain"),)))
            cells.append(Cell(arm=arm, position="sft", checkpoint=name, seeds=CellSeeds(world=run, pretrain=run)))
            for number in range(num_items):
                item = f"{run}-{number}" if nested else str(number)
                rows.append(Row(checkpoint=name, measure="harm", item=item, value=float(values[number])))
    for run in range(num_seeds if nested else 1):
        for number in range(num_items):
            item = f"{run}-{number}" if nested else str(number)
            items.append(ItemInfo(id=item, cluster=item, world=str(run) if nested else None, request="harmful"))
    contrast = ContrastSpec(
        name="b - a",
        weights={"b@sft": 1.0, "a@sft": -1.0},
        measure="harm",
        role="primary",
        level="L2",
        kind="branch",
        margin=margin,
    )
    tree = Tree(
        study=StudyInfo(name="simulated", primary=("harm",), contrasts=(contrast,)),
        checkpoints=tuple(checkpoints),
        cells=tuple(cells),
        measures=(MeasureInfo(id="harm", direction="lower-is-safer"),),
        items=tuple(items),
    )
    return rows_table(rows), tree
