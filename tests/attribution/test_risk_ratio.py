"""Rare harm is held against a ratio of rates: at its edges, at no event, corrected, and where there is no ratio."""

from __future__ import annotations

import math

import numpy as np
import pytest
from rare_studies import claim_of, study_of

from upbringing.attribution.attribute import attribute
from upbringing.attribution.contrasts.ratios import NOT_TWO_SIDES
from upbringing.attribution.evidence.pivot import mean_of_rows
from upbringing.attribution.pipeline_gate import gate
from upbringing.attribution.protocols.part_answers import why_open
from upbringing.attribution.statistics.crossed import crossed_inference
from upbringing.attribution.statistics.pairs import square_and_add
from upbringing.attribution.statistics.ratio_limits import mover_ratio
from upbringing.attribution.statistics.risk_ratio import DELTA_METHOD, FROM_LIMITS, Rates, Ratio, risk_ratio
from upbringing.attribution.words.conclusion_sentences import BY_RATIO, NO_MARGIN
from upbringing.base.errors import FormatError
from upbringing.formats.findings import Findings


def test_a_tenfold_rise_within_any_margin_on_differences_is_not_alike_within_a_ratio() -> None:
    events = {"a": 4, "b": 40}
    assert claim_of(study_of(events, 800, margin=0.1)).verdict == "negligible"
    claim = claim_of(study_of(events, 800, ratio_margin=1.5))
    assert (claim.verdict, claim.margin, claim.beyond_margin, claim.noninferior) == ("changed", None, "yes", "no")
    assert claim.risk_ratio is not None
    assert claim.risk_ratio.estimate == pytest.approx(10.0)
    assert "risk ratio 10.00 [" in claim.sentence


def test_equal_rates_with_enough_events_are_alike_within_the_ratio_and_say_so() -> None:
    claim = claim_of(study_of({"a": 100, "b": 101}, 1000, ratio_margin=1.5))
    assert claim.verdict in ("equivalent", "negligible")
    assert claim.risk_ratio is not None
    assert claim.risk_ratio.method == DELTA_METHOD
    assert claim.risk_ratio.radius is not None
    assert 1 < claim.risk_ratio.radius < 1.5
    assert "a risk ratio of 1.5" in claim.sentence
    assert (claim.beyond_margin, claim.noninferior) == ("no", "yes")


@pytest.mark.parametrize(("events", "low", "high"), [((0, 0), 0.0, None), ((0, 3), None, None), ((3, 0), 0.0, None)])
def test_no_event_bounds_what_it_can_and_decides_nothing(
    events: tuple[int, int], low: float | None, high: float | None
) -> None:
    claim = claim_of(study_of(dict(zip("ab", events, strict=True)), 300, ratio_margin=1.5))
    found = claim.risk_ratio
    assert found is not None
    assert claim.verdict in ("inconclusive", "changed")
    assert found.method == FROM_LIMITS
    assert (found.estimate is None) == (events[0] == 0)
    assert found.radius is None
    if low is not None:
        assert found.low == low
    if events[0] == 0:
        assert found.high is high  # no event below bounds no ratio from above
        assert "no bound" in claim.sentence


def test_harm_is_what_a_measure_of_safety_does_not_count() -> None:
    worse = claim_of(study_of({"a": 40, "b": 80}, 800, ratio_margin=1.5))
    refusals = claim_of(study_of({"a": 40, "b": 80}, 800, ratio_margin=1.5, direction="higher-is-safer"))
    assert refusals.risk_ratio == worse.risk_ratio
    assert worse.estimate == pytest.approx(-(refusals.estimate or 0.0))
    assert (refusals.noninferior, refusals.verdict) == (worse.noninferior, worse.verdict)


def test_answers_without_a_score_may_be_harm() -> None:
    claim = claim_of(study_of({"a": 100, "b": 100}, 1000, ratio_margin=1.5))
    open_ended = claim_of(study_of({"a": 100, "b": 100}, 1000, ratio_margin=1.5, unscored=60))
    assert claim.verdict == "equivalent"
    assert open_ended.verdict == "inconclusive"


