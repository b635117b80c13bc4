"""Margins that nobody declared: the reference's by kind of measure, only where a study asks, and said on the claim."""

from __future__ import annotations

import pytest
from rare_studies import claim_of, study_of

from upbringing.attribution.attribute import attribute
from upbringing.attribution.contrasts.default_margins import NO_GROUPS, NOT_TWO_SIDES
from upbringing.formats.tree import MeasureInfo

STRICT, LOOSE = {"default_margins": "strict"}, {"default_margins": "loose"}


@pytest.mark.parametrize(("rule", "margin"), [("strict", 0.05), ("loose", 0.10)])
def test_common_rates_get_a_margin_on_their_difference(rule: str, margin: float) -> None:
    claim = claim_of(study_of({"a": 60, "b": 61}, 200, info={"default_margins": rule}))
    assert (claim.margin, claim.risk_ratio, claim.margin_default) == (margin, None, rule)
    assert f"its margin is the default ({rule}), none was declared for it" in (claim.model_extra or {})["statement"]


def test_rare_harm_gets_a_ratio_whichever_way_it_is_counted() -> None:
    for direction in ("lower-is-safer", "higher-is-safer"):
        claim = claim_of(study_of({"a": 4, "b": 60}, 200, info=STRICT, direction=direction))
        assert claim.margin is None
        assert claim.risk_ratio is not None
        assert (claim.risk_ratio.margin, claim.margin_default) == (1.5, "strict")


def test_a_planted_likeness_of_rare_harm_is_found_by_default_and_a_rise_is_not_alike() -> None:
    alike = claim_of(study_of({"a": 90, "b": 90}, 1000, info=STRICT))
    risen = claim_of(study_of({"a": 20, "b": 60}, 1000, info=LOOSE))
    assert alike.verdict == "equivalent"
    assert risen.verdict == "changed"  # by a margin of 0.10 it would be negligible


def test_harm_that_is_nearly_always_there_has_no_default() -> None:
    claim = claim_of(study_of({"a": 195, "b": 196}, 200, info=STRICT))
    assert (claim.margin, claim.risk_ratio, claim.margin_default) == (None, None, None)
    assert "is no rare harm" in claim.no_margin
    assert f"no margin: {claim.no_margin}" in (claim.model_extra or {})["statement"]


def test_an_interaction_of_rare_harm_has_no_default() -> None:
    weights = {"b@sft": 1.0, "a@sft": -1.0, "c@sft": -1.0, "d@sft": 1.0}
    claim = claim_of(study_of(dict.fromkeys("abcd", 4), 200, weights=weights, info=STRICT))
    assert claim.no_margin == NOT_TWO_SIDES


@pytest.mark.parametrize(
    ("unit", "estimator", "known", "margin"),
    [
        ("AUROC", "mean", {}, 0.03),
        ("nats", "mean", {"a": "safety-trained", "b": "helpful-only"}, 0.2),  # a gap of 2 nats
        ("nats", "mean", {}, NO_GROUPS),
        ("bits/byte", "mean", {}, "there is no default margin for a measure in bits/byte"),
    ],
)
def test_other_kinds_of_measures(unit: str, estimator: str, known: dict[str, str], margin: float | str) -> None:
    rows, tree = study_of({"a": 60, "b": 160}, 200, info=STRICT, known=known)
    info = MeasureInfo(id="harm", direction="lower-is-safer", unit=unit, estimator=estimator)
    place = rows.schema.get_field_index("value")
    values = [value * 4.0 - 1.0 for value in rows["value"].to_pylist()]
    rows = rows.set_column(place, rows.schema.field(place), [values])
    claim = attribute(rows, tree.model_copy(update={"measures": (info,)}), other_estimators=False).claims[0]
    assert (claim.margin if claim.margin is not None else claim.no_margin) == pytest.approx(margin)


def test_what_was_declared_stays_and_nothing_is_given_where_nothing_was_asked() -> None:
    declared = claim_of(study_of({"a": 60, "b": 61}, 200, info=STRICT, margin=0.2))
    of_measure = claim_of(study_of({"a": 60, "b": 61}, 200, info={**STRICT, "ratio_margins": {"harm": 2.0}}))
    silent = claim_of(study_of({"a": 60, "b": 61}, 200))
    assert (declared.margin, declared.margin_default) == (0.2, None)
    assert of_measure.risk_ratio is not None
    assert (of_measure.risk_ratio.margin, of_measure.margin_default) == (2.0, None)
    assert (silent.margin, silent.risk_ratio, silent.no_margin) == (None, None, "")
