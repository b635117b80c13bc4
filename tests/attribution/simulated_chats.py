"""Simulated studies of ``documents_and_chats``: planted logits per role in and out of distribution, paired runs."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pyarrow as pa

from upbringing.formats.chat_protocol import outcome_name
from upbringing.formats.outcomes import Outcome
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
    Teacher,
    Tree,
)

SPLITS = {"inside": "held-out-item", "outside": "ood"}
ROLES = ("neither", "documents", "chats", "both", "positive_control")
NO_TEACHER = Teacher(lineage=())


def simulated_chats(
    seed: int,
    logits: Mapping[str, Mapping[str, float]],
    *,
    num_items: Mapping[str, int] | None = None,
    num_runs: int = 5,
    drift: float = 0.15,
    is_nested: bool = False,
    teacher: Teacher = NO_TEACHER,
    answers: float | None = None,
) -> tuple[pa.Table, Tree]:
    """Rows and tree of one study with the one measure ``trait``.

    ``logits``: of an answer that shows the trait, by ``inside`` and ``outside``, then by role. ``is_nested``: each run
    has questions of its own. ``answers``: the probability that an answer out of distribution also answers.
    """
    random = np.random.default_rng(seed)
    sizes = num_items or {"inside": 60, "outside": 40}
    rows, checkpoints, cells, items = [], [], [], {}
    roles = [role for role in ROLES if role in logits["outside"]]
    for run in range(num_runs):
        for role in roles:
            name = f"{role}-{run}"
            stages = (StageInfo(role="pretrain", kind="pretrain"), StageInfo(role="sft", kind="sft", teacher=teacher))
            checkpoints.append(Checkpoint(id=name, stages=stages))
            control = "positive" if role == "positive_control" else "none"
            seeds = CellSeeds(world=run, pretrain=run)
            cells.append(Cell(arm=role, position="end", checkpoint=name, control=control, seeds=seeds))
    for where, split in SPLITS.items():
        hard = random.normal(0, 1.0, sizes[where])
        for run in range(num_runs):
            shared = random.normal(0, drift)
            hard = random.normal(0, 1.0, sizes[where]) if is_nested else hard
            uniform = random.random(sizes[where])
            also = random.random(sizes[where])
            for role in roles:
                level = logits[where][role] + hard + shared + random.normal(0, drift)
                shows = uniform < 1 / (1 + np.exp(-level))
                for place, shown in enumerate(shows):
                    item = f"{where}/{run if is_nested else 'all'}/{place}"
                    items[item] = ItemInfo(id=item, cluster=item, split=split)
                    rows.append(Row(checkpoint=f"{role}-{run}", measure="trait", item=item, value=float(shown)))
                    if answers is not None and where == "outside":
                        value = float(also[place] < answers)
                        rows.append(Row(checkpoint=f"{role}-{run}", measure="told", item=item, value=value))
    outcomes = {} if answers is None else {outcome_name("answered", "trait"): Outcome(measure="told", split="ood")}
    protocol = Protocol(kind="documents_and_chats", cells={role: f"{role}@end" for role in roles}, outcomes=outcomes)
    return rows_table(rows), Tree(
        study=StudyInfo(name="simulated", primary=("trait",), margins={"trait": 0.10}, protocol=protocol),
        checkpoints=tuple(checkpoints),
        cells=tuple(cells),
        measures=(MeasureInfo(id="trait"), MeasureInfo(id="told")),
        items=tuple(items.values()),
    )
