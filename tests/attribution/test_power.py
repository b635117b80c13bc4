"""The planner against hand calculation, published values and simulation with the estimator it plans for."""

from __future__ import annotations

from dataclasses import replace
from functools import cache

import numpy as np
import pytest
from numpy.typing import NDArray

from upbringing.attribution.power.needed import margin_floor, prompts_needed, seeds_needed
from upbringing.attribution.power.power import Goal, Test, is_decided, power_of, smallest_decided
from upbringing.attribution.power.sampling import SampleSize, Sampling, floor, sampling
from upbringing.attribution.statistics.crossed import crossed_inference, prompts_inference, seed_means_inference
from upbringing.attribution.statistics.equivalence import is_equivalent, noninferior
from upbringing.attribution.statistics.far_tail import far_p
from upbringing.attribution.statistics.inference import minimum_detectable, t_inference
from upbringing.attribution.statistics.variance import VarianceComponents, estimated_components
from upbringing.base.errors import FormatError

Table = NDArray[np.float64]
TYPICAL = VarianceComponents(prompt=0.15, seed=0.05, cell=0.45)


def sampled(components: VarianceComponents, *size: int) -> Sampling:
    found = sampling(components, SampleSize(*size))
    assert found is not None
    return found


def drawn(components: VarianceComponents, num_prompts: int, num_seeds: int, random: np.random.Generator) -> Table:
    """Return one simulated (seeds, prompts) table with an effect of 0."""
    shape = (num_seeds, num_prompts)
    seed = random.normal(0, components.seed or 0.0, (num_seeds, 1))
    return random.normal(0, components.prompt, num_prompts) + seed + random.normal(0, components.cell, shape)


# components


def test_components_of_a_table_by_hand() -> None:
    found = estimated_components(np.array([[[0.0, 2.0]], [[2.0, 8.0]]]))  # MSI = MSS = 16, MSE = 4
    assert (found.prompt, found.seed, found.cell) == pytest.approx((6**0.5, 6**0.5, 2.0))
    assert found.seed_high is not None
    assert found.seed_high**2 == pytest.approx((16 / 0.0641848 - 4) / 2, rel=1e-4)  # chi-square(1) has 20% below 0.064


def test_components_of_nested_worlds_by_hand() -> None:
    none = float("nan")
    found = estimated_components(np.array([[[1.0, 3.0, none, none]], [[none, none, 5.0, 11.0]]]))
    assert found.is_nested
    within = (2 + 18) / 2  # means 2 and 8: between them a variance of 18
    assert (found.prompt**2, (found.seed or 0) ** 2, found.cell) == pytest.approx((within, 18 - within / 2, 0.0))


def test_runs_that_branch_off_one_seed_are_told_from_seeds() -> None:
    random = np.random.default_rng(3)
    shape = (300, 4, 400)
    table = random.normal(0, 0.2, shape[2]) + random.normal(0, 0.3, (300, 1, 1)) + random.normal(0, 0.1, (300, 4, 1))
    found = estimated_components(table + random.normal(0, 0.4, shape))
    assert (found.prompt, found.seed, found.subseed, found.cell) == pytest.approx((0.2, 0.3, 0.1, 0.4), rel=0.15)


def test_one_run_shows_no_spread_between_runs() -> None:
    found = estimated_components(np.array([[[0.0, 1.0, 0.0, 1.0]]]))
    assert found.seed is None
    assert sampling(found, SampleSize(100, 3)) is None
    assert floor(found, SampleSize(100, 3)) is None
    assert seeds_needed(found, SampleSize(100, 1), Goal("difference", 0.5)) is None


@pytest.mark.parametrize(
    ("table", "message"),
    [([[[1.0, 1.0]], [[1.0, 1.0]]], "the same on every prompt"), ([[[1.0]], [[2.0]]], "one prompt cluster")],
)
def test_what_does_not_vary_is_no_pilot(table: list[list[list[float]]], message: str) -> None:
    with pytest.raises(FormatError, match=message):
        estimated_components(np.array(table))


