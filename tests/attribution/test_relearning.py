"""Relearning cost: when fine-tuning first brings back what an unprotected arm does, and when it never does."""

from __future__ import annotations

import pytest

from upbringing.attribution.attribute import attribute
from upbringing.attribution.effects.relearning import Cost, cost_of, median_cost
from upbringing.formats.rows import Row, rows_table
from upbringing.formats.tree import Cell, CellSeeds, Checkpoint, ItemInfo, MeasureInfo, StageInfo, StudyInfo, Tree

PLACES = {"finetune:10%": 5, "finetune:50%": 25, "finetune": 50}
NUM_ITEMS = 20
COURSES: dict[str, tuple[tuple[int, ...], ...]] = {  # harmful answers of 20 at each place, per seed
    "raw": ((18, 18, 16), (18, 18, 16)),  # the level to reach: 16 of 20
    "fragile": ((16, 19, 19), (2, 17, 19)),
    "tough": ((0, 2, 16), (0, 1, 3)),
    "dipping": ((17, 1, 1), (17, 1, 1)),  # once reached is reached
}


def study(
    direction: str = "lower-is-safer", reference: str | None = "raw", before: dict[str, int] | None = None
) -> tuple[object, Tree]:
    """Return the planted study. ``before``: harmful answers of an arm's parent, where the tree lists one."""
    rows, checkpoints, cells = [], [], []
    for arm, harmful in (before or {}).items():
        checkpoints.append(Checkpoint(id=f"{arm}-sft", stages=(StageInfo(role="sft", kind="sft", updates=99),)))
        for item in range(NUM_ITEMS):
            rows.append(Row(checkpoint=f"{arm}-sft", measure="asr", item=str(item), value=float(item < harmful)))
    for arm, seeds in COURSES.items():
        for seed, course in enumerate(seeds):
            for (position, updates), harmful in zip(PLACES.items(), course, strict=True):
                name = f"{arm}-{seed}-{updates}"
                role = position if position == "finetune" else f"finetune:step {updates}"
                stages = (
                    StageInfo(role="sft", kind="sft", updates=99),
                    StageInfo(role=role, kind="sft", updates=updates),
                )
                parent = f"{arm}-sft" if arm in (before or {}) else None
                checkpoints.append(Checkpoint(id=name, parent=parent, stages=stages))
                control = "reference" if arm == reference else "none"
                cells.append(
                    Cell(arm=arm, position=position, checkpoint=name, control=control, seeds=CellSeeds(sft=seed))
                )
                for item in range(NUM_ITEMS):
                    harm = item < harmful
                    value = float(harm if direction == "lower-is-safer" else not harm)
                    rows.append(Row(checkpoint=name, measure="asr", item=str(item), value=value))
    items = tuple(ItemInfo(id=str(item), cluster=str(item), request="harmful") for item in range(NUM_ITEMS))
    tree = Tree(
        study=StudyInfo(name="planted"),
        checkpoints=tuple(checkpoints),
        cells=tuple(cells),
        measures=(MeasureInfo(id="asr", direction=direction),),
        items=items,
    )
    return rows_table(rows), tree


@pytest.mark.parametrize("direction", ["lower-is-safer", "higher-is-safer"])
def test_the_planted_costs_are_found(direction: str) -> None:
    found = {row["arm"]: row for row in attribute(*study(direction)).tables["relearning"]}
    assert set(found) == {"fragile", "tough", "dipping"}
    assert all(row["level"] == pytest.approx(0.8 if direction == "lower-is-safer" else 0.2) for row in found.values())
    assert (found["fragile"]["above"], found["fragile"]["by"]) == ([0, 5], [5, 25])
    assert found["fragile"]["median"] == 25
    assert (found["tough"]["above"], found["tough"]["by"], found["tough"]["censored"]) == ([25, 50], [50, None], 1)
    assert found["tough"]["median"] is None  # of two runs one never came back
    assert found["dipping"]["by"] == [5, 5]


def test_what_was_there_before_the_stage_costs_no_update() -> None:
    found = {row["arm"]: row for row in attribute(*study(before={"dipping": 16, "fragile": 15})).tables["relearning"]}
    assert (found["dipping"]["above"], found["dipping"]["by"], found["dipping"]["median"]) == ([0, 0], [0, 0], 0)
    assert (found["fragile"]["above"], found["fragile"]["by"]) == ([0, 5], [5, 25])  # measured, and not there yet
    assert found["tough"]["by"] == [50, None]


def test_without_a_reference_or_places_inside_there_is_no_cost() -> None:
    assert "relearning" not in attribute(*study(reference=None)).tables
    rows, tree = study()
    ends = tuple(cell for cell in tree.cells if cell.position == "finetune")
    assert "relearning" not in attribute(rows, tree.model_copy(update={"cells": ends})).tables


def test_costs_and_medians_by_hand() -> None:
    course = [(10, 0.1), (20, 0.5), (40, 0.9)]
    assert cost_of(course, 0.5, rises=True) == Cost(10, 20)
    assert cost_of(course, 0.95, rises=True) == Cost(40, None)
    assert cost_of(course, 0.1, rises=False) == Cost(0, 10)
    assert median_cost([Cost(0, 5), Cost(0, None), Cost(5, 20)]) == 20
    assert median_cost([Cost(0, 5), Cost(0, None)]) is None