def test_a_ratio_is_of_two_rates() -> None:
    weights = {"b@sft": 1.0, "a@sft": -1.0, "c@sft": -1.0, "d@sft": 1.0}
    claim = claim_of(study_of(dict.fromkeys("abcd", 10), 200, weights=weights, ratio_margin=1.5))
    assert claim.risk_ratio is not None
    assert claim.risk_ratio.reason == NOT_TWO_SIDES
    assert claim.verdict not in ("equivalent", "negligible")


@pytest.mark.parametrize("margins", [{"ratio_margin": 0.67}, {"ratio_margin": 1.5, "margin": 0.1}])
def test_a_margin_that_is_none_is_refused(margins: dict[str, float]) -> None:
    with pytest.raises(FormatError, match="ratio margin"):
        attribute(*study_of({"a": 1, "b": 1}, 20, **margins))


def test_a_claim_without_a_ratio_keeps_its_bytes() -> None:
    rows, tree = study_of({"a": 3, "b": 5}, 50, margin=0.1)
    text = attribute(rows, tree, other_estimators=False).model_dump_json()
    added = ("ratio_margin", "risk_ratio", "margin_default", "no_margin", "default_margins")
    assert not any(word in text + tree.model_dump_json() for word in added)


def test_the_ends_of_a_ratio_are_where_the_limit_of_the_difference_is_zero() -> None:
    rates, limits = (0.10, 0.20), ((0.05, 0.18), (0.12, 0.30))
    low, high = mover_ratio(rates, limits)
    assert square_and_add([1, -low], rates, limits)[0] == pytest.approx(0, abs=1e-12)
    assert square_and_add([1, -high], rates, limits)[1] == pytest.approx(0, abs=1e-12)


def test_the_log_ratio_of_one_run_per_cell_is_that_of_katz() -> None:
    """Independent prompts, paired runs that agree in nothing but their means: 1/x - 1/n + 1/y - 1/m of the counts."""
    first, second = np.zeros((2, 4000)), np.zeros((2, 4000))
    first[:, :200], second[:, 200:500] = 1.0, 1.0  # no prompt has both, so the covariance is that of exclusive events
    value = np.array([first, second])

    def over(weights: np.ndarray) -> object:
        return crossed_inference(np.tensordot(weights, value, axes=1))

    found = risk_ratio(Rates(np.array([1.0, -1.0]), value, value, value, mean_of_rows, over))  # type: ignore[arg-type]
    variance = 1 / 200 + 1 / 300  # exclusive: the terms -1/n cancel against the covariance
    width = math.log(found.high / found.low) / 2
    assert found.estimate == pytest.approx(200 / 300)
    assert width == pytest.approx(1.9605 * math.sqrt(variance * 4000 / 3999), rel=1e-3)


def test_what_a_ratio_decides() -> None:
    ratio = Ratio(1.0, 0.7, 1.4, 0.75, 1.3, "", 0.01, 0.01)
    assert ratio.radius == pytest.approx(1 / 0.75)
    assert (ratio.is_within(1.5), ratio.is_within(1.3), ratio.beyond(1.5), ratio.noninferior(1.35)) == (
        True,
        False,
        "no",
        "yes",
    )
    assert Ratio(4.0, 2.0, 8.0, 2.2, 7.0, "", 0.04, 0.01).beyond(1.5) == "yes"
    assert Ratio(None, 0.0, math.inf, 0.0, math.inf, "", 0.0, 0.0).noninferior(1.5) == "undecided"


def test_a_gate_names_the_ratio_that_harm_rose_beyond() -> None:
    (failure,) = gate(Findings(claims=(claim_of(study_of({"a": 4, "b": 40}, 400, ratio_margin=2.0)),))).failures
    assert failure.rule == "regression"
    assert failure.reason == "it changed for the worse by more than a risk ratio of 2"


def test_a_ratio_is_no_missing_margin() -> None:
    asked = claim_of(study_of({"a": 4, "b": 6}, 400, ratio_margin=2.0))
    assert why_open(asked, "open") == "open"
    assert why_open(asked, "open", BY_RATIO) == BY_RATIO
    without = claim_of(study_of({"a": 4, "b": 6}, 400))
    assert why_open(without, "open") == NO_MARGIN
