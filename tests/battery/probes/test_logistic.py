"""The logistic regression: by hand, against scikit-learn, and the same in either way of computing it."""

from __future__ import annotations

import numpy as np
import pytest

from upbringing.base.errors import MeasurementError
from upbringing.battery.probes.logistic import Standardised, balanced_weights, fit_logistic


def examples(num: int, columns: int, *, separable: bool = False) -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(3)
    features = random.standard_normal((num, columns))
    signal = features[:, 0] + (0.0 if separable else 1.0) * random.standard_normal(num)
    return features, signal > 0.3  # unequal kinds


@pytest.mark.parametrize(("num", "columns"), [(80, 5), (60, 60), (40, 200)])
@pytest.mark.parametrize("penalty", [0.1, 1.0, 30.0])
@pytest.mark.parametrize("separable", [False, True])
def test_weights_are_those_of_scikit_learn(num: int, columns: int, penalty: float, separable: bool) -> None:
    linear_model = pytest.importorskip("sklearn.linear_model")
    features, labels = examples(num, columns, separable=separable)
    standardised = Standardised.of(features)
    weights, intercept = fit_logistic(standardised.coordinates, labels, penalty)
    full = weights if standardised.rotation is None else standardised.rotation @ weights
    scaled = (features - features.mean(axis=0)) / features.std(axis=0)
    reference = linear_model.LogisticRegression(
        C=1 / penalty, class_weight="balanced", solver="newton-cholesky", tol=1e-12, max_iter=1000
    ).fit(scaled, labels)
    assert full == pytest.approx(reference.coef_[0], abs=1e-6)
    assert intercept == pytest.approx(float(reference.intercept_[0]), abs=1e-6)


def test_one_column_by_hand() -> None:
    """Two examples at -1 and 1: the weight solves w = 2 sigmoid(-w), the intercept is 0."""
    weights, intercept = fit_logistic(np.array([[-1.0], [1.0]]), np.array([False, True]), 1.0)
    assert weights[0] == pytest.approx(2 / (1 + np.exp(weights[0])), abs=1e-9)
    assert weights[0] == pytest.approx(0.6748, abs=1e-4)
    assert intercept == pytest.approx(0.0, abs=1e-9)


def test_more_columns_than_examples_score_others_like_the_plain_way() -> None:
    features, labels = examples(30, 90)
    others = np.random.default_rng(4).standard_normal((7, 90))
    wide = Standardised.of(features)
    weights, intercept = fit_logistic(wide.coordinates, labels, 2.0)
    plain = (features - features.mean(axis=0)) / features.std(axis=0)
    slow, middle = fit_logistic(plain, labels, 2.0)
    expected = (others - features.mean(axis=0)) / features.std(axis=0) @ slow + middle
    assert wide.of_others(others) @ weights + intercept == pytest.approx(expected, abs=1e-6)


def test_a_constant_column_tells_nothing_also_where_it_changes_later() -> None:
    features, _ = examples(30, 3)
    features[:, 1] = 0.1
    others = features.copy()
    others[:, 1] = 1e6
    standardised = Standardised.of(features)
    assert standardised.of_others(others) == pytest.approx(standardised.of_others(features), abs=1e-9)


def test_both_kinds_count_alike() -> None:
    labels = np.array([True] + [False] * 3)
    weights = balanced_weights(labels)
    assert weights.tolist() == pytest.approx([2.0, 2 / 3, 2 / 3, 2 / 3])
    assert weights.mean() == pytest.approx(1.0)


@pytest.mark.parametrize(
    ("labels", "penalty", "says"), [([True, True], 1.0, "both kinds"), ([True, False], 0.0, "pen")]
)
def test_what_has_no_solution_is_an_error(labels: list[bool], penalty: float, says: str) -> None:
    with pytest.raises(MeasurementError, match=says):
        fit_logistic(np.array([[-1.0], [1.0]]), np.array(labels), penalty)


def test_numbers_that_are_none_are_an_error() -> None:
    with pytest.raises(MeasurementError, match="not finite"):
        fit_logistic(np.array([[np.nan], [1.0]]), np.array([True, False]), 1.0)
