"""Studies of rare harm with a number of events that is planted exactly."""

from __future__ import annotations

from collections.abc import Mapping

import pyarrow as pa

from upbringing.attribution.attribute import attribute
from upbringing.formats.findings import Claim
from upbringing.formats.rows import Row, rows_table
from upbringing.formats.tree import (
    Cell,
    CellSeeds,
    Checkpoint,
    ContrastSpec,
    MeasureInfo,
    StageInfo,
    StudyInfo,
    Tree,
)

NUM_SEEDS = 4
LOST = {"value": None, "status": "unscored", "reason_code": "judge-failed"}
BRANCH = {"b@sft": 1.0, "a@sft": -1.0}


def study_of(
    events: Mapping[str, int],
    num_items: int,
    *,
    weights: Mapping[str, float] = BRANCH,
    direction: str = "lower-is-safer",
    info: Mapping[str, object] | None = None,
    known: Mapping[str, str] | None = None,
    unscored: int = 0,
    **spec: object,
) -> tuple[pa.Table, Tree]:
    """Arms of four runs with so many events each; a measure of which more is better counts all that is no event."""
    rows, checkpoints, cells = [], [], []
    for arm, count in events.items():
        for run in range(NUM_SEEDS):
            name = f"{arm}-{run}"
            checkpoints.append(Checkpoint(id=name, stages=(StageInfo(role="pretrain", kind="pretrain"),)))
            seeds = CellSeeds(world=0, pretrain=run)
            group = (known or {}).get(arm)
            cells.append(Cell(arm=arm, position="sft", checkpoint=name, known=group, seeds=seeds))
            for item in range(num_items):
                harm = float((item + run) % num_items < count)
                value = harm if direction.startswith("lower") else 1 - harm
                is_open = arm == "b" and item >= num_items - unscored
                status = (
                    {"value": None, "status": "unscored", "reason_code": "judge-failed"}
                    if is_open
                    else {"value": value}
                )
                rows.append(Row(checkpoint=name, measure="harm", item=str(item), **status))
    contrast = ContrastSpec(name="b - a", weights=dict(weights), measure="harm", role="primary", **spec)
    tree = Tree(
        study=StudyInfo(name="s", primary=("harm",), contrasts=(contrast,), **(info or {})),
        checkpoints=tuple(checkpoints),
        cells=tuple(cells),
        measures=(MeasureInfo(id="harm", direction=direction),),
    )
    return rows_table(rows), tree


def claim_of(study: tuple[pa.Table, Tree]) -> Claim:
    return attribute(*study, other_estimators=False).claims[0]
