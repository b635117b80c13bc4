"""Checks that looks are sequential over prompts alone: their intervals, more prompts taken, more seeds refused."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
from scipy import optimize

from upbringing.attribution.attribute import attribute
from upbringing.attribution.claims.warnings import SEEDS_ADDED
from upbringing.attribution.looks import look_at
from upbringing.base.errors import StudyError
from upbringing.base.streams import stream
from upbringing.formats.looks import Look
from upbringing.formats.tree import Registered, Tree
from upbringing.validation.drawing import draw
from upbringing.validation.planted import CLUSTERED, EFFECTIVE, NULL
from upbringing.validation.process import MEDIUM, Array, Design
from upbringing.validation.scenarios import Scenario
from upbringing.validation.tables import MEASURE, rows_of, tree_of

STUDIES = 5
PORTION = 100  # prompts of the first look
LOOKS = 10
TUNED_FOR = 60  # requests; what a sequence is tuned for is fixed before its first look
EXACT = 1e-6  # the tuning is found here by a search


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


def looks_hold_what_they_promise() -> tuple[int, int]:
    """Return how many looks have the interval of one sequence for all looks, worked out here anew, of how many.

    A test for a fixed number of prompts, a sequence that is tuned anew at each look, or one that takes variants of a
    request for requests has other intervals.
    """
    cases = []
    single, variants = Design(num_items=200, num_seeds=3), Design(num_items=800, num_seeds=3, num_variants=4)
    for scenario, design in ((NULL, single), (EFFECTIVE, single), (CLUSTERED, variants)):
        drawn = draw(scenario, design, stream(0, "validation", "intervals", scenario.id))
        rows, tree = rows_of(drawn), tree_of(scenario, design, 0.10)
        requests = drawn.table(scenario.contrasts[0].weights).mean(axis=0)
        looks: list[Look] = []
        for num in np.linspace(20, len(requests), LOOKS).astype(int).tolist():
            asked = None if looks else TUNED_FOR
            part = _of_prompts(rows, int((drawn.cluster < num).sum()))
            looks.append(_look(part, tree, *looks, scenario=scenario, tuned_for=asked))
            low, high = _interval_for_all_looks(requests[:num])
            found = looks[-1]
            is_near = found.low is not None and found.high is not None
            cases.append(is_near and abs((found.low or 0.0) - low) + abs((found.high or 0.0) - high) < EXACT)
    return sum(cases), len(cases)


def _interval_for_all_looks(values: Array) -> tuple[float, float]:
    """Return the asymptotic confidence sequence (arXiv 2103.06476), narrowest at ``TUNED_FOR`` values."""

    def relative(num: int, log_ratio: float) -> float:
        spread = num * float(np.exp(log_ratio))
        return float(np.sqrt(2 * (spread + 1) / (num * spread) * np.log(np.sqrt(spread + 1) / 0.05)))

    best = optimize.minimize_scalar(lambda each: relative(TUNED_FOR, each), bounds=(-15, 5), method="bounded",
                                    options={"xatol": 1e-12})  # fmt: skip
    half = float(values.std(ddof=1)) * relative(len(values), float(best.x))
    return float(values.mean()) - half, float(values.mean()) + half


def added_seeds_are_flagged() -> tuple[int, int]:
    """Return how many studies warn of runs beyond those registered, and of no others, of how many."""
    cases = []
    for found in (3, 5, 8):
        design = Design(num_items=60, num_seeds=found)
        rows, tree = rows_of(draw(NULL, design, stream(0, "validation", "added", found))), tree_of(NULL, design, 0.10)
        for planned in (None, 3, 5, 8):
            registered = Registered(sha256="0", before_first_row=True, seeds=planned)
            stated = tree.model_copy(update={"study": tree.study.model_copy(update={"registered": registered})})
            warnings = attribute(rows, stated, other_estimators=False).warnings
            said = SEEDS_ADDED.format(found=found, planned=planned) in warnings
            cases.append(said == (planned is not None and found > planned))
    return sum(cases), len(cases)


def _look(rows: pa.Table, tree: Tree, *earlier: Look, scenario: Scenario = NULL, tuned_for: int | None = None) -> Look:
    return look_at(rows, tree, MEASURE, scenario.contrasts[0].name, earlier, tuned_for=tuned_for)


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
