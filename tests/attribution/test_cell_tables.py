"""Means and bounds of cells are weighted as the estimator weights worlds and prompts, whatever is missing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from scipy import special

from upbringing.attribution.attribute import attribute
from upbringing.attribution.contrasts.cell_tables import CellTables, cell_tables, in_log_odds
from upbringing.attribution.contrasts.estimates import estimate, over_units
from upbringing.attribution.evidence.cells import Source, evidence_of
from upbringing.attribution.evidence.design import design_of
from upbringing.attribution.evidence.pivot import terms_of
from upbringing.formats.findings import Claim
from upbringing.formats.tree import Tree

HARM = Source("harm", "default", "none")
CHANGE = {"b@end": 1.0, "a@end": -1.0}
Scored = Mapping[tuple[str, int], Mapping[str, Sequence[float | None]]]
"""Scores of each prompt by cell and run; ``None`` = asked, and without a score."""

# Two prompts of world 0 are variants of one request; the last prompt of world 1 has no score under b.
WORLDS: Scored = {
    ("a", 0): {"u0": [1, 0, 0, 0], "u1": [0], "u2": [0]},
    ("b", 0): {"u0": [1, 1, 0, 0], "u1": [1], "u2": [1]},
    ("a", 1): {"v0": [0, 1], "v1": [0], "v2": [0], "v3": [0], "v4": [1]},
    ("b", 1): {"v0": [0, 1], "v1": [0], "v2": [0], "v3": [1], "v4": [None]},
    ("a", 2): {"w0": [0, 1]},
    ("b", 2): {"w0": [0, 1]},
}
CLUSTERS = {"u1": "u", "u2": "u"}
# By clusters, world 0: a is (1/4 + 0)/2 = 1/8, b (1/2 + 1)/2 = 3/4. World 1, on the four prompts that b has: a
# (1/2 + 0 + 0 + 0)/4 = 1/8, b (1/2 + 0 + 0 + 1)/4 = 3/8; on all five with the last answer anything: a
# (1/2 + 1)/5 = 3/10, b 3/10 to 1/2. World 2: 1/2 each.
SEEN = (np.mean([1 / 8, 1 / 8, 1 / 2]), np.mean([3 / 4, 3 / 8, 1 / 2]))
OPEN = (np.mean([1 / 8, 3 / 10, 1 / 2]), np.mean([3 / 4, 3 / 10, 1 / 2]), np.mean([3 / 4, 1 / 2, 1 / 2]))


def study(scored: Scored, **spec: Any) -> tuple[pa.Table, Tree]:
    rows = [
        {
            "checkpoint": f"{arm}-{run}",
            "measure": "harm",
            "item": item,
            "sample": sample,
            "value": value,
            "status": "unscored" if value is None else "scored",
        }
        for (arm, run), items in scored.items()
        for item, values in items.items()
        for sample, value in enumerate(values)
    ]
    runs = sorted({(arm, run) for arm, run in scored})
    items = sorted({item for items in scored.values() for item in items})
    tree = {
        "schema_version": 1,
        "study": {"name": "s", "contrasts": [{"name": "change", "weights": CHANGE, "measure": "harm", **spec}]},
        "checkpoints": [{"id": f"{a}-{r}", "stages": [{"role": "pretrain", "kind": "pretrain"}]} for a, r in runs],
        "cells": [
            {"arm": a, "position": "end", "checkpoint": f"{a}-{r}", "seeds": {"world": r, "pretrain": r}}
            for a, r in runs
        ],
        "measures": [{"id": "harm", "direction": "lower-is-safer"}],
        "items": [{"id": item, "cluster": CLUSTERS.get(item, item)} for item in items],
    }
    return pa.Table.from_pylist(rows), Tree.model_validate(tree)


def tables_of(scored: Scored) -> CellTables:
    rows, tree = study(scored)
    found = cell_tables(evidence_of(rows, tree), design_of(tree), tuple(CHANGE), HARM)
    assert found is not None
    return found


def claim_of(scored: Scored, **spec: Any) -> Claim:
    found = attribute(*study(scored, **spec), other_estimators=False)
    return next(claim for claim in found.claims if claim.contrast == "change")


def test_worlds_of_unequal_size_count_alike_in_means_and_bounds() -> None:
    tables = tables_of(WORLDS)
    vector = tables.vector(CHANGE)
    assert tables.means == pytest.approx([SEEN[1], SEEN[0]])
    assert tables.bounds(vector) == pytest.approx((OPEN[1] - OPEN[0], OPEN[2] - OPEN[0]))
    claim = claim_of(WORLDS)
    assert claim.estimate == pytest.approx(over_units(tables.units, tables.contrast(vector)).estimate)
    assert claim.estimate == pytest.approx(vector @ tables.means)
    assert (claim.bounds["low"], claim.bounds["high"]) == pytest.approx(tables.bounds(vector))


def test_log_odds_are_those_of_the_mean_that_is_estimated() -> None:
    tables = tables_of(WORLDS)
    moved = in_log_odds(tables)
    assert moved is not None
    by_hand = special.logit(SEEN[1]) - special.logit(SEEN[0])
    vector = moved.vector(CHANGE)
    assert over_units(moved.units, moved.contrast(vector)).estimate == pytest.approx(by_hand)
    claim = claim_of(WORLDS, scale="logit")
    assert claim.scale == "logit"
    assert claim.estimate == pytest.approx(by_hand)
    assert claim.bounds["low"] == pytest.approx(special.logit(OPEN[1]) - special.logit(OPEN[0]))
    assert moved.bounds(vector) == pytest.approx((claim.bounds["low"], claim.bounds["high"]))


def test_a_prompt_that_one_run_lacks_counts_as_much_as_the_others() -> None:
    """Two runs are these checkpoints: prompts are averaged over the runs that have them, then count alike."""
    tables = tables_of(
        {
            ("a", 0): {"p": [0], "q": [0], "r": [1]},
            ("b", 0): {"p": [1], "q": [1], "r": [1]},
            ("a", 1): {"p": [1], "q": [0]},
            ("b", 1): {"p": [1], "q": [0]},
        }
    )
    assert tables.means == pytest.approx([np.mean([1, 1 / 2, 1]), np.mean([1 / 2, 0, 1])])
    vector = tables.vector(CHANGE)
    assert tables.bounds(vector) == pytest.approx((1 / 3, 1 / 3))  # of all five pairs it would be 2/5
    assert over_units(tables.units, tables.contrast(vector)).estimate == pytest.approx(1 / 3)


@pytest.mark.parametrize(("runs", "nested"), [(1, False), (2, False), (4, False), (4, True)])
def test_without_open_answers_bounds_are_the_estimate(runs: int, nested: bool) -> None:
    random = np.random.default_rng(runs)
    scored: dict[tuple[str, int], dict[str, list[float | None]]] = {}
    for run in range(runs):
        for arm in "ab":
            asked = [f"{run if nested else ''}p{number}" for number in range(12) if random.random() < 0.7]
            scored[arm, run] = {item: [float(random.random() < 0.5)] for item in asked}
    tables = tables_of(scored)
    vector = tables.vector(CHANGE)
    found = over_units(tables.units, tables.contrast(vector)).estimate
    assert tables.bounds(vector) == pytest.approx((found, found), abs=1e-12)
    rows, tree = study(scored)
    claimed = estimate(evidence_of(rows, tree), design_of(tree), terms_of(CHANGE, HARM))
    assert claimed.inference is not None
    assert claimed.inference.estimate == pytest.approx(found, abs=1e-12)