@pytest.mark.parametrize("seed", range(5))
def test_at_the_pilots_own_size_the_plan_is_the_estimate(seed: int) -> None:
    table = drawn(VarianceComponents(0.3, 0.2, 0.3), 60, 5, np.random.default_rng(seed))
    found, estimate = sampled(estimated_components(table[:, None, :]), 60, 5), crossed_inference(table)
    assert (found.standard_error, found.df) == pytest.approx((estimate.standard_error, estimate.df), rel=1e-9)
    nested = np.full((5, 300), np.nan)
    for run in range(5):
        nested[run, 60 * run : 60 * run + 60] = table[run]
    found, estimate = sampled(estimated_components(nested[:, None, :]), 60, 5), seed_means_inference(nested)
    assert (found.standard_error, found.df) == pytest.approx((estimate.standard_error, estimate.df), rel=1e-9)
    found, estimate = sampled(estimated_components(table[:1, None, :]), 60, 1), prompts_inference(table[0])
    assert (found.standard_error, found.df) == pytest.approx((estimate.standard_error, estimate.df), rel=1e-9)


# standard errors


def test_standard_errors_and_their_floor_by_hand() -> None:
    assert sampled(TYPICAL, 200, 5).standard_error == pytest.approx(
        (0.15**2 / 200 + 0.05**2 / 5 + 0.45**2 / 1000) ** 0.5
    )
    assert floor(TYPICAL, SampleSize(200, 5)) == pytest.approx(0.05 / 5**0.5)
    assert sampled(TYPICAL, 10_000_000, 5).standard_error == pytest.approx(0.05 / 5**0.5, rel=1e-3)


def test_in_a_split_plot_more_runs_of_a_seed_do_not_replace_seeds() -> None:
    components = VarianceComponents(prompt=0.0, seed=0.3, cell=0.0, subseed=0.4)
    assert sampled(components, 100, 4, 2).standard_error == pytest.approx(((0.09 + 0.16 / 2) / 4) ** 0.5)
    many = sampled(components, 100, 4, 1000)
    assert many.standard_error == pytest.approx(0.3 / 2, rel=1e-3)
    assert many.df == pytest.approx(3)


def test_below_three_seeds_it_is_about_these_checkpoints() -> None:
    found = sampled(TYPICAL, 200, 2)
    assert found.standard_error == pytest.approx(((0.15**2 + 0.45**2 / 2) / 200) ** 0.5)
    assert (found.df, floor(TYPICAL, SampleSize(200, 2))) == (199, 0.0)


# power


@pytest.mark.parametrize(
    ("seeds", "expected"),
    [(3, 3.26), (4, 2.13), (5, 1.68), (6, 1.43), (8, 1.16), (10, 1.00), (15, 0.78), (20, 0.66)],
)
def test_detectable_effects_by_paired_seeds_are_those_of_the_reference(seeds: int, expected: float) -> None:
    found = smallest_decided(sampled(VarianceComponents(0.0, 1.0, 0.0), 100, seeds), Goal("difference", 1.0))
    assert found == pytest.approx(expected, abs=0.015)


@pytest.mark.parametrize(
    ("seed", "margin", "expected"), [(0.02, 0.05, 0.45), (0.02, 0.10, 0.99), (0.05, 0.05, 0.14), (0.05, 0.10, 0.82)]
)
def test_the_power_of_equivalence_is_that_of_the_reference(seed: float, margin: float, expected: float) -> None:
    found = sampled(replace(TYPICAL, seed=seed), 200, 5)
    assert power_of(found, Goal("equivalence", margin)) == pytest.approx(expected, abs=0.02)


def test_one_mean_square_is_the_noncentral_t() -> None:
    found = sampled(VarianceComponents(0.5, 0.2, 0.0, is_nested=True), 50, 6)
    exact = minimum_detectable(t_inference(0.0, found.standard_error, 5, "t"))
    assert smallest_decided(found, Goal("difference", 1.0)) == pytest.approx(exact, rel=2e-3)


def test_equivalence_needs_the_standard_error_of_the_textbook() -> None:
    found = sampled(VarianceComponents(1.0, None, 0.0), 100_000, 1)  # 99,999 degrees of freedom: normal
    for measures, ratio in ((1, 2.93), (10, 3.93)):
        goal = Goal("equivalence", 1.0, num_measures=measures)
        assert smallest_decided(found, goal) / found.standard_error == pytest.approx(ratio, abs=0.01)


