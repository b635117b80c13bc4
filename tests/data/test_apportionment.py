"""Moving shares as a sequence: by hand, within a window of the plan at every place, and the plan as a sum."""

from __future__ import annotations

import random

import numpy as np
import pytest

from upbringing.data.apportionment import annealed_order, furthest_behind, planned_windows, with_replay


def test_a_whole_change_in_eight_windows_is_the_one_by_hand() -> None:
    """Planned for b after n windows: n^2 / 16; whoever is half a window behind comes next."""
    assert annealed_order((1.0, 0.0), (0.0, 1.0), 8).tolist() == [0, 0, 1, 0, 1, 0, 1, 1]


def test_what_is_planned_is_the_sum_of_the_shares_at_the_windows_middles() -> None:
    shares = [0.5 + (0.1 - 0.5) * (window + 0.5) / 30 for window in range(30)]
    for taken in (0, 1, 7, 30):
        assert planned_windows(0.5, 0.1, 30, taken) == pytest.approx(sum(shares[:taken]))
    assert planned_windows(0.25, 0.25, 9, 4) == 1.0


def test_one_source_fills_all_and_fixed_shares_are_kept() -> None:
    assert annealed_order((1.0,), (1.0,), 5).tolist() == [0] * 5
    assert np.bincount(annealed_order((0.75, 0.25), (0.75, 0.25), 40)).tolist() == [30, 10]


def drawn_shares(draw: random.Random, num: int) -> list[float]:
    raw = [draw.choice((0.0, 1.0)) * draw.random() ** draw.choice((1, 4)) for _ in range(num - 1)] + [draw.random()]
    draw.shuffle(raw)
    return [each / sum(raw) for each in raw]


@pytest.mark.parametrize("num", [2, 3, 4, 7, 11])
def test_every_prefix_stays_within_a_window_of_the_plan(num: int) -> None:
    draw = random.Random(num)
    for _ in range(12):
        first, last, length = drawn_shares(draw, num), drawn_shares(draw, num), draw.randint(1, 240)
        order = annealed_order(first, last, length)
        assert len(order) == length
        for place in range(num):
            taken = np.cumsum(order == place)
            planned = [planned_windows(first[place], last[place], length, n + 1) for n in range(length)]
            assert np.abs(taken - planned).max() <= 1 - 1 / (2 * num - 2) + 1e-9


def test_the_published_mixture_of_grammars_ends_in_its_whole_quotas() -> None:
    """(.5, .1, .2, .2) to (.1, .2, .3, .4) over 1,000 windows: 300, 150, 250 and 300 of them."""
    order = annealed_order((0.5, 0.1, 0.2, 0.2), (0.1, 0.2, 0.3, 0.4), 1000)
    assert np.bincount(order).tolist() == [300, 150, 250, 300]


@pytest.mark.parametrize(("num", "bound"), [(2, 0.5), (3, 1.0), (5, 1.0), (10, 1.2)])
def test_shares_that_stand_still_are_kept_as_closely_as_is_said(num: int, bound: float) -> None:
    draw = random.Random(num)
    for _ in range(20):
        shares, taken = drawn_shares(draw, num), [0] * num
        for window in range(1, 200):
            taken[furthest_behind(shares, taken)] += 1
            assert max(abs(share * window - each) for share, each in zip(shares, taken, strict=True)) <= bound + 1e-9


def test_replay_takes_its_share_from_all_others_and_adds_to_its_own() -> None:
    assert with_replay({"a": 0.5, "b": 0.5}, None) == {"a": 0.5, "b": 0.5}
    assert with_replay({"a": 0.5, "b": 0.5}, ("c", 0.2)) == {"a": 0.4, "b": 0.4, "c": 0.2}
    assert with_replay({"a": 0.5, "b": 0.5}, ("a", 0.2)) == pytest.approx({"a": 0.6, "b": 0.4})
