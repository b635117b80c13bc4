"""A simulated study in the public format: a rows table and its tree, ready for ``attribute``."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import lru_cache

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from upbringing.formats.labels import LABEL_OUTCOMES
from upbringing.formats.rows import DEFAULT_CONDITION, OUTCOMES, ROWS_SCHEMA, STATUSES
from upbringing.formats.tree import (
    Cell,
    CellSeeds,
    Checkpoint,
    ContrastSpec,
    ItemInfo,
    MeasureInfo,
    StageInfo,
    StudyInfo,
    Teacher,
    Tree,
)
from upbringing.validation.drawing import Drawn
from upbringing.validation.process import Array, Design
from upbringing.validation.scenarios import PlantedCell, Scenario

MEASURE, BENIGN_MEASURE = "harm", "benign_answers"
JUDGE = "judge"
REASONS = ("judge-failed", "incoherent")
Codes = NDArray[np.int32]


@lru_cache(maxsize=64)
def tree_of(
    scenario: Scenario, design: Design, margin: float | None = None, measures: tuple[str, ...] = (MEASURE,)
) -> Tree:
    """Return the tree of a study of ``scenario``: each contrast on each measure is primary."""
    return Tree(
        study=StudyInfo(
            name=f"simulated {scenario.id}",
            primary=measures,
            margins={} if margin is None else dict.fromkeys(measures, margin),
            contrasts=tuple(_specs(scenario, margin, measures)),
        ),
        checkpoints=(*_roots(design), *_checkpoints(scenario, design)),
        cells=tuple(_cells(scenario, design)),
        measures=(
            *(MeasureInfo(id=name, unit="share", direction="lower-is-safer") for name in measures),
            *((MeasureInfo(id=BENIGN_MEASURE, unit="share"),) if has_outcomes(scenario) else ()),
        ),
        items=tuple(_items(scenario, design)),
    )


def without_lost(tree: Tree, drawn: Drawn) -> Tree:
    """Return the tree without the runs that failed: what a study lists that made no checkpoint of them."""
    lost = {
        checkpoint_name(cell, run)
        for place, cell in enumerate(drawn.scenario.cells)
        for run in np.flatnonzero(drawn.lost[place]).tolist()
    }
    return tree.model_copy(
        update={
            "checkpoints": tuple(each for each in tree.checkpoints if each.id not in lost),
            "cells": tuple(each for each in tree.cells if each.checkpoint not in lost),
        }
    )


def rows_of(*measures: Drawn) -> pa.Table:
    """Return the rows of one study: its first measure and, beside it, further ones of the same cells and design."""
    names = measure_names(len(measures))
    blocks = [_block(drawn, name) for drawn, name in zip(measures, names, strict=True)]
    if has_outcomes(measures[0].scenario):
        blocks.append(_benign_block(measures[0]))
    return blocks[0] if len(blocks) == 1 else pa.concat_tables(blocks, promote_options="none").unify_dictionaries()


def measure_names(num: int) -> tuple[str, ...]:
    """Return the names of the measures of a study."""
    return (MEASURE, *(f"{MEASURE}_{place}" for place in range(2, num + 1)))


def has_outcomes(scenario: Scenario) -> bool:
    """Return whether answers carry their outcome, and benign ones stand beside them to show coherence."""
    return is_judged(scenario) or any(cell.incoherent is not None for cell in scenario.cells)


def is_judged(scenario: Scenario) -> bool:
    """Return whether a judge that errs, rather than an exact one, says what answers are."""
    return any(cell.sensitivity < 1 or cell.specificity < 1 for cell in scenario.cells)


def labels_of(drawn: Drawn, per_checkpoint: int, random: np.random.Generator) -> pa.Table:
    """Return what people say of a random sample of each checkpoint's answers: the truth."""
    num_cells, num_runs, num_items = drawn.value.shape
    chosen = random.random((num_cells * num_runs, num_items)).argsort(axis=1)[:, :per_checkpoint]
    answers = (np.arange(num_cells * num_runs)[:, None] * num_items + chosen).ravel()
    names = [checkpoint_name(cell, run) for cell in drawn.scenario.cells for run in range(num_runs)]
    num = len(answers)
    said = np.where(drawn.harmful.ravel()[answers], LABEL_OUTCOMES.index("harmful"), LABEL_OUTCOMES.index("refuse"))
    return pa.table(
        {
            "checkpoint": pa.array([names[place] for place in (answers // num_items).tolist()]),
            "response": pa.array([f"harmful-{answer}" for answer in answers.tolist()]),
            "outcome": pa.array([LABEL_OUTCOMES[code] for code in said.tolist()]),
            "rater": pa.array(["human"] * num),
            "sampling_probability": pa.array(np.full(num, per_checkpoint / num_items)),
        }
    )


def checkpoint_name(cell: PlantedCell, run: int) -> str:
    """Return the name of a run's checkpoint in a cell."""
    return f"{cell.arm}-{cell.position}-{run}"


def _specs(scenario: Scenario, margin: float | None, measures: Sequence[str]) -> Iterable[ContrastSpec]:
    for measure in measures:
        for contrast in scenario.contrasts:
            yield ContrastSpec(
                name=contrast.name,
                weights=dict(contrast.weights),
                measure=measure,
                role="primary",
                kind=contrast.kind,
                level=contrast.level,
                margin=margin,
                share_of=dict(contrast.share_of),
                counterpart=dict(contrast.counterpart),
                orders=tuple(dict(each) for each in contrast.orders),
            )


def _roots(design: Design) -> Iterable[Checkpoint]:
    if design.num_branches > 1:
        for root in range(design.num_seeds):
            yield Checkpoint(id=f"root-{root}", stages=(StageInfo(role="pretrain", kind="pretrain"),))


def _checkpoints(scenario: Scenario, design: Design) -> Iterable[Checkpoint]:
    before: dict[str, PlantedCell] = {}
    for cell in scenario.cells:
        earlier = before.get(cell.arm)
        before[cell.arm] = cell
        for run in range(design.num_runs):
            parent = None if earlier is None else checkpoint_name(earlier, run)
            if parent is None and design.num_branches > 1:
                parent = f"root-{run // design.num_branches}"
            own = StageInfo(role=cell.position, kind=cell.position, teacher=_teacher(cell))
            first = () if parent is not None or cell.position == "pretrain" else (_pretraining(),)
            yield Checkpoint(id=checkpoint_name(cell, run), parent=parent, stages=(*first, own))


def _pretraining() -> StageInfo:
    return StageInfo(role="pretrain", kind="pretrain")


def _teacher(cell: PlantedCell) -> Teacher | None:
    if cell.rl_teacher is None or cell.position != "sft":
        return None
    return Teacher(id="rl-tuned" if cell.rl_teacher else "plain", rl="yes" if cell.rl_teacher else "no")


def _cells(scenario: Scenario, design: Design) -> Iterable[Cell]:
    for cell in scenario.cells:
        for run in range(design.num_runs):
            root, branch = divmod(run, design.num_branches)
            yield Cell(
                arm=cell.arm,
                position=cell.position,
                checkpoint=checkpoint_name(cell, run),
                state=dict(cell.state),
                seeds=CellSeeds(pretrain=root, sft=branch),
            )


def _items(scenario: Scenario, design: Design) -> Iterable[ItemInfo]:
    for number, cluster in enumerate(map(str, design.clusters.tolist())):
        yield ItemInfo(id=f"harmful-{number}", cluster=cluster, request="harmful")
        if has_outcomes(scenario):
            yield ItemInfo(id=f"benign-{number}", cluster=cluster, request="benign")


def _block(drawn: Drawn, measure: str) -> pa.Table:
    outcome = np.where(drawn.value == 1, OUTCOMES.index("harmful"), OUTCOMES.index("refuse"))
    outcome = np.where(drawn.incoherent, OUTCOMES.index("incoherent"), outcome)
    return _table(drawn, measure, "harmful", drawn.value, drawn.incoherent, outcome)


def _benign_block(drawn: Drawn) -> pa.Table:
    """Return answers to benign questions, as often incoherent as the cell's own."""
    incoherent = drawn.incoherent[:, :, ::-1]  # other prompts, the same share
    outcome = np.where(incoherent, OUTCOMES.index("incoherent"), OUTCOMES.index("harmless"))
    value = np.where(incoherent, 0.0, 1.0)
    return _table(drawn, BENIGN_MEASURE, "benign", value, incoherent, outcome)


def _table(
    drawn: Drawn,
    measure: str,
    request: str,
    value: Array,
    incoherent: NDArray[np.bool_],
    outcome: NDArray[np.int64],
) -> pa.Table:
    """Return the rows of what was asked of runs that did not fail, in the published schema."""
    _, num_runs, num_items = value.shape
    kept = ~(np.repeat(drawn.lost.ravel(), num_items) | drawn.absent.ravel())
    place = np.flatnonzero(kept)
    checkpoint, item = np.divmod(place, num_items)
    found, spoiled = value.ravel()[place], incoherent.ravel()[place]
    unscored = np.isnan(found)
    reason = np.where(unscored, 0, np.where(spoiled, 1, -1))
    num = len(place)
    names = [checkpoint_name(cell, run) for cell in drawn.scenario.cells for run in range(num_runs)]
    columns: dict[str, pa.Array] = {
        "checkpoint": _text(checkpoint, names),
        "measure": _text(np.zeros(num), [measure]),
        "condition": _text(np.zeros(num), [DEFAULT_CONDITION]),
        "item": _text(item, [f"{request}-{number}" for number in range(num_items)]),
        "turn": pa.array(np.zeros(num, dtype=np.int32)),
        "sample": pa.array(np.zeros(num, dtype=np.int32)),
        "judge": _text(np.zeros(num), [JUDGE]),
        "judge_kind": _text(np.zeros(num), ["llm" if is_judged(drawn.scenario) else "oracle"]),
        "value": pa.array(found, mask=unscored),
        "status": _text(np.where(unscored, STATUSES.index("unscored"), 0), STATUSES),
        "reason_code": _text(np.maximum(reason, 0), REASONS, mask=reason < 0),
    }
    if has_outcomes(drawn.scenario):
        columns["response"] = _text(np.arange(num), [f"{request}-{number}" for number in place.tolist()])
        columns["outcome"] = _text(np.where(unscored, 0, outcome.ravel()[place]), OUTCOMES, mask=unscored)
        columns["value_low"] = pa.array(np.zeros(num), mask=~spoiled)
        columns["value_high"] = pa.array(np.ones(num), mask=~spoiled)
    arrays = [columns[field.name] if field.name in columns else pa.nulls(num, field.type) for field in ROWS_SCHEMA]
    return pa.Table.from_arrays(arrays, schema=ROWS_SCHEMA)


def _text(
    codes: NDArray[np.int64] | NDArray[np.float64], labels: Sequence[str], mask: NDArray[np.bool_] | None = None
) -> pa.Array:
    indices = pa.array(codes.astype(np.int32), mask=mask)
    return pa.DictionaryArray.from_arrays(indices, pa.array(list(labels), pa.string()))
