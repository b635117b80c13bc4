"""Both routes are one analysis: what ``attribute`` reads in the public format is what the estimators compute."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from upbringing.attribution.attribute import attribute
from upbringing.attribution.effects.shares import share_in
from upbringing.attribution.statistics.crossed import crossed_inference
from upbringing.base.streams import stream
from upbringing.formats.labels import check_labels
from upbringing.formats.rows import ROWS_SCHEMA
from upbringing.formats.tree import Tree
from upbringing.validation.drawing import draw
from upbringing.validation.planted import CLUSTERED, FAILED_RUNS, JUDGE_DRIFT, NULL, SHARED_ROOT, SPLIT, SYNERGY
from upbringing.validation.process import MEDIUM, SMALL, Design
from upbringing.validation.scenarios import Scenario
from upbringing.validation.tables import labels_of, measure_names, rows_of, tree_of, without_lost
from upbringing.validation.trials_shares import cell_tables_of

NESTED = Design(num_items=60, num_seeds=4, num_branches=2)
VARIANTS = replace(MEDIUM, num_variants=10)
UNEQUAL = replace(MEDIUM, cluster_sizes=(1, 2, 4))
LACKING = replace(NULL, absent=0.05)


@pytest.mark.parametrize(
    ("scenario", "design"),
    [
        (NULL, SMALL),
        (SYNERGY, MEDIUM),
        (SHARED_ROOT, NESTED),
        (CLUSTERED, VARIANTS),
        (NULL, UNEQUAL),
        (LACKING, UNEQUAL),
    ],
    ids=lambda each: getattr(each, "id", ""),
)
def test_attribute_computes_what_the_estimators_compute(scenario: Scenario, design: Design) -> None:
    drawn = draw(scenario, design, stream(0, "routes", scenario.id))
    claims = attribute(rows_of(drawn), tree_of(scenario, design, 0.1)).claims
    for planted, claim in zip(scenario.contrasts, claims, strict=True):
        found = crossed_inference(drawn.table(planted.weights))
        assert (claim.estimate, claim.low, claim.high) == pytest.approx(
            (found.estimate, found.low, found.high), abs=1e-12
        )
        assert claim.estimand == "recipe"


def test_shares_are_the_same_on_both_routes() -> None:
    drawn = draw(SPLIT, MEDIUM, stream(0, "shares"))
    claim = attribute(rows_of(drawn), tree_of(SPLIT, MEDIUM, 0.1)).claims[0]
    tables = cell_tables_of(drawn)
    first = SPLIT.contrasts[0]
    found = share_in(tables, tables.vector(dict(first.weights)), tables.vector(dict(first.share_of)), 0.1, is_rate=True)
    assert claim.share is not None
    assert (claim.share, claim.share_low, claim.share_high) == pytest.approx(
        (found.value, found.low, found.high), abs=1e-9
    )


def test_rows_follow_the_published_schema_and_the_tree_its_model() -> None:
    drawn = draw(JUDGE_DRIFT, SMALL, stream(0, "schema"))
    assert rows_of(drawn).schema.equals(ROWS_SCHEMA, check_metadata=True)
    tree = tree_of(JUDGE_DRIFT, SMALL, 0.1)
    assert Tree.model_validate_json(tree.model_dump_json()) == tree


def test_what_was_not_asked_has_no_row_and_what_was_not_judged_has_one_without_value() -> None:
    drawn = draw(replace(NULL, absent=0.1, unscored=0.1), SMALL, stream(0, "absent"))
    rows = rows_of(drawn)
    assert rows.num_rows == drawn.absent.size - drawn.absent.sum()
    assert rows["value"].null_count == (np.isnan(drawn.value) & ~drawn.absent).sum()
    assert rows["reason_code"].null_count == rows.num_rows - rows["value"].null_count


def test_a_failed_run_leaves_no_row_and_may_leave_no_trace_in_the_tree() -> None:
    drawn = draw(FAILED_RUNS, MEDIUM, stream(3, "failed"))
    assert drawn.lost.any()
    tree = tree_of(FAILED_RUNS, MEDIUM, 0.1)
    rows = rows_of(drawn)
    assert rows.num_rows == (~drawn.lost).sum() * MEDIUM.num_items
    assert attribute(rows, tree).claims[0].verdict == "not-measurable"
    assert attribute(rows, without_lost(tree, drawn)).claims[0].estimate is not None


def test_several_measures_stand_in_one_table() -> None:
    drawn = [draw(NULL, SMALL, stream(0, "measure", number)) for number in range(3)]
    names = measure_names(3)
    claims = attribute(rows_of(*drawn), tree_of(NULL, SMALL, 0.1, names)).claims
    assert [claim.measure for claim in claims] == list(names)
    assert len({claim.estimate for claim in claims}) > 1


def test_labels_say_the_truth_of_answers_that_the_rows_hold() -> None:
    drawn = draw(JUDGE_DRIFT, SMALL, stream(0, "labels"))
    labels = labels_of(drawn, 20, stream(0, "sample"))
    check_labels(labels)
    assert labels.num_rows == 20 * 2 * SMALL.num_runs
    rows = {row["response"]: row for row in rows_of(drawn).to_pylist() if row["measure"] == "harm"}
    truth = drawn.harmful.ravel()
    for label in labels.to_pylist():
        assert rows[label["response"]]["checkpoint"] == label["checkpoint"]
        assert truth[int(label["response"].partition("-")[2])] == (label["outcome"] == "harmful")
