"""Trials say what they find: naive analyses are what they claim to be, broken ones are caught, kinds differ."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from upbringing.base.streams import stream
from upbringing.validation.drawing import draw
from upbringing.validation.exact import Check, read_check
from upbringing.validation.exact_effects import effects_are_exact
from upbringing.validation.gates import read_gate
from upbringing.validation.monte_carlo import simulate
from upbringing.validation.naive import bootstrap_share
from upbringing.validation.outside import KINDS, Kind, is_decidable
from upbringing.validation.planted import JUDGE_DRIFT, NULL, SPLIT
from upbringing.validation.process import MEDIUM, Design
from upbringing.validation.suite import experiments, not_run
from upbringing.validation.trials_contrast import contrast_outcomes
from upbringing.validation.trials_judges import CorrectedTrial
from upbringing.validation.trials_shares import share_outcomes

NAIVE = [(each, gate) for each in experiments() for gate in each.gates if gate.must == "fail"]


def test_a_naive_analysis_in_place_of_the_real_one_fails_its_gate() -> None:
    """The gates have teeth: what must fail as naive does fail when it is asked to pass."""
    claims = ("naive: error bars over prompts, one seed", "naive: no correction for 24 tests")
    strongest = [(each, gate) for each, gate in NAIVE if gate.claim in claims and each.route == "estimator"]
    assert len(strongest) == 4
    for experiment, gate in strongest:
        (outcomes,) = simulate([experiment], seed=0, share=0.02)
        assert read_gate(replace(gate, must="pass"), experiment, outcomes).status == "FAIL"


def test_the_naive_analyses_that_the_suite_must_hold() -> None:
    claims = " ".join(gate.claim for _, gate in NAIVE)
    for words in ("over prompts", "overlap", "bootstrap", "p > 0.05", "every run is a unit", "judge is believed"):
        assert words in claims


def test_the_bootstrap_of_constant_tables_is_their_ratio() -> None:
    part, total = np.full((3, 20), 0.2), np.full((3, 20), 0.8)
    assert bootstrap_share(part, total, stream(0, "boot")) == pytest.approx((0.25, 0.25))


def test_a_check_without_cases_does_not_pass() -> None:
    for held, num, status in ((3, 3, "pass"), (2, 3, "FAIL"), (0, 0, "FAIL")):
        check = Check(id="X", claim="c", run=lambda held=held, num=num: (held, num))
        assert read_check(check).status == status


def test_identities_of_effects_are_many_and_hold() -> None:
    held, num = effects_are_exact()
    assert held == num > 500


def test_an_inference_without_an_interval_covers_nothing() -> None:
    from upbringing.attribution.statistics.inference import Inference

    found = contrast_outcomes(Inference(estimate=0.0, method="none"), 0.0, 0.1)
    assert (found["covered"], found["changed"], found["alike"]) == (0.0, 0.0, 0.0)


def test_outcomes_of_a_share_by_hand() -> None:
    found = share_outcomes((0.72, 0.6, 0.8), 0.70)
    assert (found["printed"], found["share_covered"], found["share_hit"]) == (1.0, 1.0, 1.0)
    assert found["share_error"] == pytest.approx(0.02)
    missed = share_outcomes((0.50, 0.4, 0.6), 0.70)
    assert (missed["share_covered"], missed["share_hit"]) == (0.0, 0.0)
    none = share_outcomes((None, None, None), 0.70)
    assert none["printed"] == 0.0
    assert np.isnan(none["share_covered"])


def test_labels_correct_what_the_judge_gets_wrong() -> None:
    trial = CorrectedTrial(scenario=JUDGE_DRIFT, design=Design(num_items=120, num_seeds=3), labels=60)
    found = trial(stream(0, "corrected"))
    assert found["is_corrected"] == 1.0
    assert abs(found["error"]) < 0.3


@pytest.mark.parametrize("kind", KINDS, ids=lambda each: each.name)
def test_kinds_plant_the_rates_they_say(kind: Kind) -> None:
    scenario = kind.scenario(0.3, 0.2, 0.25)
    drawn = draw(scenario, Design(num_items=800, num_seeds=60, cluster_sizes=kind.cluster_sizes), stream(0, kind.name))
    assert drawn.here == pytest.approx([0.3, 0.5], abs=0.06)
    assert drawn.harmful.mean(axis=(1, 2)) == pytest.approx(drawn.here, abs=0.06)


def test_large_effects_are_decidable_and_small_ones_are_not() -> None:
    pilot = draw(KINDS[0].scenario(0.3, 0.2, 0.1), MEDIUM, stream(0, "pilot"))
    assert is_decidable(pilot, 0.4)
    assert not is_decidable(pilot, 0.02)


def test_answers_that_may_be_anything_leave_less_to_decide() -> None:
    kinds = {each.name: each for each in KINDS}
    pilot = draw(
        replace(kinds["2% of answers not judged"], unscored=0.2).scenario(0.3, 0.2, 0.1), MEDIUM, stream(0, "p")
    )
    assert not is_decidable(pilot, 0.15)


def test_what_is_not_run_says_why_and_counts_as_nothing() -> None:
    for each in not_run():
        assert each.note
        assert (each.status, each.is_bad, each.value) == ("not run", False, None)


def test_scenarios_know_their_shares() -> None:
    assert SPLIT.share(SPLIT.contrasts[0]) == pytest.approx(0.7)
    assert NULL.truth(NULL.contrasts[0]) == 0.0
