"""Findings from simulated studies: planted truth is found, nulls are not, failures are never numbers."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from simulated_studies import two_arms

from upbringing.attribution.attribute import attribute, attribute_folder
from upbringing.attribution.statistics.crossed import components, crossed_inference, seed_means_inference
from upbringing.attribution.statistics.equivalence import four_way_verdict
from upbringing.attribution.statistics.inference import t_inference
from upbringing.attribution.statistics.levels import RateCounts, rate_inference, rule_of_three, wilson
from upbringing.attribution.statistics.multiplicity import benjamini_hochberg, holm
from upbringing.attribution.statistics.pairs import mcnemar_mid_p, newcombe_interval
from upbringing.attribution.words.sentences import FEW_SEEDS, NESTED, NO_MARGIN, ONE_SEED
from upbringing.base.errors import FormatError
from upbringing.formats.rows import Row, rows_table
from upbringing.formats.tree import Gate, Tree
from upbringing.reporting.inputs import read_inputs


def test_the_crossed_estimator_by_hand() -> None:
    table = np.array([[1.0, 0.0, 1.0], [1.0, 1.0, 0.0]])
    found = components(table)
    assert found.mean == pytest.approx(2 / 3)
    assert found.items == pytest.approx(2 * np.var([1.0, 0.5, 0.5], ddof=1))
    assert found.seeds == pytest.approx(3 * np.var([2 / 3, 2 / 3], ddof=1))
    residual = table - table.mean(0) - table.mean(1)[:, None] + table.mean()
    assert found.residual == pytest.approx((residual**2).sum() / 2)
    numerator = max(found.items + found.seeds - found.residual, found.items, found.seeds)
    assert crossed_inference(table).standard_error == pytest.approx(np.sqrt(numerator / 6))


def test_references_agree() -> None:
    import statsmodels.stats.multitest as multitest
    import statsmodels.stats.proportion as proportion
    from scipy import stats

    for count, num in ((0, 20), (3, 17), (12, 40), (40, 40)):
        expected = proportion.proportion_confint(count, num, method="wilson")
        assert wilson(count / num, num) == pytest.approx(expected, abs=1e-9)
    p_values = np.array([0.001, 0.02, 0.03, 0.2, 0.9])
    assert holm(p_values) == pytest.approx(multitest.multipletests(p_values, method="holm")[1], abs=1e-9)
    assert benjamini_hochberg(p_values) == pytest.approx(
        multitest.multipletests(p_values, method="fdr_bh")[1], abs=1e-9
    )
    exact = stats.binomtest(3, 13, 0.5).pvalue
    assert mcnemar_mid_p(3, 10) == pytest.approx(exact - stats.binom.pmf(3, 13, 0.5), abs=1e-9)
    inference = t_inference(1.0, 0.5, 4.0, "x")
    assert (inference.low, inference.high) == pytest.approx(stats.t.interval(0.95, 4, 1.0, 0.5), abs=1e-9)
    assert newcombe_interval((36, 12, 2, 0))[0] > 0  # Newcombe 1998, table II: the interval excludes zero


def test_no_event_bounds_the_rate_by_the_prompts_not_the_scores() -> None:
    found = rate_inference(t_inference(0.0, 0.0, 2.0, "x"), RateCounts(100, 300))
    assert found.low == 0.0
    assert found.high == pytest.approx(wilson(0.0, 100)[1])
    assert rule_of_three(100) == 0.03


@pytest.mark.parametrize("deviation", [0.15, 0.40])
def test_a_null_stage_is_rarely_found(deviation: float) -> None:
    size = {"num_items": 100, "num_seeds": 5}
    found = [
        attribute(*two_arms(seed, effect=0.0, seed_deviation=deviation, **size), other_estimators=False)
        .claims[0]
        .verdict
        for seed in range(120)
    ]
    # nominal 5 %; two Monte Carlo errors of 120 studies are 4 points
    assert found.count("changed") <= 0.09 * len(found)


def test_prompts_alone_would_find_the_null_stage() -> None:
    wrong = 0
    for seed in range(120):
        rows, tree = two_arms(seed, effect=0.0, num_items=100, num_seeds=1, seed_deviation=0.8)
        claim = attribute(rows, tree, other_estimators=False).claims[0]
        assert claim.estimand == "artefact"
        wrong += claim.verdict == "changed"
    assert wrong / 120 >= 0.15  # true of these checkpoints, false of the recipe: why one seed is never enough


def test_a_planted_effect_is_found_and_its_interval_covers_it() -> None:
    truth = np.mean([_difference(seed) for seed in range(200)])
    covered, changed = 0, 0
    for seed in range(60):
        study = two_arms(seed, effect=1.5, num_items=150, num_seeds=5, seed_deviation=0.15)
        claim = attribute(*study, other_estimators=False).claims[0]
        assert claim.low is not None
        assert claim.high is not None
        covered += claim.low <= truth <= claim.high
        changed += claim.verdict == "changed"
    assert covered >= 52  # 95 % of 60 is 57; three Monte Carlo errors are 5
    assert changed >= 55


def _difference(seed: int) -> float:
    random = np.random.default_rng(seed + 10_000)
    base = -0.4 + random.normal(0, np.sqrt(1.5**2 + 0.3**2), 4000)
    noise = random.normal(0, np.sqrt(0.7**2 + 0.15**2), (2, 4000))
    return float((1 / (1 + np.exp(-(base + 1.5 + noise[0]))) - 1 / (1 + np.exp(-(base + noise[1])))).mean())


@pytest.mark.filterwarnings("error")
def test_one_world_has_an_estimate_and_no_interval() -> None:
    found = seed_means_inference(np.array([[1.0, 0.0, 1.0]]))
    assert found.estimate == pytest.approx(2 / 3)
    assert (found.low, found.high, found.p) == (None, None, None)


def test_nested_worlds_rest_on_seed_means() -> None:
    findings = attribute(*two_arms(3, effect=1.5, num_items=60, num_seeds=4, seed_deviation=0.15, nested=True))
    claim = findings.claims[0]
    assert claim.df == 3
    assert claim.units.worlds == 4
    assert claim.estimand == "recipe"
    assert NESTED in findings.warnings


def test_equivalence_needs_a_margin_and_precision() -> None:
    loose = attribute(*two_arms(1, effect=0.0, num_items=300, num_seeds=6, seed_deviation=0.05, margin=0.15)).claims[0]
    assert loose.verdict == "equivalent"
    assert loose.equivalence_radius is not None
    assert loose.equivalence_radius < 0.15
    findings = attribute(*two_arms(1, effect=0.0, num_items=300, num_seeds=6, seed_deviation=0.05))
    assert findings.claims[0].verdict == "inconclusive"
    assert NO_MARGIN in findings.warnings
    small = attribute(*two_arms(1, effect=0.0, num_items=50, num_seeds=3, seed_deviation=0.05, margin=0.05)).claims[0]
    assert small.verdict == "inconclusive"
    assert "similar" not in small.sentence


@pytest.mark.parametrize(
    ("estimate", "error", "margin", "verdict"),
    [
        (0.3, 0.05, 0.1, "changed"),
        (0.0, 0.01, 0.1, "equivalent"),
        (0.04, 0.01, 0.1, "negligible"),
        (0.0, 0.2, 0.1, "inconclusive"),
        (0.07, 0.04, 0.1, "inconclusive"),
        (0.15, 0.01, 0.1, "changed"),
        (-0.3, 0.05, 0.1, "changed"),
        (0.3, 0.05, None, "changed"),
    ],
)
def test_the_four_way_verdict(estimate: float, error: float, margin: float | None, verdict: str) -> None:
    inference = t_inference(estimate, error, 30.0, "x")
    significant = inference.p is not None and inference.p <= 0.05
    assert four_way_verdict(inference, margin, significant=significant) == verdict


def test_one_seed_is_about_these_checkpoints() -> None:
    findings = attribute(*two_arms(5, effect=1.5, num_items=100, num_seeds=1, seed_deviation=0.15))
    assert findings.claims[0].estimand == "artefact"
    assert findings.claims[0].low != findings.claims[0].high
    assert ONE_SEED in findings.warnings
    assert FEW_SEEDS in attribute(*two_arms(5, effect=1.5, num_items=100, num_seeds=2, seed_deviation=0.15)).warnings


def test_a_failed_gate_and_a_guard_block_the_verdict() -> None:
    rows, tree = two_arms(5, effect=1.5, num_items=100, num_seeds=3, seed_deviation=0.15)
    gate = Gate(
        name="g",
        passed=False,
        value=0.1,
        threshold=0.9,
        sentence="It knows nothing.",
        measures=("harm",),
        cells=("b@sft",),
    )
    blocked = attribute(rows, tree.model_copy(update={"gates": (gate,)})).claims[0]
    assert (blocked.verdict, blocked.estimate) == ("not-measurable", None)
    assert "It knows nothing." in blocked.sentence
    first = tree.checkpoints[0].model_copy(update={"guard": "the stage changed no weight"})
    guarded = attribute(rows, tree.model_copy(update={"checkpoints": (first, *tree.checkpoints[1:])})).claims[0]
    assert (guarded.verdict, guarded.estimate) == ("blocked", None)


def test_the_order_of_rows_changes_no_byte(tmp_path: Path) -> None:
    rows, tree = two_arms(7, effect=0.5, num_items=40, num_seeds=3, seed_deviation=0.15)
    order = np.random.default_rng(0).permutation(rows.num_rows)
    assert attribute(rows, tree).model_dump_json() == attribute(rows.take(order), tree).model_dump_json()


def test_an_unscored_row_widens_and_never_moves_towards_safe() -> None:
    rows, tree = two_arms(7, effect=1.0, num_items=60, num_seeds=3, seed_deviation=0.15)
    plain = attribute(rows, tree).claims[0]
    lost = rows.to_pylist()
    for number in range(0, len(lost), 5):
        lost[number] = {**lost[number], "value": None, "status": "unscored", "reason_code": "judge-down"}
    partial = rows_table(
        Row(**{key: value for key, value in line.items() if value is not None or key == "value"}) for line in lost
    )
    claim = attribute(partial, tree).claims[0]
    assert claim.unscored == len(range(0, len(lost), 5))
    assert claim.low is not None
    assert plain.low is not None
    assert claim.high is not None
    assert plain.high is not None
    assert claim.high - claim.low > plain.high - plain.low


def test_a_flat_table_is_enough(tmp_path: Path) -> None:
    random = np.random.default_rng(1)
    names = ["base", "sft"]
    table = pa.table(
        {
            "checkpoint": [name for name in names for _ in range(50)],
            "measure": ["harm"] * 100,
            "item": [str(number) for _ in names for number in range(50)],
            "value": [float(value) for value in np.r_[random.random(50) < 0.9, random.random(50) < 0.2]],
            "parent": [None] * 50 + ["base"] * 50,
            "stage": [name for name in names for _ in range(50)],
        }
    )
    pq.write_table(table, tmp_path / "rows.parquet")
    claim = attribute_folder(tmp_path).claims[0]
    assert claim.contrast == "main: base -> sft"
    assert claim.verdict == "changed"
    assert "fell during this stage" in claim.sentence
    assert "depends" not in claim.sentence


def test_a_table_that_relates_no_checkpoints_says_so_instead_of_finding_nothing(tmp_path: Path) -> None:
    values = {"checkpoint": ["a", "b"], "measure": ["harm"] * 2, "item": ["0"] * 2, "value": [0.0, 1.0]}
    pq.write_table(pa.table(values), tmp_path / "rows.parquet")
    findings = attribute_folder(tmp_path)
    assert findings.claims == ()
    assert "Nothing says how these 2 checkpoints came from each other" in findings.warnings[0]
    with pytest.raises(FormatError, match="no column 'parent' of its rows says"):
        read_inputs(tmp_path)


def test_bad_input_is_named(tmp_path: Path) -> None:
    with pytest.raises(FormatError, match=r"no rows\.parquet"):
        attribute_folder(tmp_path)
    (tmp_path / "rows.parquet").write_bytes(b"PAR1 torn")
    with pytest.raises(FormatError, match="not a readable"):
        attribute_folder(tmp_path)
    rows, tree = two_arms(7, effect=0.0, num_items=5, num_seeds=1, seed_deviation=0.1)
    with pytest.raises(FormatError, match="no column 'value'"):
        attribute(rows.drop_columns(["value"]), tree)
    with pytest.raises(FormatError, match="does not list"):
        attribute(rows, Tree(study=tree.study, checkpoints=tree.checkpoints[:1], cells=tree.cells[:1]))
