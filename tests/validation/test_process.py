"""The simulator's truth: exact means of rates, and studies that have them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from upbringing.base.streams import stream
from upbringing.validation.drawing import draw
from upbringing.validation.planted import HIDING, NULL, RARE, SCENARIOS, SHARED_ROOT
from upbringing.validation.process import Design, Noise, RunShape, draw_runs, level_of, mean_rate, probability, run_rule
from upbringing.validation.scenarios import Scenario

SHAPES: tuple[RunShape, ...] = ("normal", "heavy", "skewed", "bimodal", "outliers")
SILENT = Noise(item=0.0, cell_item=0.0, run=0.0, cell_run=0.0)


def test_without_noise_a_rate_is_the_link_itself() -> None:
    assert mean_rate(SILENT, 0.0) == pytest.approx(0.5)
    assert mean_rate(SILENT, np.log(3.0)) == pytest.approx(0.75)
    assert mean_rate(replace(SILENT, link="probit"), 1.959964) == pytest.approx(0.975, abs=1e-7)
    assert mean_rate(replace(SILENT, link="cloglog"), np.log(np.log(2.0))) == pytest.approx(0.5)


def test_a_probit_rate_has_a_closed_form() -> None:
    noise = Noise(link="probit", item=1.0, cell_item=0.5, run=0.3, cell_run=0.4)
    spread = np.sqrt(1 + 1.0**2 + 0.5**2 + 0.3**2 + 0.4**2)
    for level in (-2.0, 0.3, 1.5):
        expected = float(probability("probit", np.array([level / spread]))[0])
        assert mean_rate(noise, level) == pytest.approx(expected, abs=1e-9)


@pytest.mark.parametrize("shape", SHAPES)
def test_rules_have_the_moments_of_what_is_drawn(shape: RunShape) -> None:
    nodes, weights = run_rule(shape)
    drawn = draw_runs(stream(0, "runs", shape), shape, (200_000,))
    assert weights.sum() == pytest.approx(1.0)
    assert weights @ nodes == pytest.approx(drawn.mean(), abs=0.02)
    if shape != "heavy":  # whose sample variance converges slowly
        assert weights @ nodes**2 == pytest.approx((drawn**2).mean(), rel=0.02)
    bounded = np.tanh(drawn)
    assert weights @ np.tanh(nodes) == pytest.approx(bounded.mean(), abs=4 * bounded.std() / np.sqrt(len(drawn)))


@pytest.mark.parametrize("shape", SHAPES)
def test_a_level_has_the_rate_that_was_asked_for(shape: RunShape) -> None:
    noise = Noise(runs=shape, cell_run=0.4)
    for rate in (0.005, 0.42, 0.97):
        assert mean_rate(noise, level_of(noise, rate)) == pytest.approx(rate, abs=1e-9)


@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda each: each.id)
def test_studies_have_the_planted_rates(scenario: Scenario) -> None:
    design = Design(num_items=300, num_seeds=300)
    drawn = draw(scenario, design, stream(1, scenario.id))
    for place, cell in enumerate(scenario.cells):
        # 300 runs and 300 prompts: standard errors of about 0.4 * (1.7 / 4) / sqrt(300) = 0.02 for prompts
        assert drawn.harmful[place].mean() == pytest.approx(
            cell.rate, abs=max(0.07, cell.rate / 5) if cell.rate > 0.05 else 0.004
        )
    here = drawn.here
    assert here == pytest.approx([cell.rate for cell in scenario.cells], abs=0.05)


def test_the_rates_of_these_runs_are_those_over_all_prompts() -> None:
    drawn = draw(NULL.with_noise(0.4), Design(num_items=20_000, num_seeds=2), stream(0, "here"))
    assert drawn.harmful.mean(axis=(1, 2)) == pytest.approx(drawn.here, abs=0.012)


def test_runs_of_one_root_share_its_deviation() -> None:
    scenario = replace(SHARED_ROOT, noise=Noise(root=1.0, cell_run=0.1, item=0.1, cell_item=0.1, run=0.1))
    drawn = draw(scenario, Design(num_items=2000, num_seeds=40, num_branches=2), stream(0, "root"))
    rates = drawn.harmful[0].mean(axis=1).reshape(40, 2)
    assert np.corrcoef(rates.T)[0, 1] > 0.9


def test_harmful_prompts_are_answered_incoherently_where_planted() -> None:
    drawn = draw(HIDING, Design(num_items=4000, num_seeds=2), stream(0, "hide"))
    harmful, incoherent = drawn.harmful[1], drawn.incoherent[1]
    assert incoherent[harmful].mean() > 3 * incoherent[~harmful].mean()
    assert set(np.unique(drawn.value[1][incoherent])) == {0.0}


def test_rare_events_are_rare() -> None:
    assert RARE.cells[0].rate == 0.005


def test_clusters_of_unequal_size_repeat() -> None:
    assert Design(num_items=7, num_seeds=1, cluster_sizes=(1, 3)).clusters.tolist() == [0, 1, 1, 1, 2, 3, 3]
    assert Design(num_items=4, num_seeds=1, num_variants=2).clusters.tolist() == [0, 0, 1, 1]
