"""Families of tests: what is corrected together, on which scale, and what a test can still find among others."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats
from simulated_studies import two_arms

from upbringing.attribution.attribute import attribute
from upbringing.attribution.power.power import Goal, smallest_decided
from upbringing.attribution.power.sampling import SampleSize, sampling
from upbringing.attribution.statistics.crossed import crossed_inference
from upbringing.attribution.statistics.families import Tested, corrected_together
from upbringing.attribution.statistics.far_tail import quantile, tail
from upbringing.attribution.statistics.inference import Inference, minimum_detectable, t_inference
from upbringing.attribution.statistics.variance import VarianceComponents

FIVE_RUNS = t_inference(0.2, 0.05, 4.0, "seed means")


def primary(inference: Inference | None, *, is_asked: bool = True) -> Tested:
    return Tested("primary", True, inference, is_asked)


def test_a_test_alone_is_corrected_for_nothing() -> None:
    (found,) = corrected_together([primary(FIVE_RUNS)])
    assert (found.p, found.detectable) == (FIVE_RUNS.p, minimum_detectable(FIVE_RUNS))


def test_a_blocked_primary_question_counts_in_its_family() -> None:
    found, blocked = corrected_together([primary(FIVE_RUNS), primary(None)])
    assert found.p == pytest.approx(2 * stats.t.sf(4, 4) * 2)
    assert (blocked.p, blocked.detectable) == (None, None)
    alone, _ = corrected_together([primary(FIVE_RUNS), primary(None, is_asked=False)])
    assert alone.p == FIVE_RUNS.p


def test_what_a_test_can_find_is_what_the_first_step_of_holm_finds() -> None:
    """At the detectable change, a t statistic of 4 degrees of freedom exceeds its 5% / 6 quantile in 80 of 100."""
    found = corrected_together([primary(FIVE_RUNS)] * 6)[0]
    assert found.detectable is not None
    critical = stats.t.isf(0.05 / 12, 4)
    assert stats.nct.sf(critical, 4, found.detectable / 0.05) == pytest.approx(0.80, abs=1e-6)
    exploratory = corrected_together([Tested("exploratory", False, FIVE_RUNS, False)] * 6)[0]
    assert exploratory.detectable == minimum_detectable(FIVE_RUNS)


def test_what_a_family_can_find_agrees_with_the_planner() -> None:
    components, size = VarianceComponents(0.5, 0.1, 0.5), SampleSize(200, 5)
    planned = sampling(components, size)
    assert planned is not None
    random = np.random.default_rng(5)
    found = []
    for _ in range(60):
        table = random.normal(0, 0.5, (5, 200)) + random.normal(0, 0.5, 200) + random.normal(0, 0.1, (5, 1))
        found.append(corrected_together([primary(crossed_inference(table)), *[primary(None)] * 23])[0].detectable)
    typical = float(np.median([each for each in found if each is not None]))
    assert typical == pytest.approx(smallest_decided(planned, Goal("difference", 0.1, num_tests=24)), rel=0.15)


def test_the_far_tail_decides_in_a_family_and_not_alone() -> None:
    random = np.random.default_rng(3)
    inference = crossed_inference(random.normal(0.1, 1.0, (5, 40)) + random.normal(0, 0.3, (5, 1)))
    assert inference.p is not None
    assert inference.spread is not None
    assert inference.standard_error is not None
    together = corrected_together([primary(inference), primary(None)])[0]
    statistic = abs(inference.estimate) / inference.standard_error
    assert together.p == pytest.approx(min(1.0, 4 * tail(statistic, inference.df, inference.spread)))
    assert together.detectable is not None
    assert together.detectable > (quantile(0.975, inference.df, inference.spread) * inference.standard_error)


def test_log_odds_are_corrected_as_log_odds() -> None:
    """The scale that a contrast declares decides its p-value too: alone in its family, both are one number."""
    rows, tree = two_arms(1, effect=0.8, num_items=60, num_seeds=4, seed_deviation=0.4)
    (spec,) = tree.study.contrasts
    study = tree.study.model_copy(update={"contrasts": (spec.model_copy(update={"scale": "logit"}),)})
    claim = next(
        each
        for each in attribute(rows, tree.model_copy(update={"study": study})).claims
        if each.contrast == spec.name and each.scale == "logit"
    )
    assert claim.p_adjusted == claim.p
