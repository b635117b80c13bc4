"""A rule that reads answers and that no labels check: its interval allows for errors that differ by checkpoint."""

from __future__ import annotations

from typing import Any

import pyarrow as pa
import pytest
from judged_studies import Judged
from simulated_designs import crossed, planted

from upbringing.attribution.attribute import attribute
from upbringing.attribution.claims.asked import asked_of
from upbringing.attribution.contrasts.estimates import estimate
from upbringing.attribution.evidence.pivot import terms_of
from upbringing.attribution.judges.error_gap import ASSUMED_GAP, with_error_gap
from upbringing.attribution.power.outlook import Outlook
from upbringing.attribution.power.pilot import pilot_outlooks
from upbringing.attribution.statistics.equivalence import widened
from upbringing.attribution.statistics.inference import Inference, minimum_detectable
from upbringing.attribution.statistics.levels import clip
from upbringing.attribution.words.judge_sentences import SHARE_UNCHECKED
from upbringing.formats.findings import Claim
from upbringing.formats.tree import Tree
from upbringing.lab.planning.power_words import decision_words, noise_words

PERFECT = ((1.0, 1.0), (1.0, 1.0))
DRIFT = ((0.95, 0.9), (0.71, 0.9))  # as far apart as is assumed


def ruled(rows: pa.Table, kind: str = "rule") -> pa.Table:
    return rows.set_column(rows.column_names.index("judge_kind"), "judge_kind", pa.array([kind] * rows.num_rows))


def first_claim(rows: pa.Table, tree: Tree, labels: pa.Table | None = None, **stated: Any) -> Claim:
    study = tree.study.model_copy(update=stated)
    return attribute(rows, tree.model_copy(update={"study": study}), labels, other_estimators=False).claims[0]


def test_the_interval_is_the_exact_judges_moved_by_the_gap() -> None:
    rows, tree, _ = Judged(errors=PERFECT, effect=0.8).study(0)
    exact, found = first_claim(ruled(rows, "oracle"), tree), first_claim(ruled(rows), tree)
    assert exact.low is not None
    assert exact.high is not None
    assert (found.estimate, found.error_gap) == (exact.estimate, ASSUMED_GAP)
    assert found.low == pytest.approx(exact.low - ASSUMED_GAP)
    assert found.high == pytest.approx(min(exact.high + ASSUMED_GAP, 1.0))
    assert found.estimate is not None
    assert found.bounds["low"] == pytest.approx(found.estimate - ASSUMED_GAP)
    assert exact.equivalence_radius is not None
    assert found.equivalence_radius == pytest.approx(exact.equivalence_radius + ASSUMED_GAP)
    assert "the interval allows for errors that differ by up to 0.24" in found.sentence


def test_a_declared_gap_of_none_is_the_exact_judge() -> None:
    rows, tree, _ = Judged(errors=PERFECT, effect=0.8).study(0)
    exact = first_claim(ruled(rows, "oracle"), tree)
    found = first_claim(ruled(rows), tree, judge_error_gap=0.0)
    names = ("estimate", "low", "high", "p", "verdict", "bounds", "equivalence_radius", "scale", "other_scale")
    assert [getattr(found, name) for name in names] == [getattr(exact, name) for name in names]
    assert (found.error_gap, found.calibration) == (None, "uncalibrated")
    assert found.sentence.endswith("So says a judge whose errors no human labels show.")


def test_a_drift_of_errors_is_no_change_and_a_large_change_is_one() -> None:
    verdicts = []
    for seed in range(20):
        rows, tree, _ = Judged(errors=DRIFT, num_items=400).study(seed)
        claim = first_claim(ruled(rows), tree)
        verdicts.append((first_claim(ruled(rows, "oracle"), tree).verdict, claim.verdict))
    assert sum(naive == "changed" for naive, _ in verdicts) >= 15
    assert [own for _, own in verdicts] == ["inconclusive"] * 20
    rows, tree, _ = Judged(errors=((0.95, 0.95),) * 2, effect=4.0, num_items=400).study(1)
    found = first_claim(ruled(rows), tree)
    assert found.verdict == "changed"
    assert found.estimate is not None
    assert found.estimate > 0.3


