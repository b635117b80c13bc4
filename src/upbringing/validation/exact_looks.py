"""The check that looks are sequential over prompts alone: more prompts are taken, more seeds are refused."""

from __future__ import annotations

import pyarrow as pa

from upbringing.attribution.looks import look_at
from upbringing.base.errors import StudyError
from upbringing.base.streams import stream
from upbringing.formats.looks import Look
from upbringing.formats.tree import Tree
from upbringing.validation.drawing import draw
from upbringing.validation.planted import NULL
from upbringing.validation.process import MEDIUM
from upbringing.validation.tables import MEASURE, rows_of, tree_of

STUDIES = 5
PORTION = 100  # prompts of the first look


def looks_take_prompts_and_no_seeds() -> tuple[int, int]:
    """Return how many second looks are taken where prompts were added, and refused where seeds were, of how many."""
    cases = []
    for study in range(STUDIES):
        rows = rows_of(draw(NULL, MEDIUM, stream(study, "validation", "looks")))
        tree = tree_of(NULL, MEDIUM, 0.10)
        first = _look(_of_prompts(rows, PORTION), tree)
        second = _look(rows, tree, first)
        cases.append((first.clusters, second.number, second.clusters) == (PORTION, 2, MEDIUM.num_items))
        fewer = _of_runs(rows, tree, MEDIUM.num_seeds - 1)
        cases.append(_is_refused(rows, tree, _look(*fewer)))
    return sum(cases), len(cases)


def _look(rows: pa.Table, tree: Tree, *earlier: Look) -> Look:
    return look_at(rows, tree, MEASURE, NULL.contrasts[0].name, earlier)


def _is_refused(rows: pa.Table, tree: Tree, earlier: Look) -> bool:
    try:
        _look(rows, tree, earlier)
    except StudyError as error:
        return "seeds added between looks" in str(error)
    return False


def _of_prompts(rows: pa.Table, num: int) -> pa.Table:
    return rows.filter(pa.array([int(item.rpartition("-")[2]) < num for item in rows["item"].to_pylist()]))


def _of_runs(rows: pa.Table, tree: Tree, num: int) -> tuple[pa.Table, Tree]:
    """Return the rows and the tree of the first ``num`` runs."""
    kept = {each.id for each in tree.checkpoints if int(each.id.rpartition("-")[2]) < num}
    fewer = tree.model_copy(
        update={
            "checkpoints": tuple(each for each in tree.checkpoints if each.id in kept),
            "cells": tuple(each for each in tree.cells if each.checkpoint in kept),
        }
    )
    return rows.filter(pa.array([name in kept for name in rows["checkpoint"].to_pylist()])), fewer