@pytest.mark.parametrize(("margin", "expected"), [(0.10, 172), (0.05, 687)])
def test_prompts_for_binary_pairs_by_their_discordance(margin: float, expected: int) -> None:
    found = prompts_needed(VarianceComponents(0.2**0.5, None, 0.0), SampleSize(50, 1), Goal("equivalence", margin))
    assert found == pytest.approx(expected, rel=0.01)


def test_without_an_effect_a_difference_is_found_in_five_percent() -> None:
    for components in (TYPICAL, replace(TYPICAL, seed=0.0), VarianceComponents(0.0, 1.0, 0.0)):
        assert power_of(sampled(components, 200, 5), Goal("difference", 1e-9)) <= 0.055


def test_power_grows_with_the_margin_and_shrinks_with_what_is_asked() -> None:
    found = sampled(TYPICAL, 200, 5)
    powers = [power_of(found, Goal("difference", margin)) for margin in (0.02, 0.05, 0.1, 0.2)]
    assert powers == sorted(powers)
    alone = smallest_decided(found, Goal("difference", 1.0))
    assert smallest_decided(found, Goal("difference", 1.0, num_tests=4)) > 1.15 * alone
    assert smallest_decided(found, Goal("difference", 1.0, power=0.95)) > 1.15 * alone


def test_answers_without_a_score_take_their_part_of_the_margin() -> None:
    found = sampled(TYPICAL, 10_000, 50)
    assert power_of(found, Goal("equivalence", 0.1)) > 0.99
    assert power_of(found, Goal("equivalence", 0.1, bias=0.1)) == 0.0
    open_margin = smallest_decided(found, Goal("equivalence", 0.1, bias=0.07))
    assert open_margin == pytest.approx(smallest_decided(found, Goal("equivalence", 0.1)) + 0.07)


@pytest.mark.parametrize("test", ["difference", "equivalence", "noninferiority"])
def test_needed_prompts_and_seeds_are_the_fewest_that_decide(test: Test) -> None:
    goal, size = Goal(test, 0.1), SampleSize(200, 5)
    prompts, seeds = prompts_needed(TYPICAL, size, goal), seeds_needed(TYPICAL, size, goal)
    assert prompts is not None
    assert seeds is not None
    assert is_decided(sampled(TYPICAL, prompts, 5), goal)
    assert not is_decided(sampled(TYPICAL, prompts - 1, 5), goal)
    assert is_decided(sampled(TYPICAL, 200, seeds), goal)
    assert seeds == 3 or not is_decided(sampled(TYPICAL, 200, seeds - 1), goal)


def test_no_number_of_prompts_makes_up_for_seeds() -> None:
    size, goal = SampleSize(200, 3), Goal("equivalence", 0.05)
    assert prompts_needed(TYPICAL, size, goal) is None
    reachable = margin_floor(TYPICAL, size, goal)
    assert reachable is not None
    assert 0.05 < reachable < smallest_decided(sampled(TYPICAL, 200, 3), goal)
    assert prompts_needed(TYPICAL, size, replace(goal, margin=1.02 * reachable)) is not None
    assert seeds_needed(VarianceComponents(1.0, 0.0, 0.0), size, goal) is None  # nor seeds for prompts


@pytest.mark.parametrize(
    "wrong",
    [
        lambda: VarianceComponents(-0.1, 0.1, 0.1),
        lambda: VarianceComponents(0.0, None, 0.0),
        lambda: VarianceComponents(float("nan"), 0.1, 0.1),
        lambda: SampleSize(1, 3),
        lambda: SampleSize(10, 0),
        lambda: Goal("difference", 0.0),
        lambda: Goal("difference", 0.1, power=1.0),
        lambda: Goal("difference", 0.1, num_tests=0),
    ],
)
def test_what_makes_no_sense_is_an_error(wrong: object) -> None:
    assert callable(wrong)
    with pytest.raises(FormatError):
        wrong()


