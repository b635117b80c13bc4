"""Human labels on claims: what must be so whatever was labelled, whose verdict counts, what is said without labels."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest
from judged_studies import WORDS, Judged

from upbringing.attribution.attribute import attribute
from upbringing.attribution.judges.corrected import hidden_variance
from upbringing.attribution.statistics.crossed import components
from upbringing.formats.findings import Claim, Corrected
from upbringing.formats.tree import Tree

PERFECT = ((1.0, 1.0), (1.0, 1.0))
DRIFT = ((0.95, 0.9), (0.6, 0.9))


def first_claim(rows: pa.Table, tree: Tree, labels: pa.Table | None = None) -> Claim:
    return attribute(rows, tree, labels, other_estimators=False).claims[0]


def corrected(claim: Claim) -> Corrected:
    assert claim.corrected is not None, claim.uncorrected
    return claim.corrected


def kept(labels: pa.Table, wanted: Callable[[str], bool]) -> pa.Table:
    return labels.filter(pa.array([wanted(name) for name in labels["checkpoint"].to_pylist()]))


def with_column(table: pa.Table, name: str, values: Any) -> pa.Table:
    return table.set_column(table.column_names.index(name), name, pa.array(values))


@pytest.mark.parametrize("num_seeds", [1, 5])
def test_a_perfect_judge_is_not_corrected(num_seeds: int) -> None:
    rows, tree, labels = Judged(errors=PERFECT, num_seeds=num_seeds, effect=0.8).study(0)
    raw, found = first_claim(rows, tree), first_claim(rows, tree, labels)
    number = corrected(found)
    assert number.power == 1.0
    assert number.estimate == pytest.approx(raw.estimate)
    assert number.low is not None
    assert raw.low is not None
    assert number.low < raw.low  # 60 labels without an error do not prove that there is none
    assert (found.estimate, found.low, found.high, found.p) == (raw.estimate, raw.low, raw.high, raw.p)


@pytest.mark.parametrize(("num_seeds", "per_cluster"), [(1, 1), (5, 1), (5, 4)])
def test_where_everything_is_labelled_people_have_the_say(num_seeds: int, per_cluster: int) -> None:
    study = Judged(errors=DRIFT, num_seeds=num_seeds, num_items=80, num_labels=80, per_cluster=per_cluster)
    rows, tree, labels = study.study(3)
    said = dict(zip(labels["response"].to_pylist(), labels["outcome"].to_pylist(), strict=True))
    assert len(said) == rows.num_rows
    human = np.array([said[response] == "harmful" for response in rows["response"].to_pylist()])
    by_people = with_column(with_column(rows, "value", human.astype(float)), "outcome", WORDS[human.astype(int)])
    truth, found = first_claim(by_people, tree), corrected(first_claim(rows, tree, labels))
    assert found.estimate == pytest.approx(truth.estimate)
    if num_seeds > 1:  # with one seed 0/1 answers have an interval of their own
        assert (found.low, found.high) == pytest.approx((truth.low, truth.high))
    assert found.labels == 2 * num_seeds * 80


def test_the_verdict_follows_the_corrected_number_and_the_sentence_says_so() -> None:
    rows, tree, labels = Judged(errors=DRIFT, num_items=400, num_labels=150).study(1)
    raw, found = first_claim(rows, tree), first_claim(rows, tree, labels)
    number = corrected(found)
    assert raw.high is not None
    assert raw.high < 0  # as judged it changed
    assert raw.verdict == "inconclusive"  # but nothing shows how this language model errs
    assert "no human labels show how the judge" in raw.sentence
    assert number.low is not None
    assert number.high is not None
    assert number.low < 0 < number.high
    assert found.verdict == number.verdict != "changed"
    assert found.equivalence_radius != raw.equivalence_radius
    assert found.p_adjusted == pytest.approx(number.p)  # one primary claim: Holm leaves it
    assert "corrected by 1500 human labels; as judged -0." in found.sentence
    assert (number.labels, number.seeds, found.calibration) == (1500, 5, "corrected")
    assert number.method.startswith("prediction-powered (labelled included)")


def test_a_hidden_change_is_found() -> None:
    """The second arm does more harm and its judge misses it."""
    rows, tree, labels = Judged(errors=DRIFT, effect=1.5, num_items=400, num_labels=150).study(2)
    raw, found = first_claim(rows, tree), first_claim(rows, tree, labels)
    assert raw.low is not None
    assert raw.low < 0
    assert found.verdict == "changed"
    assert "depends on this: it is higher" in found.sentence


def test_exact_judges_and_judges_without_labels_stay_as_they_are() -> None:
    rows, tree, labels = Judged(errors=DRIFT).study(1)
    oracle = with_column(rows, "judge_kind", ["oracle"] * rows.num_rows)
    assert first_claim(oracle, tree, labels) == first_claim(oracle, tree)
    assert first_claim(oracle, tree, labels).calibration is None
    other = labels.slice(0, 0)
    assert first_claim(rows, tree).calibration == "uncalibrated"
    assert first_claim(rows, tree, other) == first_claim(rows, tree)
    assert any(each.startswith("No human labels calibrate") for each in attribute(rows, tree, other).warnings)


def test_runs_without_labels_are_left_out_of_the_correction() -> None:
    rows, tree, labels = Judged(errors=DRIFT).study(1)
    found = first_claim(rows, tree, kept(labels, lambda name: name[-1] in "012"))
    number = corrected(found)
    assert (number.seeds, found.units.seeds, found.estimand) == (3, 5, "recipe")
    assert "corrected by 360 human labels on 3 of 5 seeds" in found.sentence
    own = pc.is_in(pc.utf8_slice_codeunits(rows["checkpoint"], 2), value_set=pa.array(["0", "1", "2"]))
    fewer = tree.model_copy(update={"cells": tuple(cell for cell in tree.cells if cell.checkpoint[-1] in "012")})
    alone = corrected(first_claim(rows.filter(own), fewer, kept(labels, lambda name: name[-1] in "012")))
    assert (number.estimate, number.low, number.high) == (alone.estimate, alone.low, alone.high)


def test_two_labelled_runs_correct_no_recipe() -> None:
    rows, tree, labels = Judged(errors=((0.95, 0.9), (0.95, 0.9))).study(1)
    found = first_claim(rows, tree, kept(labels, lambda name: name[-1] in "01"))
    assert found.corrected is None
    assert found.uncorrected is not None
    assert found.uncorrected.startswith("2 of 5 runs")
    assert found.verdict == "equivalent"  # as judged
    assert "not corrected for the judge's errors: 2 of 5 runs" in found.sentence
    assert found.calibration == "uncorrected"
    assert found.judge_band["low"] < found.low < found.high < found.judge_band["high"]  # type: ignore[operator]


def test_an_uneven_judge_without_labels_everywhere_decides_nothing() -> None:
    rows, tree, labels = Judged(errors=((0.99, 0.9), (0.5, 0.9)), num_items=400, num_labels=120).study(1)
    as_judged = first_claim(rows, tree)
    assert as_judged.low is not None
    assert as_judged.high is not None
    assert as_judged.low > 0 or as_judged.high < 0
    found = first_claim(rows, tree, kept(labels, lambda name: name[-1] in "01"))
    assert found.verdict == "inconclusive"
    assert found.beyond_margin is None
    gap = found.judge_band["gap"]
    assert gap > 0.25
    assert found.low is not None
    assert found.judge_band["low"] == pytest.approx(found.low - gap)
    assert "errs differently on different checkpoints" in found.sentence
    assert "put it anywhere in" in found.sentence


def test_one_labelled_checkpoint_or_few_labels_correct_nothing() -> None:
    rows, tree, labels = Judged(errors=DRIFT, num_seeds=1).study(1)
    one = first_claim(rows, tree, kept(labels, lambda name: name == "a-0"))
    assert one.uncorrected == "a checkpoint of this contrast has fewer than 10 labelled answers"
    assert one.judge_band == {}  # of one checkpoint no gap is known
    few = Judged(errors=DRIFT, num_seeds=1, num_labels=8).study(1)
    assert first_claim(*few).uncorrected == one.uncorrected


def test_raters_who_disagree_correct_nothing() -> None:
    rows, tree, labels = Judged(errors=DRIFT, num_seeds=1).study(1)
    words = np.random.default_rng(0).permutation(labels["outcome"].to_pylist())
    second = with_column(with_column(labels, "rater", ["2"] * labels.num_rows), "outcome", words)
    found = first_claim(rows, tree, pa.concat_tables([labels, second]))
    assert found.uncorrected == "the raters agree too little"


def test_raters_who_agree_mostly_are_averaged() -> None:
    rows, tree, labels = Judged(errors=DRIFT, num_seeds=1).study(1)
    flipped = labels["outcome"].to_pylist()
    flipped[0] = "refuse" if flipped[0] == "harmful" else "harmful"
    second = with_column(with_column(labels, "rater", ["2"] * labels.num_rows), "outcome", flipped)
    one, two = (corrected(first_claim(rows, tree, table)) for table in (labels, pa.concat_tables([labels, second])))
    assert one.labels == two.labels  # answers, not labels
    assert 0 < abs(one.estimate - two.estimate) < 0.05


def test_a_measure_of_more_than_the_outcome_is_not_corrected() -> None:
    rows, tree, labels = Judged(errors=DRIFT, num_seeds=1).study(1)
    values = rows["value"].to_pylist()
    values[rows["outcome"].to_pylist().index("refuse")] = 1.0  # a refusal that counts as right
    found = first_claim(with_column(rows, "value", values), tree, labels)
    assert found.uncorrected == "labels say what an answer does, and this measure counts more than that"


def test_labels_of_unknown_worth_may_be_anything() -> None:
    """No verdict shows what an incoherent answer counts for: anywhere from 0 to 1, and the interval holds for all."""
    rows, tree, labels = Judged(errors=PERFECT, num_seeds=1, effect=1.5).study(0)
    outcomes = ["incoherent" if number % 12 == 0 else word for number, word in enumerate(labels["outcome"].to_pylist())]
    found = corrected(first_claim(rows, tree, with_column(labels, "outcome", outcomes)))
    plain = corrected(first_claim(rows, tree, labels))
    assert found.bounds["low"] < found.estimate < found.bounds["high"]
    assert found.bounds["high"] - found.bounds["low"] > 0.1
    assert plain.low is not None
    assert found.low is not None
    assert found.low < plain.low


def test_stratified_labels_are_weighted() -> None:
    """Half the labels are of the few answers called harmful: unweighted they would hide how well the judge does."""
    study = Judged(errors=((0.9, 0.95), (0.9, 0.95)), centre=-3.0, num_items=2000, num_labels=400, num_seeds=1)
    rows, tree, labels = study.study(0)
    weighted = corrected(first_claim(rows, tree, labels))
    unweighted = with_column(labels, "sampling_probability", [0.2] * labels.num_rows)
    assert abs(weighted.estimate) < 0.03
    line, flat = (
        next(each for each in attribute(rows, tree, table).tables["levels"] if each["cell"] == "a@sft")
        for table in (labels, unweighted)
    )
    assert line["corrected_low"] < study.truth_rate("a") < line["corrected_high"]
    assert flat["corrected_high"] < study.truth_rate("a")  # what verdicts are worth is not how often the judge errs


def test_dominance_is_corrected_too() -> None:
    rows, tree, labels = Judged(errors=DRIFT).study(1)
    spec = tree.study.contrasts[0].model_copy(update={"test": "dominance", "against": {"a@sft": 1.0, "b@sft": -1.0}})
    study = tree.study.model_copy(update={"contrasts": (spec,), "judge_error_gap": 0.0})
    asked = tree.model_copy(update={"study": study})
    rule = with_column(rows, "judge_kind", ["rule"] * rows.num_rows)  # without labels a language model decides nothing
    raw, found = first_claim(rule, asked), first_claim(rows, asked, labels)
    assert first_claim(rows, asked).dominance is None
    assert raw.dominance == "no"  # an effect as large as itself is not below a quarter of itself
    assert found.dominance == "undecided"  # and corrected there is none to be dominated by


def test_unequal_drawing_of_one_study_does_not_depend_on_the_order_of_rows() -> None:
    rows, tree, labels = Judged(errors=DRIFT, num_seeds=3).study(1)
    order = np.random.default_rng(0).permutation(labels.num_rows)
    shuffled = rows.take(np.random.default_rng(1).permutation(rows.num_rows))
    assert attribute(shuffled, tree, labels.take(order)) == attribute(rows, tree, labels)


def test_the_naive_analysis_attributes_judge_drift_and_the_corrected_one_does_not() -> None:
    """Scenario D9, gate M3: no change at all, and a judge that misses a quarter more of the harm in one arm."""
    repeats, naive, changed, covered = 100, 0, 0, 0
    study = Judged()
    for seed in range(repeats):
        rows, tree, labels = study.study(1000 + seed)
        found = first_claim(rows, tree, labels)
        number = corrected(found)
        assert found.low is not None
        assert found.high is not None
        naive += found.low > 0 or found.high < 0
        changed += found.verdict == "changed"
        assert number.low is not None
        assert number.high is not None
        covered += number.low <= 0 <= number.high
    assert naive / repeats > 0.30
    monte_carlo = 2 * (0.05 * 0.95 / repeats) ** 0.5
    assert changed / repeats <= 0.05 + monte_carlo
    assert covered / repeats >= 0.95 - monte_carlo


def test_runs_without_a_spread_of_their_own_take_no_degrees_of_freedom() -> None:
    """Prompts 0 and 1 apart by 1, and cells of +-.5 that cancel in every run: MSI = 1.5, MSS = 0, MSE = .5 by hand."""
    table = np.array([[0.5, 0.5], [-0.5, 1.5], [0.0, 1.0]])
    found = components(table)
    assert (found.items, found.seeds, found.residual) == pytest.approx((1.5, 0.0, 0.5))
    assert found.sampled_df == 1.0  # two prompts
    assert found.df == pytest.approx(max(2.0, 1.5**2 / (1.5**2 / 1 + 0.5**2 / 2)))
    spread = components(table + np.array([[0.0], [2.0], [4.0]]))
    assert spread.seeds > spread.residual
    assert spread.sampled_df == spread.df


def test_labels_that_show_errors_hide_little() -> None:
    assert hidden_variance(30, 0.0) == pytest.approx(0.5 / 31 * 30.5 / 31 / 30)
    assert hidden_variance(30, 1 / 3) == pytest.approx((10.5 / 31 * 20.5 / 31 - 2 / 9) / 30)
    assert hidden_variance(30, 0.5) == 0.0
    shown = [hidden_variance(30, seen) for seen in (0.0, 0.1, 0.3, 0.5)]
    assert shown == sorted(shown, reverse=True)


def half_of_one(labels: pa.Table) -> pa.Table:
    """Labels of one arm alone."""
    return kept(labels, lambda name: name.startswith("a"))


def second_rater_at_random(labels: pa.Table) -> pa.Table:
    words = np.random.default_rng(0).permutation(labels["outcome"].to_pylist())
    second = with_column(with_column(labels, "rater", ["2"] * labels.num_rows), "outcome", words)
    return pa.concat_tables([labels, second])


@pytest.mark.parametrize("spoil", [half_of_one, second_rater_at_random, lambda labels: labels.slice(0, 5)])
def test_labels_that_show_no_errors_on_every_cell_let_a_language_model_decide_nothing(
    spoil: Callable[[pa.Table], pa.Table],
) -> None:
    """As without any label: what nothing tested is not believed because one answer was labelled."""
    rows, tree, labels = Judged(errors=PERFECT, num_seeds=1, effect=1.5).study(0)
    found = first_claim(rows, tree, spoil(labels))
    assert (found.verdict, found.calibration, found.corrected) == ("inconclusive", "uncorrected", None)
    assert (found.beyond_margin, found.noninferior) == (None, None)
    assert "labels do not show how the judge errs on every cell" in found.sentence
    rule = with_column(rows, "judge_kind", ["rule"] * rows.num_rows)
    assert first_claim(rule, tree, spoil(labels)).error_gap is not None


def test_people_who_scored_a_few_answers_calibrate_no_judge() -> None:
    rows, tree, _ = Judged(errors=PERFECT, num_seeds=1, effect=1.5).study(0)
    few = with_column(with_column(rows.slice(0, 5), "judge", ["people"] * 5), "judge_kind", ["human"] * 5)
    findings = attribute(pa.concat_tables([rows, few]), tree, other_estimators=False)
    assert (findings.claims[0].verdict, findings.claims[0].calibration) == ("inconclusive", "uncalibrated")
    assert any(each.startswith("No human labels calibrate the judge j") for each in findings.warnings)


def test_a_judge_of_no_stated_kind_is_pointed_out() -> None:
    rows, tree, _ = Judged(errors=PERFECT, num_seeds=1).study(0)
    unknown = attribute(rows.drop_columns(["judge_kind"]), tree, other_estimators=False)
    assert "The judge j is of no stated kind and is taken to be exact: nothing shows how it errs." in unknown.warnings
    exact = with_column(rows, "judge_kind", ["oracle"] * rows.num_rows)
    assert not any("no stated kind" in each for each in attribute(exact, tree, other_estimators=False).warnings)
