"""A mixed model of 0/1 answers: ``logit y ~ cell + (1 + cell | prompt) + (1 + cell | run)``, prompts crossed with runs.

Effects of prompts and runs are integrated out by Laplace's approximation (``laplace``), and their variances maximise
what is left. Source: Bates et al. 2015 (arXiv 1406.5823) for the model with spherical effects and a Cholesky factor;
its diagonal is kept positive by logarithms.

Departures: cell means are integrated with a flat prior (restricted likelihood), as maximum likelihood takes the
variance of few runs for too small; of several cells, prompts and runs vary in their level and along the contrast alone,
which with two cells is ``1 + cell``; there is no ``(1 | template)``, for the templates of a study are conditions, each
with claims of its own; runs that branch off one root, and variants of one request, count as answers of that root and
request; where a prompt has one answer in each cell its effects cannot be told apart, and it has a level only.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import optimize, special

from upbringing.attribution.statistics.laplace import Array, Counts, Model, State

SMALLEST, LARGEST = float(np.log(0.01)), float(np.log(10.0))  # standard deviations of effects, in log-odds
ABSENT = -40.0  # log of a standard deviation that is none
SLANT = 10.0  # largest entry below the diagonal of a Cholesky factor
WIDE, NARROW = 0.0, -1.0  # log standard deviations to start from: of prompts, and of all else
TOLERANCE = 1e-10
STEEP = 0.05  # a derivative that is left by a log standard deviation: larger means that no optimum was found


@dataclass(frozen=True)
class Fit:
    """A contrast of log-odds, given prompt and run. ``deviations``: of prompts and of runs, level and along it."""

    estimate: float
    standard_error: float
    deviations: tuple[tuple[float, float], tuple[float, float]]


def fit_glmm(counts: Counts) -> Fit | None:
    """Return the contrast of log-odds; ``None`` where no optimum was found or a variance has no finite estimate.

    Cells whose answers are all alike (``Counts.one_sided``) have no log-odds: they must not come here.
    """
    model = Model(counts, _start(counts))
    bounds, start = _parameters(has_slope=counts.has_repeats)
    try:
        found = optimize.minimize(
            model.objective,
            start,
            jac=True,
            method="L-BFGS-B",
            bounds=bounds,
            options={"ftol": TOLERANCE, "gtol": STEEP / 100},
        ).x
        _, gradient = model.objective(found)
    except np.linalg.LinAlgError:
        return None
    is_inside = np.array([low < value < high for value, (low, high) in zip(found, bounds, strict=True)])
    is_finite = max(found[place] for place in (0, 2, 3, 5)) < LARGEST
    if model.curvature is None or not is_finite or (np.abs(gradient[is_inside]) > STEEP).any():
        return None
    num_cells = len(counts.weights)
    covariance = model.curvature.schur_inverse[:num_cells, :num_cells]
    return Fit(
        estimate=float(counts.weights @ model.state.cells),
        standard_error=float(np.sqrt(counts.weights @ covariance @ counts.weights)),
        deviations=(_deviations(found[:3]), _deviations(found[3:])),
    )


def _start(counts: Counts) -> State:
    """Return the cells' own log-odds, half an answer of each kind added, and no effects."""
    _, num_runs, num_prompts = counts.trials.shape
    rates = (counts.positives.sum(axis=(1, 2)) + 0.5) / (counts.trials.sum(axis=(1, 2)) + 1)
    return State(special.logit(rates), np.zeros((num_runs, 2)), np.zeros((num_prompts, 2)))


def _parameters(*, has_slope: bool) -> tuple[list[tuple[float, float]], Array]:
    """Return the bounds and the start of the six parameters. ``has_slope``: whether prompts vary along the contrast."""
    deviation, slant = (SMALLEST, LARGEST), (-SLANT, SLANT)
    along = [slant, deviation] if has_slope else [(0.0, 0.0), (ABSENT, ABSENT)]
    start = [WIDE, 0.0, NARROW if has_slope else ABSENT, NARROW, 0.0, NARROW]
    return [deviation, *along, deviation, slant, deviation], np.array(start)


def _deviations(part: Array) -> tuple[float, float]:
    return float(np.exp(part[0])), float(np.hypot(part[1], np.exp(part[2])))
