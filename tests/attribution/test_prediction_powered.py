"""Prediction-powered inference by hand, and what must be so whatever the judge is worth."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from upbringing.attribution.statistics.prediction_powered import Form, Labelled, prediction_powered

HUMAN = np.array([1.0, 0.0, 1.0, 0.0])
JUDGED = np.array([1.0, 0.0, 0.0, 0.0])
EVERYTHING = np.array([1.0, 0.0, 1.0, 1.0, 0.0, 0.0])  # mean 1/2


def labelled(human: NDArray[np.float64], judged: NDArray[np.float64], weight: float = 1.0) -> Labelled:
    return Labelled(human, judged, np.full(len(human), weight))


def test_excluded_form_by_hand() -> None:
    # cov 1/6, variance of the judge 1/4: power (1/6) / ((1 + 4/6) / 4) = 2/5; residuals .6, 0, 1, 0 of variance .24
    found = prediction_powered(labelled(HUMAN, JUDGED), EVERYTHING, "excluded")
    assert found.power == pytest.approx(0.4)
    assert found.estimate == pytest.approx(0.4 * 0.5 + 0.4)
    assert found.standard_error**2 == pytest.approx(0.4**2 * 0.25 / 6 + 0.24 / 4)


def test_included_form_by_hand() -> None:
    found = prediction_powered(labelled(HUMAN, JUDGED), EVERYTHING, "included")
    power = (1 / 6) / (1 / 4)
    assert found.power == pytest.approx(power)
    assert found.estimate == pytest.approx(power * 0.5 + 0.5 - power * 0.25)
    variance = (1 / 3) / 4 - (1 / 4 - 1 / 6) * (2 * power / 6 - power**2 / 4)
    assert found.standard_error**2 == pytest.approx(variance)


@pytest.mark.parametrize("form", ["included", "excluded"])
def test_without_power_the_labels_speak_alone(form: Form) -> None:
    found = prediction_powered(labelled(HUMAN, JUDGED), EVERYTHING, form, power=0.0)
    assert found.estimate == HUMAN.mean()
    assert found.standard_error == pytest.approx(HUMAN.std(ddof=1) / 2)


def test_a_perfect_judge_is_taken_at_its_word() -> None:
    found = prediction_powered(labelled(HUMAN, HUMAN), EVERYTHING, "included")
    assert found.power == pytest.approx(1.0)
    assert found.estimate == pytest.approx(EVERYTHING.mean())
    assert found.standard_error**2 == pytest.approx(HUMAN.var(ddof=1) / len(EVERYTHING))


@pytest.mark.parametrize("power", [None, 0.0, 0.3, 1.0])
def test_where_everything_is_labelled_people_have_the_say(power: float | None) -> None:
    found = prediction_powered(labelled(HUMAN, JUDGED), JUDGED, "included", power)
    assert found.estimate == pytest.approx(HUMAN.mean())
    assert found.standard_error == pytest.approx(HUMAN.std(ddof=1) / 2)


def test_equal_weights_change_nothing() -> None:
    plain = prediction_powered(labelled(HUMAN, JUDGED), EVERYTHING, "included")
    scaled = prediction_powered(labelled(HUMAN, JUDGED, 7.5), EVERYTHING, "included")
    assert vars(scaled) == pytest.approx(vars(plain))


def test_the_chosen_power_has_the_smallest_variance() -> None:
    random = np.random.default_rng(0)
    human = random.random(40).round()
    judged = np.where(random.random(40) < 0.8, human, 1 - human)
    sample = Labelled(human, judged, np.where(judged > 0, 1.5, 9.0))
    everything = random.random(300).round()
    best = prediction_powered(sample, everything, "included")
    for power in np.linspace(0, 1, 21):
        other = prediction_powered(sample, everything, "included", float(power))
        assert other.standard_error >= best.standard_error - 1e-12


def test_labels_that_do_not_vary_leave_the_judge_its_say() -> None:
    found = prediction_powered(labelled(np.zeros(4), np.zeros(4)), EVERYTHING, "included")
    assert (found.power, found.estimate) == (1.0, 0.5)


def test_what_cannot_be_said_is_refused() -> None:
    with pytest.raises(ValueError, match="two are needed"):
        prediction_powered(labelled(HUMAN[:1], JUDGED[:1]), EVERYTHING, "included")
    unequal = Labelled(HUMAN, JUDGED, np.array([1.0, 2.0, 1.0, 1.0]))
    with pytest.raises(ValueError, match="use the form 'included'"):
        prediction_powered(unequal, EVERYTHING, "excluded")


def test_both_forms_cover_a_planted_difference() -> None:
    random = np.random.default_rng(1)
    covered = {"included": 0, "excluded": 0}
    repeats = 600
    for _ in range(repeats):
        human = random.choice([-1.0, 0.0, 1.0], 400, p=[0.1, 0.6, 0.3])
        judged = np.clip(human + random.choice([-1.0, 0.0, 1.0], 400, p=[0.05, 0.75, 0.2]), -1, 1)
        sample = labelled(human[:80], judged[:80])
        for form in covered:
            rest = judged if form == "included" else judged[80:]
            found = prediction_powered(sample, rest, form)  # type: ignore[arg-type]
            covered[form] += abs(found.estimate - 0.2) < 1.96 * found.standard_error
    assert all(0.92 <= num / repeats <= 0.98 for num in covered.values()), (
        covered
    )  # two Monte Carlo errors beyond 93-97 %
