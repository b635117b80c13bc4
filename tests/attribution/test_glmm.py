"""The mixed model: its gradient, numerical integrals of tiny models, planted log-odds, and what it refuses."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
from scipy import special

from upbringing.attribution.statistics.glmm import ABSENT, SMALLEST, fit_glmm
from upbringing.attribution.statistics.inference import t_quantile
from upbringing.attribution.statistics.laplace import Counts, Model, State

DIFFERENCE = np.array([-1.0, 1.0])
TYPICAL = np.array([0.2, -0.3, -0.7, -1.0, 0.4, -0.9])


def simulated(
    seed: int,
    *,
    effect: float,
    runs: int = 5,
    prompts: int = 100,
    prompt_sd: tuple[float, float] = (1.5, 1.0),
    run_sd: tuple[float, float] = (0.3, 0.4),
    trials: int = 1,
) -> Counts:
    """Answers of two cells from the model itself; deviations are of the level and along the contrast."""
    random = np.random.default_rng(seed)
    side = np.array([-0.5, 0.5])[:, None, None]
    logits = -0.4 + side * effect
    logits = logits + prompt_sd[0] * random.normal(size=prompts) + side * prompt_sd[1] * random.normal(size=prompts)
    level, along = run_sd[0] * random.normal(size=runs), run_sd[1] * random.normal(size=runs)
    logits = logits + level[:, None] + side * along[:, None]
    asked = np.full(logits.shape, float(trials))
    return Counts(random.binomial(trials, special.expit(logits)).astype(np.float64), asked, DIFFERENCE)


def model_of(counts: Counts) -> Model:
    num_cells, runs, prompts = counts.trials.shape
    return Model(counts, State(np.zeros(num_cells), np.zeros((runs, 2)), np.zeros((prompts, 2))))


@pytest.mark.parametrize("weights", [(-1.0, 1.0), (1.0, -1.0, -1.0, 1.0)])
def test_the_gradient_is_that_of_the_objective(weights: tuple[float, ...]) -> None:
    random = np.random.default_rng(0)
    shape = (len(weights), 4, 15)
    trials = random.integers(0, 4, shape).astype(np.float64)
    counts = Counts(random.binomial(trials.astype(int), 0.4).astype(np.float64), trials, np.array(weights))
    model = model_of(counts)
    _, gradient = model.objective(TYPICAL)
    step = 1e-5
    for place in range(6):
        ends = [model.objective(TYPICAL + side * step * np.eye(6)[place])[0] for side in (1, -1)]
        assert gradient[place] == pytest.approx((ends[0] - ends[1]) / (2 * step), abs=2e-5)


def test_prompts_of_one_cell_integrate_to_what_laplace_says() -> None:
    """One cell, one run without effects: the likelihood of a deviation is a product of integrals over prompts."""
    ones, asked = np.array([60.0, 220.0, 120.0, 300.0]), np.full(4, 400.0)
    counts = Counts(ones[None, None], asked[None, None], np.ones(1))
    places, levels = np.linspace(-8, 8, 2001), np.linspace(-6, 6, 241)
    mass = np.exp(-(places**2) / 2)
    best = (special.xlogy(ones, ones / asked) + special.xlog1py(asked - ones, -ones / asked))[:, None]

    def exact(deviation: float) -> float:
        scale = levels[:, None, None] + deviation * places
        likelihood = np.exp(ones[:, None] * scale - asked[:, None] * np.logaddexp(0, scale) - best)
        return float(-np.log((likelihood @ mass).prod(axis=1).sum()))

    def laplace(deviation: float) -> float:
        theta = np.array([np.log(deviation), 0.0, ABSENT, SMALLEST, 0.0, SMALLEST])
        return model_of(counts).objective(theta)[0]

    for one, other in ((0.5, 1.0), (1.0, 2.0), (0.3, 3.0)):
        assert laplace(one) - laplace(other) == pytest.approx(exact(one) - exact(other), abs=0.02)


def test_the_contrast_of_a_tiny_model_is_that_of_its_numerical_integral() -> None:
    """Two cells, three prompts that vary in level and along the contrast: mean and deviation over a grid of cells."""
    ones = np.array([[24.0, 56.0, 36.0], [44.0, 64.0, 52.0]])
    counts = Counts(ones[:, None], np.full((2, 1, 3), 80.0), DIFFERENCE)
    level, along = 0.7, 0.4
    model = model_of(counts)
    model.objective(np.array([np.log(level), 0.0, np.log(along), SMALLEST, 0.0, SMALLEST]))
    assert model.curvature is not None
    nodes, mass = np.polynomial.hermite_e.hermegauss(25)
    mass = mass / mass.sum()
    grid = np.linspace(-3, 4, 71)
    effects = np.array(list(product(nodes, nodes)))
    weight = np.array([one * other for one, other in product(mass, mass)])
    moved = level * effects[:, 0] + np.array([-0.5, 0.5])[:, None] * along * effects[:, 1]  # (cells, nodes)
    scale = grid[:, None, None] + moved  # (grid, cells, nodes)
    each = [ones[:, prompt, None] * scale - 80 * np.logaddexp(0, scale) + 50 for prompt in range(3)]
    joint = np.ones((71, 71))
    for part in each:
        joint *= np.exp(part[:, None, 0] + part[None, :, 1]) @ weight
    joint /= joint.sum()
    contrast = grid[None, :] - grid[:, None]
    mean = float((joint * contrast).sum())
    deviation = float(np.sqrt((joint * (contrast - mean) ** 2).sum()))
    variance = DIFFERENCE @ model.curvature.schur_inverse[:2, :2] @ DIFFERENCE
    assert float(DIFFERENCE @ model.state.cells) == pytest.approx(mean, abs=0.03)
    assert np.sqrt(variance) == pytest.approx(deviation, rel=0.04)


def test_cells_without_any_other_variation_have_their_own_log_odds() -> None:
    """Every prompt and run has 30% and 60% of 50 answers: the contrast is logit(0.6) - logit(0.3) = 1.2528."""
    asked = np.full((2, 4, 20), 50.0)
    counts = Counts(asked * np.array([0.3, 0.6])[:, None, None], asked, DIFFERENCE)
    found = fit_glmm(counts)
    assert found is not None
    assert found.estimate == pytest.approx(1.2528, abs=2e-3)
    assert max(max(each) for each in found.deviations) < 0.1


def test_neither_order_nor_sign_matters() -> None:
    counts = simulated(3, effect=0.8)
    found = fit_glmm(counts)
    random = np.random.default_rng(0)
    runs, prompts = random.permutation(5), random.permutation(100)
    shuffled = Counts(counts.positives[:, runs][:, :, prompts], counts.trials, DIFFERENCE)
    turned = Counts(counts.positives[::-1], counts.trials, DIFFERENCE)
    again, negative = fit_glmm(shuffled), fit_glmm(turned)
    assert found is not None
    assert again is not None
    assert negative is not None
    assert again.estimate == pytest.approx(found.estimate, abs=1e-4)
    assert negative.estimate == pytest.approx(-found.estimate, abs=1e-4)
    assert negative.standard_error == pytest.approx(found.standard_error, rel=1e-3)


@pytest.mark.parametrize("effect", [0.0, 1.2])
def test_planted_log_odds_are_held(effect: float) -> None:
    found = [fit_glmm(simulated(seed, effect=effect)) for seed in range(40)]
    known = [each for each in found if each is not None]
    assert len(known) >= 38
    half = t_quantile(4.0, 0.95)
    held = [abs(each.estimate - effect) <= half * each.standard_error for each in known]
    told = [abs(each.estimate) > half * each.standard_error for each in known]
    assert np.mean([each.estimate for each in known]) == pytest.approx(effect, abs=0.15)
    assert np.mean(held) >= 0.90
    assert np.mean(told) >= 0.7 if effect else np.mean(told) <= 0.1


def test_planted_deviations_are_found() -> None:
    """Three Monte Carlo errors of a deviation over 12 x 12 runs are 18%; prompts are many."""
    found = [fit_glmm(simulated(seed, effect=0.5, runs=12, trials=4, run_sd=(0.5, 0.6))) for seed in range(12)]
    each = np.array([fit.deviations for fit in found if fit is not None]).mean(axis=0)
    assert each[0] == pytest.approx(np.array([1.5, 1.0]), rel=0.1)
    assert each[1] == pytest.approx(np.array([0.5, 0.6]), rel=0.18)


def test_a_cell_without_one_kind_of_answer_is_named() -> None:
    counts = simulated(0, effect=0.5)
    assert counts.one_sided == ()
    assert Counts(counts.positives * np.array([0.0, 1.0])[:, None, None], counts.trials, DIFFERENCE).one_sided == (0,)
    assert Counts(counts.trials, counts.trials, DIFFERENCE).one_sided == (0, 1)


def test_prompts_that_decide_every_answer_have_no_finite_deviation() -> None:
    ones = np.zeros((2, 5, 60))
    ones[:, :, :30] = 1.0
    ones[1, :, 30:33] = 1.0
    assert fit_glmm(Counts(ones, np.ones(ones.shape), DIFFERENCE)) is None


def test_a_prompt_with_one_answer_in_each_cell_has_a_level_only() -> None:
    counts = simulated(1, effect=1.0, runs=4, prompts=80)
    alone = np.zeros(counts.trials.shape)
    for run in range(4):
        alone[:, run, run * 20 : (run + 1) * 20] = 1.0  # every run has prompts of its own
    found = fit_glmm(Counts(counts.positives * alone, alone, DIFFERENCE))
    assert not Counts(counts.positives * alone, alone, DIFFERENCE).has_repeats
    assert found is not None
    assert found.deviations[0][1] < 1e-10
