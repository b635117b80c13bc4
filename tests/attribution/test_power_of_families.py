"""Planning a family's tests: what the plain quantile already rules out is not integrated, and answers stay the same."""

from __future__ import annotations

import pytest

from upbringing.attribution.power import power as planner
from upbringing.attribution.power.needed import seeds_needed
from upbringing.attribution.power.power import Goal, is_decided, power_of, smallest_decided
from upbringing.attribution.power.sampling import SampleSize, sampling
from upbringing.attribution.statistics.far_tail import half_widths
from upbringing.attribution.statistics.variance import VarianceComponents

NOISY = VarianceComponents(prompt=0.15, seed=0.08, cell=0.45)


@pytest.mark.parametrize("seeds", [3, 5, 20])
def test_a_family_is_decided_exactly_where_its_power_suffices(seeds: int) -> None:
    found = sampling(NOISY, SampleSize(200, seeds))
    assert found is not None
    least = smallest_decided(found, Goal("difference", 0.1, num_tests=3))
    for factor in (0.5, 0.9, 0.9999, 1.0001, 3.0):
        goal = Goal("difference", factor * least, num_tests=3)
        assert is_decided(found, goal) == (power_of(found, goal) >= goal.needed) == (factor > 1)


def test_the_far_tail_is_integrated_only_where_it_may_decide(monkeypatch: pytest.MonkeyPatch) -> None:
    calls = []

    def counted(*asked: object) -> object:
        calls.append(asked)
        return half_widths(*asked)  # type: ignore[arg-type]

    monkeypatch.setattr(planner, "half_widths", counted)
    goal = Goal("difference", 0.0523, num_tests=3)  # asked by no other test: what was found is remembered
    seeds = seeds_needed(NOISY, SampleSize(200, 3), goal)
    assert seeds is not None
    assert 0 < len(calls) <= seeds.bit_length()
    found = sampling(NOISY, SampleSize(200, 3))
    assert found is not None
    calls.clear()
    assert not is_decided(found, goal)
    assert not calls
