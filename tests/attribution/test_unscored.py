"""What answers without a score may hide counts in p-values, in the change that would be found, and in who is a run."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest
from scipy import special, stats
from simulated_studies import two_arms

from upbringing.attribution.attribute import attribute
from upbringing.attribution.statistics.equivalence import excludes_zero, widened
from upbringing.attribution.statistics.families import Tested, corrected_together
from upbringing.attribution.statistics.far_tail import far_p
from upbringing.attribution.statistics.inference import Inference, minimum_detectable, t_inference


def test_the_p_value_is_that_of_the_value_nearest_to_zero() -> None:
    plain = t_inference(0.2, 0.05, 20.0, "t")
    found = widened(plain, 0.08, 0.21)
    assert found.p == pytest.approx(2 * stats.t.sf(0.08 / 0.05, 20))
    assert far_p(found) == pytest.approx(found.p)
    assert widened(plain, -0.01, 0.21).p == pytest.approx(1.0)
    assert widened(plain, 0.2, 0.3).p == plain.p  # nothing lies nearer to zero
    below = widened(t_inference(-0.2, 0.05, 20.0, "t"), -0.21, -0.08)
    assert below.p == pytest.approx(found.p)


@pytest.mark.parametrize("nearest", [0.05, 0.1, 0.15])
def test_p_value_and_interval_agree_on_zero(nearest: float) -> None:
    by_t = widened(t_inference(0.2, 0.05, 20.0, "t"), nearest, 0.2)
    pair = Inference(0.2, "pairs", low=0.1, high=0.3, low90=0.11, high90=0.29, p=1e-4)
    by_counts = widened(pair, nearest, 0.2)
    for found in (by_t, by_counts):
        assert found.p is not None
        assert excludes_zero(found) == (found.p < 0.05)
    assert by_counts.p == pytest.approx(2 * special.ndtr(-nearest / (0.1 / special.ndtri(0.975))))


def test_a_family_is_corrected_for_what_may_be_hidden() -> None:
    """At 5% / 10 the value nearest to zero is not told from it, though the estimate is."""
    hidden = widened(t_inference(0.2, 0.04, 30.0, "t"), 0.09, 0.2)
    assert excludes_zero(hidden)
    tests = [Tested("primary", True, hidden, False), *[Tested("primary", True, None, True)] * 9]
    assert corrected_together(tests)[0].p == pytest.approx(10 * 2 * stats.t.sf(0.09 / 0.04, 30))


def test_no_test_finds_what_answers_without_a_score_may_hide() -> None:
    plain = t_inference(0.0, 0.05, 20.0, "t")
    least = minimum_detectable(plain)
    assert least is not None
    assert minimum_detectable(widened(plain, -0.1, 0.3)) == pytest.approx(least + 0.3)
    pair = Inference(0.0, "pairs", low=-0.1, high=0.1, low90=-0.08, high90=0.08, p=1.0)
    least = minimum_detectable(pair)
    assert least is not None
    assert minimum_detectable(widened(pair, -0.2, 0.2)) == pytest.approx(least + 0.2)


def test_worlds_of_unequal_size_are_not_widened_where_everything_is_scored() -> None:
    rows, tree = two_arms(2, effect=0.8, num_items=40, num_seeds=4, seed_deviation=0.3, nested=True)
    kept = pa.array([not (item.startswith("0-") and int(item[2:]) >= 8) for item in rows["item"].to_pylist()])
    lines = rows.filter(kept).to_pylist()
    claim = attribute(rows.filter(kept), tree, other_estimators=False).claims[0]
    means = [
        np.mean([line["value"] for line in lines if line["checkpoint"] == f"b-{run}"])
        - np.mean([line["value"] for line in lines if line["checkpoint"] == f"a-{run}"])
        for run in range(4)
    ]
    low, high = stats.t.interval(0.95, 3, np.mean(means), stats.sem(means))
    assert (claim.estimate, claim.low, claim.high) == pytest.approx((np.mean(means), low, high))


def test_runs_without_a_single_score_are_no_runs() -> None:
    rows, tree = two_arms(2, effect=0.8, num_items=40, num_seeds=3, seed_deviation=0.3)
    measures = (tree.measures[0].model_copy(update={"unit": "score"}),)
    tree = tree.model_copy(update={"measures": measures})
    lines = rows.to_pylist()
    values = [None if line["checkpoint"].endswith("2") else line["value"] for line in lines]
    status = ["unscored" if value is None else "scored" for value in values]
    rows = rows.set_column(rows.column_names.index("value"), "value", pa.array(values, pa.float64()))
    rows = rows.set_column(rows.column_names.index("status"), "status", pa.array(status))
    claim = attribute(rows, tree, other_estimators=False).claims[0]
    assert claim.estimand == "artefact"
    assert "the 2 of 3 runs that have scores" in claim.conditional_on
