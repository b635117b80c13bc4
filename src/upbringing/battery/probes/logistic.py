"""Logistic regression with an L2 penalty by Newton's method, for few examples of many dimensions.

With more dimensions than examples the solution lies in the span of the examples, so it is found there: a rotation of
their triangular factor has as many columns as there are examples, and serves every labelling of them.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from upbringing.base.errors import MeasurementError

Numbers = NDArray[np.float64]
Flags = NDArray[np.bool_]
MOST_STEPS = 100  # Newton needs about ten
MOST_HALVINGS = 40
TOLERANCE = 1e-9  # of the gradient's largest part, per example


@dataclass(frozen=True)
class Standardised:
    """Training examples with mean 0 and variance 1 per column, in ``coordinates`` (examples, rank).

    Columns that do not vary are left at 0. ``rotation`` (columns, rank) leads from columns to coordinates, ``None``
    where they are the same.
    """

    mean: Numbers
    scale: Numbers
    coordinates: Numbers
    rotation: Numbers | None

    @classmethod
    def of(cls, examples: NDArray[np.floating]) -> Standardised:
        """Return the standardisation that is fitted on ``examples`` (examples, columns)."""
        numbers = np.asarray(examples, dtype=np.float64)
        mean = numbers.mean(axis=0)
        scale = numbers.std(axis=0)
        scale = np.where(scale > 1e-12 * np.maximum(1.0, np.abs(mean)), scale, np.inf)  # a constant tells nothing
        centred = (numbers - mean) / scale
        if centred.shape[1] <= centred.shape[0]:
            return cls(mean, scale, centred, None)
        rotation, triangle = np.linalg.qr(centred.T)
        return cls(mean, scale, np.ascontiguousarray(triangle.T), rotation)

    def of_others(self, examples: NDArray[np.floating]) -> Numbers:
        """Return other examples in the same coordinates."""
        centred = (np.asarray(examples, dtype=np.float64) - self.mean) / self.scale
        return centred if self.rotation is None else centred @ self.rotation


def balanced_weights(labels: Flags) -> Numbers:
    """Return a weight per example that makes both classes count alike, with mean 1.

    Raises ``MeasurementError`` where one class has no example: then there is nothing to tell apart.
    """
    num_true, num = int(labels.sum()), len(labels)
    if not 0 < num_true < num:
        raise MeasurementError(f"{num_true} of {num} examples are harmful: a probe needs both kinds to train on")
    return np.where(labels, num / (2 * num_true), num / (2 * (num - num_true)))


def fit_logistic(coordinates: Numbers, labels: Flags, penalty: float) -> tuple[Numbers, float]:
    """Return weights (rank,) and intercept that minimise the class-balanced logistic loss plus penalty.

    Loss: sum over examples of weight x log(1 + exp(-sign x score)) + penalty / 2 x |weights|^2; the intercept is not
    penalised. The minimum is unique, so nothing depends on a start. Raises ``MeasurementError`` where it is not found.
    """
    if not penalty > 0:
        raise MeasurementError(f"the penalty is {penalty}: separable examples have no solution without one above 0")
    if not np.isfinite(coordinates).all():
        raise MeasurementError("a probe was given hidden states that are not finite: the checkpoint computes NaN")
    extended = np.concatenate([coordinates, np.ones((len(coordinates), 1))], axis=1)
    signs = np.where(labels, 1.0, -1.0)
    weights = balanced_weights(labels)
    ridge = np.full(extended.shape[1], penalty)
    ridge[-1] = 0.0
    solution = np.zeros(extended.shape[1])
    for _ in range(MOST_STEPS):
        margins = signs * (extended @ solution)
        miss = _sigmoid(-margins)
        gradient = ridge * solution - extended.T @ (weights * signs * miss)
        if np.abs(gradient).max() <= TOLERANCE * len(labels):
            return solution[:-1], float(solution[-1])
        curvature = weights * miss * (1.0 - miss)
        hessian = extended.T @ (curvature[:, None] * extended)
        hessian[np.diag_indices_from(hessian)] += ridge
        hessian[-1, -1] += 1e-12  # all curvatures can underflow when every example is far on its side
        step = np.linalg.solve(hessian, gradient)
        solution = _descended(solution, step, gradient, lambda at: _loss(extended, signs, weights, ridge, at))
    raise MeasurementError(f"a probe did not converge in {MOST_STEPS} steps: are the hidden states finite?")


def _descended(solution: Numbers, step: Numbers, gradient: Numbers, loss: Callable[[Numbers], float]) -> Numbers:
    """Return the point along the step where the loss falls: the whole step, or half of it again and again."""
    before, share = loss(solution), 1.0
    slope = float(gradient @ step)
    for _ in range(MOST_HALVINGS):
        candidate = solution - share * step
        if loss(candidate) <= before - 1e-4 * share * slope + 1e-12 * abs(before):
            return candidate
        share /= 2
    raise MeasurementError("a probe found no step that lowers its loss: are the hidden states finite?")


def _loss(extended: Numbers, signs: Numbers, weights: Numbers, ridge: Numbers, solution: Numbers) -> float:
    return float(weights @ np.logaddexp(0.0, -signs * (extended @ solution)) + 0.5 * (ridge * solution) @ solution)


def _sigmoid(values: Numbers) -> Numbers:
    result: Numbers = np.exp(-np.logaddexp(0.0, -values))
    return result
