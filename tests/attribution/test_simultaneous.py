"""Simultaneous intervals: Bonferroni's t, one family at a time, that hold together where single ones do not."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from upbringing.attribution.statistics.adjusted_intervals import Together, simultaneous_intervals
from upbringing.attribution.statistics.crossed import crossed_inference
from upbringing.formats.findings import Claim


def claim(name: str, **fields: object) -> Claim:
    known = {"estimate": 0.2, "low": 0.1, "high": 0.3, "df": 4.0, "p": 0.01, "role": "primary", "family": "primary"}
    return Claim(id=name, kind="branch", measure="harm", contrast=name, **{**known, **fields})


def test_each_interval_is_at_its_part_of_the_error() -> None:
    claims = [claim(str(number)) for number in range(5)]
    found = simultaneous_intervals(claims)
    half = 0.1 * stats.t.ppf(1 - 0.05 / 5 / 2, 4) / stats.t.ppf(0.975, 4)
    assert found["0"] == Together(pytest.approx(0.2 - half, abs=1e-12), pytest.approx(0.2 + half, abs=1e-12), 5)


def test_families_are_apart_and_what_is_blocked_counts() -> None:
    blocked = claim("blocked", p=None, estimate=None, low=None, high=None, blocked_by=("gate",))
    others = [claim("other", family="other"), claim("explored", role="exploratory")]
    found = simultaneous_intervals([claim("0"), blocked, *others])
    assert set(found) == {"0"}  # alone in its family, or exploratory: nothing is compared
    assert found["0"].num == 2


def test_answers_without_a_score_widen_them_by_as_much() -> None:
    (plain, _) = simultaneous_intervals([claim("0"), claim("1")]).values()
    open_ended = claim("0", low=0.05, high=0.35, bounds={"low": 0.15, "high": 0.25})
    (widened, _) = simultaneous_intervals([open_ended, claim("1")]).values()
    assert (plain.low - widened.low, widened.high - plain.high) == pytest.approx((0.05, 0.05))


def test_six_nulls_are_held_together_and_not_by_single_intervals() -> None:
    """Planted nulls: 400 studies of six contrasts; all six intervals hold 0."""
    random, num = np.random.default_rng(0), 6
    alone = together = 0
    for _ in range(400):
        claims = []
        for number in range(num):
            table = random.normal(0, 0.3, (5, 1)) + random.normal(0, 1.0, (5, 60))
            found = crossed_inference(table)
            fields = {name: getattr(found, name) for name in ("estimate", "low", "high", "df", "p", "spread")}
            claims.append(claim(str(number), **fields))
        alone += all(each.low <= 0 <= each.high for each in claims)  # type: ignore[operator]
        together += all(each.low <= 0 <= each.high for each in simultaneous_intervals(claims).values())
    assert together / 400 >= 0.93
    assert alone / 400 < 0.85
