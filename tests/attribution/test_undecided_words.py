"""What undecided claims say of themselves: no change that cannot be, no more evidence where evidence does not help."""

from __future__ import annotations

import pytest

from upbringing.attribution.statistics.adjusted_intervals import simultaneous_intervals
from upbringing.attribution.words.margin_words import radius
from upbringing.attribution.words.undecided_words import is_beyond_evidence, why_undecided
from upbringing.formats.findings import Claim


def claim(**fields: object) -> Claim:
    known = {"id": "claim-0", "kind": "branch", "measure": "harm", "contrast": "a - b", "estimate": 0.0, "low": -0.2,
             "high": 0.2, "weights": {"a": 1.0, "b": -1.0}, "margin": 0.1, "verdict": "inconclusive"}  # fmt: skip
    return Claim(**{**known, **fields})


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"minimum_detectable": 0.3}, "a change of 0.30 would be found with 80% power"),
        (
            {"minimum_detectable": 1.41},
            "not even the largest change of rates there can be would be found with 80% power",
        ),
        ({"minimum_detectable": 1.41, "unit": "nats"}, "a change of 1.41 would be found with 80% power"),
        ({"minimum_detectable": 1.41, "scale": "logit"}, "a change of 1.41 would be found with 80% power"),
        (
            {"minimum_detectable": 1.41, "weights": {"a": 1.0, "b": -1.0, "c": -1.0, "d": 1.0}},
            "a change of 1.41 would be found with 80% power",
        ),
    ],
)
def test_no_change_is_promised_that_rates_cannot_make(fields: dict[str, object], said: str) -> None:
    assert why_undecided(claim(**fields)) == [said]


@pytest.mark.parametrize(
    ("bounds", "margin", "is_beyond"),
    [({"low": -0.24, "high": 0.24}, 0.1, True), ({"low": -0.05, "high": 0.05}, 0.1, False), ({}, 0.1, False),
     ({"low": -0.24, "high": 0.24}, None, False)],
)  # fmt: skip
def test_what_is_hidden_is_not_found_by_more_seeds(
    bounds: dict[str, float], margin: float | None, is_beyond: bool
) -> None:
    assert is_beyond_evidence(claim(bounds=bounds, margin=margin)) is is_beyond


@pytest.mark.parametrize(("shown", "said"), [(0.0312, "0.04"), (0.03, "0.03"), (0.1, "0.10"), (0.0001, "0.01")])
def test_a_radius_is_never_rounded_below_what_was_shown(shown: float, said: str) -> None:
    assert radius(claim(equivalence_radius=shown)) == f"margin above {said}"


def test_intervals_of_rates_that_hold_together_stay_where_rates_can_be() -> None:
    known = {"estimate": 0.82, "low": 0.55, "high": 1.0, "df": 4.0, "p": 0.001, "role": "primary", "family": "primary"}
    found = simultaneous_intervals([claim(**known), claim(**{**known, "id": "claim-1", "high": 1.09})])
    assert found["claim-0"].high == 1.0
    assert found["claim-0"].low < 0.55
    assert found["claim-1"].high > 1.09  # not cut at 1, so it is not of rates


@pytest.mark.parametrize(
    ("fields", "said"),
    [({}, "that could not be scored"), ({"error_gap": 0.24}, "the errors of its judge differ"),
     ({"error_gap": 0.24, "unscored": 3}, "and on answers that could not be scored")],
)  # fmt: skip
def test_the_sign_depends_on_what_it_depends_on(fields: dict[str, object], said: str) -> None:
    (reason,) = why_undecided(claim(bounds={"low": -0.2, "high": 0.2}, **fields))
    assert reason.endswith(said)