def test_no_rule_without_labels_shows_that_two_are_alike() -> None:
    rows, tree, _ = Judged(errors=PERFECT, num_items=2000).study(1)
    assert first_claim(ruled(rows, "oracle"), tree).verdict in ("equivalent", "negligible")
    assert first_claim(ruled(rows), tree).verdict == "inconclusive"


def test_labels_take_the_place_of_the_assumption() -> None:
    rows, tree, labels = Judged(errors=DRIFT, num_items=400, num_labels=150, effect=1.5).study(2)
    found = first_claim(ruled(rows), tree, labels)
    assert (found.calibration, found.error_gap) == ("corrected", None)
    assert found.verdict == "changed"


def test_a_rule_that_reads_no_answers_defines_its_measure() -> None:
    rows, tree, _ = Judged(errors=PERFECT, effect=0.8).study(0)
    place = rows.column_names.index("outcome")
    scored = rows.set_column(place, "outcome", pa.nulls(rows.num_rows, pa.string()))
    found, exact = first_claim(ruled(scored), tree), first_claim(ruled(scored, "oracle"), tree)
    assert (found.low, found.high, found.verdict) == (exact.low, exact.high, exact.verdict)
    assert found.error_gap is None


def test_the_gap_of_an_interaction_counts_twice() -> None:
    rows, tree, _ = Judged(errors=PERFECT, effect=0.3, num_items=100).study(0)
    asked = asked_of(ruled(rows), tree)
    question = asked.questions[0]
    found = estimate(asked.evidence, asked.design, terms_of(dict(question.spec.weights), question.source))
    wide = with_error_gap(found, [1.0, -1.0, -1.0, 1.0], 0.1)
    assert wide.lowest is not None
    assert found.inference is not None
    assert wide.lowest == pytest.approx(found.inference.estimate - 0.2)


def test_no_ratio_of_rates_is_read_off_an_unchecked_rule() -> None:
    rows, tree, _ = Judged(errors=PERFECT, num_items=400, centre=-5.0).study(1)
    spec = tree.study.contrasts[0].model_copy(update={"margin": None, "ratio_margin": 1.5})
    exact = first_claim(ruled(rows, "oracle"), tree, contrasts=(spec,)).risk_ratio
    found = first_claim(ruled(rows), tree, contrasts=(spec,)).risk_ratio
    assert exact is not None
    assert exact.radius is not None
    assert found is not None
    assert "no human labels show how far the judge's errors differ" in found.reason


def test_a_ratio_keeps_what_other_judges_are_compared_with() -> None:
    """Two judges that say the same are one verdict, though the claim itself allows for errors."""
    rows, tree, _ = Judged(errors=PERFECT, num_items=400, centre=-0.4, effect=1.0).study(1)
    second = rows.set_column(rows.column_names.index("judge"), "judge", pa.array(["k"] * rows.num_rows))
    spec = tree.study.contrasts[0].model_copy(update={"margin": None, "ratio_margin": 20.0})
    found = first_claim(pa.concat_tables([ruled(rows), ruled(second)]), tree, contrasts=(spec,))
    assert found.error_gap == ASSUMED_GAP
    assert found.per_judge[0]["verdict"] == "negligible"
    assert found.judge_robust is True


def test_what_two_judges_differ_by_is_no_claim_about_checkpoints() -> None:
    rows, tree, _ = Judged(errors=PERFECT, num_items=400).study(1)
    other, _, _ = Judged(errors=((0.85, 0.9),) * 2, num_items=400).study(1)
    other = other.set_column(other.column_names.index("judge"), "judge", pa.array(["k"] * other.num_rows))
    found = attribute(pa.concat_tables([ruled(rows), ruled(other)]), tree, other_estimators=False).claims
    between = [claim for claim in found if claim.kind == "judge-sensitivity"]
    assert between
    assert all(claim.error_gap is None for claim in between)
    assert all("between checkpoints" not in claim.sentence for claim in between)


