"""Rogan and Gladen's estimator by hand, its limits, and levels in findings that follow it."""

from __future__ import annotations

import numpy as np
import pytest
from judged_studies import Judged

from upbringing.attribution.attribute import attribute
from upbringing.attribution.statistics.rates import Stratum, rate
from upbringing.attribution.statistics.rogan_gladen import (
    Errors,
    Known,
    corrected_level,
    corrected_share,
    known,
    rogan_gladen,
)

JUDGED = Known(0.4, 0.4 * 0.6 / 100)
ERRORS = Errors(Known(0.9, 0.9 * 0.1 / 40), Known(0.8, 0.8 * 0.2 / 60))


def test_by_hand() -> None:
    found = rogan_gladen(JUDGED, ERRORS)
    assert found is not None
    share = (0.4 + 0.8 - 1) / 0.7
    assert found.share == pytest.approx(share)
    variance = (0.4 * 0.6 / 100 + (1 - share) ** 2 * 0.8 * 0.2 / 60 + share**2 * 0.9 * 0.1 / 40) / 0.7**2
    assert found.variance == pytest.approx(variance) == pytest.approx(0.0080494, abs=1e-7)


def test_a_perfect_judge_is_not_corrected() -> None:
    perfect = Errors(Known(1.0, 0.0), Known(1.0, 0.0))
    found = rogan_gladen(JUDGED, perfect)
    assert found is not None
    assert vars(found) == pytest.approx(vars(JUDGED))


@pytest.mark.parametrize(("judged", "expected"), [(0.1, 0.0), (0.2, 0.0), (0.9, 1.0), (0.95, 1.0)])
def test_shares_stay_shares(judged: float, expected: float) -> None:
    assert corrected_share(judged, ERRORS) == pytest.approx(expected)


def test_a_judge_no_better_than_a_coin_corrects_nothing() -> None:
    coin = Errors(Known(0.6, 0.001), Known(0.4, 0.001))
    assert rogan_gladen(JUDGED, coin) is None
    barely = Errors(Known(0.6, 0.01), Known(0.5, 0.01))  # better by .1, which the labels do not show
    assert rogan_gladen(JUDGED, barely) is not None
    assert corrected_level(JUDGED, 10.0, [(0.4, barely)]) is None


def test_a_level_is_the_mean_of_its_corrected_checkpoints() -> None:
    other = Errors(Known(0.7, 0.002), Known(0.9, 0.002))
    found = corrected_level(JUDGED, None, [(0.4, ERRORS), (0.4, other)])
    assert found is not None
    shares = [(0.4 + 0.8 - 1) / 0.7, (0.4 + 0.9 - 1) / 0.6]
    assert found.estimate == pytest.approx(np.mean(shares))
    information = (0.7 + 0.6) / 2
    labels = (ERRORS.noise(shares[0]) / 0.7**2 + other.noise(shares[1]) / 0.6**2) / 4
    assert found.variance == pytest.approx(JUDGED.variance / information**2 + labels)


def test_labels_weigh_by_how_they_were_drawn() -> None:
    """Of 100 harmful answers the judge finds 80; all it found are labelled, of the others one in ten."""
    strata = [Stratum(1.0, 80, 80, 0), Stratum(10.0, 2, 0, 2)]
    found = known(rate(strata))
    assert found is not None
    assert found.share == pytest.approx(0.8)
    assert rate([Stratum(1.0, 82, 80, 2)]).share == pytest.approx(80 / 82)  # what ignoring the drawing would say


def test_levels_stand_beside_what_the_judge_says() -> None:
    study = Judged(errors=((0.95, 0.9), (0.6, 0.9)), num_items=400, num_labels=150)
    rows, tree, labels = study.study(0)
    bare = {line["cell"]: line for line in attribute(rows, tree).tables["levels"]}
    found = {line["cell"]: line for line in attribute(rows, tree, labels).tables["levels"]}
    for cell, line in found.items():
        assert line["estimate"] == bare[cell]["estimate"]
        assert 0 <= line["corrected_low"] < line["corrected"] < line["corrected_high"] <= 1
        assert line["corrected_labels"] == 5 * 150
        assert "corrected" not in bare[cell]
    assert found["b@sft"]["corrected"] > found["b@sft"]["estimate"] + 0.08  # four in ten were missed


def test_corrected_levels_cover_the_truth() -> None:
    study = Judged()
    inside, judged_inside = [], []
    truth = study.truth_rate("b")
    for seed in range(60):
        rows, tree, labels = study.study(seed)
        line = next(each for each in attribute(rows, tree, labels).tables["levels"] if each["cell"] == "b@sft")
        inside.append(line["corrected_low"] <= truth <= line["corrected_high"])
        judged_inside.append(line["low"] <= truth <= line["high"])
    assert np.mean(inside) >= 0.93
    assert np.mean(judged_inside) < 0.6