# simulation, with the estimator that the plan is for: tests I8 and I14 of the reference, at fewer studies

STUDIES = 2000
EXACT_PROMPTS, EXACT_SEEDS = 1500, 1500  # their components lie within 2 % of the process


def simulated(num_prompts: int, num_seeds: int, seed_deviation: float, random: np.random.Generator) -> Table:
    """Return a null contrast of 0/1 answers: the process of statistics-and-measures 7.4."""
    prompt, seed = random.normal(0, 1.5, num_prompts), random.normal(0, 0.3, (num_seeds, 1))
    answers = []
    for _ in range(2):
        logits = -0.4 + prompt + seed + random.normal(0, 0.7, num_prompts)
        rates = 1 / (1 + np.exp(-logits - random.normal(0, seed_deviation, (num_seeds, 1))))
        answers.append((random.random((num_seeds, num_prompts)) < rates).astype(np.float64))
    difference: Table = answers[0] - answers[1]
    return difference


@cache
def studies(num_prompts: int, num_seeds: int, seed_deviation: float) -> tuple[tuple[Table, ...], VarianceComponents]:
    """Return simulated studies, and the components of one that is large enough to know them."""
    random = np.random.default_rng(7)
    tables = tuple(simulated(num_prompts, num_seeds, seed_deviation, random) for _ in range(STUDIES))
    large = simulated(EXACT_PROMPTS, EXACT_SEEDS, seed_deviation, random)
    return tables, estimated_components(large[:, None, :])


@pytest.mark.parametrize("seed_deviation", [0.15, 0.40])
@pytest.mark.parametrize(("num_prompts", "num_seeds"), [(100, 3), (200, 5)])
def test_simulated_power_lies_within_five_points_of_the_plan(
    num_prompts: int, num_seeds: int, seed_deviation: float
) -> None:
    tables, components = studies(num_prompts, num_seeds, seed_deviation)
    found = sampled(components, num_prompts, num_seeds)
    estimates = [crossed_inference(table) for table in tables]
    for factor in (2.0, 3.0, 4.5):
        margin = factor * found.standard_error
        moved = [replace(each, low=(each.low or 0) + margin, high=(each.high or 0) + margin) for each in estimates]
        decided = {
            "difference": np.mean([(each.low or 0) > 0 or (each.high or 0) < 0 for each in moved]),
            "equivalence": np.mean([is_equivalent(each, margin) for each in estimates]),
            "noninferiority": np.mean([noninferior(each, margin, lower_is_better=True) == "yes" for each in estimates]),
        }
        for test, share in decided.items():
            assert power_of(found, Goal(test, margin)) == pytest.approx(share, abs=0.05), (test, factor)  # type: ignore[arg-type]


@pytest.mark.parametrize("seed_deviation", [0.15, 0.40])
def test_simulated_power_in_a_family_lies_within_five_points_of_the_plan(seed_deviation: float) -> None:
    tables, components = studies(200, 5, seed_deviation)
    found = sampled(components, 200, 5)
    estimates = [crossed_inference(table) for table in tables]
    for factor in (3.0, 5.0, 8.0):
        margin, num_tests = factor * found.standard_error, 6
        moved = [replace(each, estimate=each.estimate + margin) for each in estimates]
        share = np.mean([(p := far_p(each)) is not None and p <= 0.05 / num_tests for each in moved])
        planned = power_of(found, Goal("difference", margin, num_tests=num_tests))
        assert planned == pytest.approx(share, abs=0.05), factor
        assert planned <= power_of(found, Goal("difference", margin))


@pytest.mark.parametrize("seed_deviation", [0.15, 0.40])
def test_pilots_predict_the_standard_error_within_ten_percent(seed_deviation: float) -> None:
    tables, _ = studies(200, 5, seed_deviation)
    predicted = [sampled(estimated_components(table[:, None, :]), 400, 10).standard_error ** 2 for table in tables]
    random = np.random.default_rng(11)
    means = [simulated(400, 10, seed_deviation, random).mean() for _ in range(STUDIES)]
    assert np.sqrt(np.mean(predicted)) == pytest.approx(np.std(means, ddof=1), rel=0.10)
