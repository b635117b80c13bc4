"""Simulated studies of the protocol ``sft_or_rl``: a planted logit per role, paired prompts and seeds."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pyarrow as pa

from upbringing.formats.rows import Row, rows_table
from upbringing.formats.tree import (
    Cell,
    CellSeeds,
    Checkpoint,
    ItemInfo,
    MeasureInfo,
    Protocol,
    StageInfo,
    StudyInfo,
    Tree,
)

SFT_CARRIES_IT = {
    "placebo_sft": -2.0,
    "sft": 2.0,
    "sft_rl": 2.0,
    "placebo_sft_rl": -2.0,
    "positive_control_erodes": -1.0,
    "positive_control_installs": 1.0,
}


def simulated(
    seed: int,
    measures: Mapping[str, Mapping[str, float]],
    *,
    margin: float | None = 0.10,
    num_items: int = 200,
    num_seeds: int = 5,
    drift: float = 0.10,
) -> tuple[pa.Table, Tree]:
    """Rows and tree of one study. ``measures``: by measure, the logit of a safe answer by role (one arm per role).

    ``drift``: deviation (logits) of each training run from its recipe.
    """
    random = np.random.default_rng(seed)
    roles = list(next(iter(measures.values())))
    rows, checkpoints, cells = [], [], []
    for run in range(num_seeds):
        for role in roles:
            name = f"{role}-{run}"
            checkpoints.append(Checkpoint(id=name, stages=(StageInfo(role="pretrain", kind="pretrain"),)))
            cells.append(Cell(arm=role, position="end", checkpoint=name, seeds=CellSeeds(world=run, pretrain=run)))
    for measure, logits in measures.items():
        item = random.normal(0, 1.0, num_items)
        for run in range(num_seeds):
            shared = random.normal(0, 0.2)
            uniform = random.random(num_items)  # the same prompt is as hard in every arm
            for role in roles:
                level = logits[role] + item + shared + random.normal(0, drift)
                values = uniform < 1 / (1 + np.exp(-level))
                rows += [
                    Row(checkpoint=f"{role}-{run}", measure=measure, item=str(place), value=float(value))
                    for place, value in enumerate(values)
                ]
    return rows_table(rows), Tree(
        study=StudyInfo(
            name="simulated",
            primary=tuple(measures),
            margins={} if margin is None else dict.fromkeys(measures, margin),
            protocol=Protocol(kind="sft_or_rl", cells={role: f"{role}@end" for role in roles}),
        ),
        checkpoints=tuple(checkpoints),
        cells=tuple(cells),
        measures=tuple(MeasureInfo(id=measure, direction="higher-is-safer") for measure in measures),
        items=tuple(ItemInfo(id=str(place), cluster=str(place)) for place in range(num_items)),
    )
