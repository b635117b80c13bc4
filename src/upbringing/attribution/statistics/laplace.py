"""Laplace's approximation of a mixed model of 0/1 answers, prompts crossed with runs: value and gradient.

Newton steps find the modes of cells, runs and prompts together. Given the runs, prompts are independent, so that their
2 x 2 blocks are eliminated one by one and what is left has the size of cells and runs. Source: Skaug and Fournier 2006
for the gradient of the approximation; the algebra here is our own.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import special

Array = NDArray[np.float64]

NEWTON_STEPS, HALVINGS, DECREMENT = 60, 30, 1e-11


@dataclass(frozen=True)
class Counts:
    """Answers of one contrast. ``positives``, ``trials``: (cells, runs, prompts); ``weights``: of the cells."""

    positives: Array
    trials: Array
    weights: Array

    @property
    def slopes(self) -> Array:
        """How far each cell lies along the contrast: one unit of it moves the contrast by one."""
        slopes: Array = self.weights / (self.weights @ self.weights)
        return slopes

    @property
    def has_repeats(self) -> bool:
        """Return whether most prompts have two answers or more in each cell, so that cells can differ in them."""
        each = self.trials.sum(axis=1)
        return bool((each.min(axis=0) >= 2).mean() >= 0.5)

    @property
    def one_sided(self) -> tuple[int, ...]:
        """The cells without an answer of one kind: their log-odds are infinite."""
        ones, asked = self.positives.sum(axis=(1, 2)), self.trials.sum(axis=(1, 2))
        return tuple(np.flatnonzero((ones == 0) | (ones == asked)).tolist())


@dataclass
class State:
    """Where the modes stand. ``cells`` (cells), ``runs`` (runs, 2), ``prompts`` (prompts, 2): spherical effects."""

    cells: Array
    runs: Array
    prompts: Array

    def moved(self, step: State, size: float) -> State:
        """Return the state ``size`` of a step further."""
        return State(self.cells + size * step.cells, self.runs + size * step.runs, self.prompts + size * step.prompts)

    def dot(self, other: State) -> float:
        """Return the inner product of two states."""
        return float(
            (self.cells * other.cells).sum() + (self.runs * other.runs).sum() + (self.prompts * other.prompts).sum()
        )


@dataclass(frozen=True)
class Curvature:
    """The Hessian at a state, factored. ``inverse``: of each prompt's block; ``reach``: that times its rows beside.

    ``schur_inverse``: of what is left for cells and runs: their covariance.
    """

    inverse: Array
    beside: Array
    reach: Array
    schur_inverse: Array
    log_determinant: float

    def solve(self, right: State) -> State:
        """Return the solution of ``Hessian x = right``."""
        num_cells = len(right.cells)
        top = np.concatenate([right.cells, right.runs.ravel()]) - np.einsum("neg,ne->g", self.reach, right.prompts)
        joint = self.schur_inverse @ top
        prompts = np.einsum("nef,nf->ne", self.inverse, right.prompts) - self.reach @ joint
        return State(joint[:num_cells], joint[num_cells:].reshape(-1, 2), prompts)


@dataclass
class Model:
    """The counts with the state that the last fit of the modes ended in, from which the next one starts."""

    counts: Counts
    state: State
    curvature: Curvature | None = None

    def objective(self, theta: Array) -> tuple[float, Array]:
        """Return -log of the restricted likelihood by Laplace, without constants, and its gradient.

        ``theta``: of prompts, then of runs, the log-Cholesky parameters (level, slant, along the contrast).
        """
        loads = [_loadings(part, self.counts.slopes) for part in (theta[:3], theta[3:])]
        value = self._find_modes(*loads)
        assert self.curvature is not None
        return value + self.curvature.log_determinant / 2, self._gradient(theta, *loads)

    def _find_modes(self, of_prompts: Array, of_runs: Array) -> float:
        """Move the state to the modes by damped Newton steps and return the penalised -log likelihood there."""
        value = self._penalised(self.state, of_prompts, of_runs)
        for _ in range(NEWTON_STEPS):
            slope = self._slope(of_prompts, of_runs)
            self.curvature = self._curve(of_prompts, of_runs)
            step = self.curvature.solve(slope)
            decrement = slope.dot(step)
            if decrement < DECREMENT:
                break
            size = 1.0
            for _ in range(HALVINGS):
                after = self.state.moved(step, size)
                there = self._penalised(after, of_prompts, of_runs)
                if there <= value:
                    break
                size /= 2
            else:
                break  # rounding: there is no lower place
            self.state, value = after, there
        return value

    def _scale(self, state: State, of_prompts: Array, of_runs: Array) -> Array:
        """Return the log-odds of every cell, run and prompt."""
        prompts = of_prompts @ state.prompts.T
        found: Array = (state.cells[:, None] + of_runs @ state.runs.T)[:, :, None] + prompts[:, None, :]
        return found

    def _penalised(self, state: State, of_prompts: Array, of_runs: Array) -> float:
        scale = self._scale(state, of_prompts, of_runs)
        counts = self.counts
        likelihood = float((counts.positives * scale - counts.trials * np.logaddexp(0.0, scale)).sum())
        return (float((state.runs**2).sum()) + float((state.prompts**2).sum())) / 2 - likelihood

    def _residual(self, of_prompts: Array, of_runs: Array) -> tuple[Array, Array, Array]:
        """Return the residuals, the weights of the answers (their variances) and the probabilities."""
        chance = special.expit(self._scale(self.state, of_prompts, of_runs))
        expected = self.counts.trials * chance
        return self.counts.positives - expected, expected * (1 - chance), chance

    def _slope(self, of_prompts: Array, of_runs: Array) -> State:
        """Return the direction of steepest descent of the penalised -log likelihood."""
        residual = self._residual(of_prompts, of_runs)[0]
        found = _onto(residual, of_prompts, of_runs)
        return State(found.cells, found.runs - self.state.runs, found.prompts - self.state.prompts)

    def _curve(self, of_prompts: Array, of_runs: Array) -> Curvature:
        weight = self._residual(of_prompts, of_runs)[1]
        num_cells, num_runs, num_prompts = weight.shape
        blocks = np.einsum("cn,ce,cf->nef", weight.sum(axis=1), of_prompts, of_prompts) + np.eye(2)
        determinants = blocks[:, 0, 0] * blocks[:, 1, 1] - blocks[:, 0, 1] ** 2
        inverse = np.empty_like(blocks)
        inverse[:, 0, 0], inverse[:, 1, 1] = blocks[:, 1, 1], blocks[:, 0, 0]
        inverse[:, 0, 1] = inverse[:, 1, 0] = -blocks[:, 0, 1]
        inverse /= determinants[:, None, None]
        width = num_cells + 2 * num_runs
        beside = np.empty((num_prompts, 2, width))
        beside[:, :, :num_cells] = np.einsum("cn,ce->nec", weight.sum(axis=1), of_prompts)
        both = np.einsum("ce,cd->ced", of_prompts, of_runs)
        beside[:, :, num_cells:] = np.einsum("ced,csn->nesd", both, weight).reshape(num_prompts, 2, -1)
        reach = inverse @ beside
        schur = _global_block(weight.sum(axis=2), of_runs)
        schur -= beside.reshape(-1, width).T @ reach.reshape(-1, width)
        factor = np.linalg.cholesky(schur)
        left = np.linalg.inv(factor)
        log_determinant = float(np.log(determinants).sum() + 2 * np.log(np.diag(factor)).sum())
        return Curvature(inverse, beside, reach, left.T @ left, log_determinant)

    def _gradient(self, theta: Array, of_prompts: Array, of_runs: Array) -> Array:
        """Return the gradient: the modes move with ``theta`` and the curvature moves with the modes.

        With h the variance of an answer's log-odds, K its covariance with an effect, r, w and w' an answer's residual,
        weight and the derivative of that, and m the Hessian's solution for the derivatives of its log determinant, each
        loading of an effect e has the derivative ``sum((h w' / 2 - r - w Zm / 2) e + w K + r m / 2)``.
        """
        assert self.curvature is not None
        residual, weight, chance = self._residual(of_prompts, of_runs)
        with_prompts, with_runs, variance = _covariances(self.curvature, of_prompts, of_runs)
        bend = variance * weight * (1 - 2 * chance)
        moved = self.curvature.solve(_onto(bend, of_prompts, of_runs))
        direct = bend / 2 - residual - weight * self._scale(moved, of_prompts, of_runs) / 2
        prompts = direct.sum(axis=1) @ self.state.prompts + np.einsum("csn,csne->ce", weight, with_prompts)
        prompts += residual.sum(axis=1) @ moved.prompts / 2
        runs = direct.sum(axis=2) @ self.state.runs + np.einsum("csn,csnd->cd", weight, with_runs)
        runs += residual.sum(axis=2) @ moved.runs / 2
        slopes = self.counts.slopes
        found = []
        for part, by_loading in ((theta[:3], prompts), (theta[3:], runs)):
            level, along = by_loading.sum(axis=0)[0], slopes @ by_loading
            found += [np.exp(part[0]) * level, along[0], np.exp(part[2]) * along[1]]
        return np.array(found)


def _loadings(part: Array, slopes: Array) -> Array:
    """Return how much of each spherical effect reaches each cell: (cells, 2)."""
    return np.stack([np.exp(part[0]) + part[1] * slopes, np.exp(part[2]) * slopes], axis=1)


def _onto(values: Array, of_prompts: Array, of_runs: Array) -> State:
    """Return the sums of ``values`` (cells, runs, prompts) that each cell mean, run effect and prompt effect bears."""
    return State(values.sum(axis=(1, 2)), values.sum(axis=2).T @ of_runs, values.sum(axis=1).T @ of_prompts)


def _global_block(weight: Array, of_runs: Array) -> Array:
    """Return the Hessian of cells and runs for fixed prompts. ``weight``: (cells, runs)."""
    num_cells, num_runs = weight.shape
    block = np.zeros((num_cells + 2 * num_runs,) * 2)
    cells, runs = np.arange(num_cells), num_cells + np.arange(2 * num_runs).reshape(num_runs, 2)
    block[cells, cells] = weight.sum(axis=1)
    beside = np.einsum("cs,cd->csd", weight, of_runs).reshape(num_cells, -1)
    block[:num_cells, num_cells:], block[num_cells:, :num_cells] = beside, beside.T
    block[runs[:, :, None], runs[:, None, :]] = np.einsum("cs,cd,ce->sde", weight, of_runs, of_runs) + np.eye(2)
    return block


def _covariances(found: Curvature, of_prompts: Array, of_runs: Array) -> tuple[Array, Array, Array]:
    """Return each answer's log-odds' covariance with its prompt's and its run's effects, and its variance."""
    num_cells, num_prompts = len(of_prompts), len(found.inverse)
    joint = found.schur_inverse
    across = -found.reach @ joint  # (prompts, 2, cells and runs)
    own = found.inverse - across @ found.reach.transpose(0, 2, 1)
    to_cells, to_runs = across[:, :, :num_cells], across[:, :, num_cells:].reshape(num_prompts, 2, -1, 2)
    runs = joint[num_cells:, num_cells:].reshape(to_runs.shape[2], 2, to_runs.shape[2], 2)
    cells_runs = joint[:num_cells, num_cells:].reshape(num_cells, -1, 2)
    with_prompts = (np.einsum("nef,cf->cne", own, of_prompts) + to_cells.transpose(2, 0, 1))[:, None]
    with_prompts = with_prompts + np.einsum("nesd,cd->csne", to_runs, of_runs)
    given = cells_runs + np.einsum("sdse,ce->csd", runs, of_runs)
    with_runs = np.einsum("nesd,ce->csnd", to_runs, of_prompts) + given[:, :, None]
    with_cells = np.einsum("nec,ce->cn", to_cells, of_prompts)[:, None]
    of_cells = np.diag(joint)[:num_cells, None] + np.einsum("csd,cd->cs", cells_runs, of_runs)
    with_cells = with_cells + of_cells[:, :, None]
    variance = np.einsum("csne,ce->csn", with_prompts, of_prompts) + np.einsum("csnd,cd->csn", with_runs, of_runs)
    return with_prompts, with_runs, variance + with_cells