def test_indices_are_not_read_off_an_unchecked_rule() -> None:
    rates, factors = crossed(("a", "b"), {frozenset(): 0.2, **dict.fromkeys(map(frozenset, ("a", "b", "ab")), 0.7)})
    rows, tree = planted(0, rates, factors=factors, num_items=100)
    measures = tuple(each.model_copy(update={"counts_incoherent": True}) for each in tree.measures)
    tree = tree.model_copy(update={"measures": measures})
    words = [["harmless", "refuse"][int(value)] for value in rows["value"].to_pylist()]
    rows = rows.append_column("outcome", pa.array(words)).append_column("judge", pa.array(["j"] * rows.num_rows))
    kinds = (rows.append_column("judge_kind", pa.array([kind] * rows.num_rows)) for kind in ("oracle", "rule"))
    exact, found = (attribute(each, tree, other_estimators=False) for each in kinds)
    assert exact.tables["indices"][0]["non_additivity"] is not None
    assert found.tables["indices"][0]["non_additivity"] is None
    assert found.tables["indices"][0]["non_additivity_reason"] == SHARE_UNCHECKED


@pytest.mark.parametrize("estimate", [0.3, 0.9])
def test_what_would_be_found_does_not_shrink_where_an_interval_is_cut_off(estimate: float) -> None:
    """With a normal quantile: (1.96 + 0.84) standard errors and the gap, though no rate exceeds 1."""
    own = Inference(
        estimate,
        "hand",
        low=estimate - 1.96 * 0.05,
        high=estimate + 1.96 * 0.05,
        low90=estimate - 1.645 * 0.05,
        high90=estimate + 1.645 * 0.05,
    )
    wide = clip(widened(own, estimate - ASSUMED_GAP, estimate + ASSUMED_GAP), -1.0, 1.0)
    assert minimum_detectable(wide) == pytest.approx(2.8016 * 0.05 + ASSUMED_GAP, abs=1e-4)


def outlook_of(kind: str, labels: bool = False, **changes: Any) -> Outlook:
    rows, tree, people = Judged(errors=PERFECT, effect=0.8).study(0)
    tree = tree.model_copy(update={"study": tree.study.model_copy(update=changes)})
    (found,) = pilot_outlooks(ruled(rows, kind), tree, people if labels else None)
    return found


def test_power_is_planned_with_the_gap_that_the_claim_allows_for() -> None:
    exact, found = outlook_of("oracle"), outlook_of("rule")
    assert exact.minimum_detectable is not None
    assert (exact.facts.unchecked, found.facts.unchecked) == (0.0, ASSUMED_GAP)
    assert found.minimum_detectable == pytest.approx(exact.minimum_detectable + ASSUMED_GAP)
    rows, tree, _ = Judged(errors=PERFECT, effect=0.8).study(0)
    assert first_claim(ruled(rows), tree).minimum_detectable == pytest.approx(found.minimum_detectable, rel=0.05)
    for decision in found.decisions:  # within .1
        assert (decision.power, decision.prompts, decision.seeds, decision.options) == (0.0, None, None, ())
        assert "errors of a rule that no labels check leave 0.24 open" in decision_words(decision, found)
    assert outlook_of("rule", judge_error_gap=0.0).minimum_detectable == exact.minimum_detectable


def test_power_by_a_language_model_needs_labels() -> None:
    assert "no human labels show how the judge j errs" in (outlook_of("llm").why or "")
    found = outlook_of("llm", labels=True)
    assert (found.facts.is_corrected, found.facts.unchecked) == (True, 0.0)
    assert "labels that correct it" in noise_words(found)
    assert outlook_of("rule", labels=True).facts.unchecked == 0.0


@pytest.mark.parametrize(("effect", "is_null"), [(3.6, False), (0.0, True)])
def test_what_is_planned_as_found_with_a_gap_is_found(effect: float, is_null: bool) -> None:
    """Planted: a difference for which 80 % power is planned is found that often; a null hardly ever."""
    judged = Judged(errors=PERFECT, effect=effect, num_items=150)
    true = judged.truth_rate("b") - judged.truth_rate("a")
    (planned,) = pilot_outlooks(ruled(judged.study(1000)[0]), judged.study(1000)[1])
    assert planned.minimum_detectable is not None
    assert (true > planned.minimum_detectable) is not is_null
    verdicts = [first_claim(ruled(rows), tree).verdict for rows, tree, _ in map(judged.study, range(40))]
    found = sum(verdict == "changed" for verdict in verdicts)
    assert found == 0 if is_null else found >= 28  # 80 % of 40, less two standard errors of such a count
