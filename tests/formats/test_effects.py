"""Weights of effects: exact on hand-made tables, against numpy's polynomial fits, refused where aliased."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from itertools import combinations, product

import numpy as np
import pytest

from upbringing.formats.effects import coalitions
from upbringing.formats.effects.coalitions import Weights
from upbringing.formats.effects.factorial import factorial_effects
from upbringing.formats.effects.fractions import aliased_with, aliases, effect_name, fraction_effect, is_regular
from upbringing.formats.effects.places import Factorial, Place, base_last, factorials
from upbringing.formats.effects.trends import LINEAR, QUADRATIC, number_of, trend

PLAYERS = ("a", "b", "c")


def on(*names: str) -> frozenset[str]:
    return frozenset(names)


TABLE = {
    on(): 0.10,
    on("a"): 0.30,
    on("b"): 0.15,
    on("c"): 0.10,
    on("a", "b"): 0.75,
    on("a", "c"): 0.30,
    on("b", "c"): 0.15,
    on("a", "b", "c"): 0.75,
}
"""c does nothing; a and b help each other."""


def value(weights: Weights, table: Mapping[frozenset[str], float]) -> float:
    return sum(weight * table[coalition] for coalition, weight in weights.items())


def test_shapley_values_by_hand() -> None:
    # a: alone 0.2 (with or without c), after b 0.6; half of the orders have b before a
    assert value(coalitions.shapley("a", PLAYERS), TABLE) == pytest.approx(0.4, abs=1e-12)
    assert value(coalitions.shapley("b", PLAYERS), TABLE) == pytest.approx(0.25, abs=1e-12)


def test_shapley_values_sum_to_the_total_and_a_null_player_has_none() -> None:
    for before in ((), (("a", "b"),), (("a", "b"), ("b", "c"))):
        found = {player: value(coalitions.shapley(player, PLAYERS, before), TABLE) for player in PLAYERS}
        assert sum(found.values()) == pytest.approx(value(coalitions.total(PLAYERS), TABLE), abs=1e-12)
        assert found["c"] == 0.0
    random = np.random.default_rng(0)
    for size in range(1, coalitions.MAX_PLAYERS + 1):
        players = tuple("abcde"[:size])
        table = {coalition: float(random.normal()) for coalition in coalitions.coalitions(players)}
        values = [value(coalitions.shapley(player, players), table) for player in players]
        assert sum(values) == pytest.approx(value(coalitions.total(players), table), abs=1e-12)


def test_symmetric_players_share_equally() -> None:
    random = np.random.default_rng(1)
    by_size = random.normal(size=4)
    table = {coalition: float(by_size[len(coalition)]) for coalition in coalitions.coalitions(PLAYERS)}
    found = [value(coalitions.shapley(player, PLAYERS), table) for player in PLAYERS]
    assert found == pytest.approx([found[0]] * 3, abs=1e-12)
    swapped = {frozenset({"a": "b", "b": "a"}.get(name, name) for name in key): each for key, each in TABLE.items()}
    assert value(coalitions.shapley("a", PLAYERS), TABLE) == pytest.approx(
        value(coalitions.shapley("b", PLAYERS), swapped), abs=1e-12
    )


def test_in_one_feasible_order_shapley_is_the_path() -> None:
    before = (("a", "b"), ("b", "c"))
    assert coalitions.feasible_orders(PLAYERS, before) == (PLAYERS,)
    assert coalitions.shapley("b", PLAYERS, before) == {on("a", "b"): 1.0, on("a"): -1.0}
    assert coalitions.contributions("b", PLAYERS, before) == ({on("a", "b"): 1.0, on("a"): -1.0},)
    with pytest.raises(ValueError, match="circular"):
        coalitions.shapley("a", PLAYERS, (("a", "b"), ("b", "a")))


def test_the_range_over_orders_holds_both_paths() -> None:
    found = [value(each, TABLE) for each in coalitions.contributions("a", PLAYERS)]
    assert min(found) == pytest.approx(0.2)  # a first
    assert max(found) == pytest.approx(0.6)  # b first
    assert len(found) == 4


def test_necessity_sufficiency_and_interactions_by_hand() -> None:
    assert value(coalitions.necessity("b", PLAYERS), TABLE) == pytest.approx(0.45)
    assert value(coalitions.sufficiency("b", PLAYERS), TABLE) == pytest.approx(0.05)
    assert value(coalitions.moebius(on("a", "b")), TABLE) == pytest.approx(0.4)
    assert value(coalitions.interaction(("a", "b"), PLAYERS), TABLE) == pytest.approx(0.4)
    assert value(coalitions.interaction(("a", "c"), PLAYERS), TABLE) == pytest.approx(0.0)
    assert value(coalitions.interaction(PLAYERS, PLAYERS), TABLE) == pytest.approx(0.0)
    main = value(coalitions.interaction(("a",), PLAYERS), TABLE)
    assert main == pytest.approx(
        np.mean([TABLE[c] for c in TABLE if "a" in c]) - np.mean([TABLE[c] for c in TABLE if "a" not in c])
    )


def test_moebius_terms_rebuild_the_table() -> None:
    for coalition, expected in TABLE.items():
        parts = [group for size in range(len(coalition) + 1) for group in combinations(sorted(coalition), size)]
        assert sum(value(coalitions.moebius(part), TABLE) for part in parts) == pytest.approx(expected, abs=1e-12)


def test_shapley_is_the_moebius_terms_shared_out() -> None:
    for player in PLAYERS:
        groups = [group for size in (1, 2, 3) for group in combinations(PLAYERS, size) if player in group]
        shared = sum(value(coalitions.moebius(group), TABLE) / len(group) for group in groups)
        assert value(coalitions.shapley(player, PLAYERS), TABLE) == pytest.approx(shared, abs=1e-12)


def test_what_is_no_on_off_design_is_refused() -> None:
    with pytest.raises(ValueError, match="none of the factors"):
        coalitions.necessity("d", PLAYERS)
    with pytest.raises(ValueError, match="1 to 5"):
        coalitions.total(tuple("abcdef"))
    with pytest.raises(ValueError, match="distinct"):
        coalitions.total(("a", "a"))


@pytest.mark.parametrize("levels", [(0.0, 0.2, 0.6, 1.0), (3.0, -1.0, 0.5), (0.0, 2e9, 4e9, 5e9, 9e9)])
def test_trends_are_polynomial_fits(levels: tuple[float, ...]) -> None:
    values = np.random.default_rng(0).normal(size=len(levels))
    middle, half = (max(levels) + min(levels)) / 2, (max(levels) - min(levels)) / 2
    scaled = (np.array(levels) - middle) / half
    line = np.polyfit(scaled, values, 1)
    assert np.dot(trend(levels, LINEAR), values) == pytest.approx(np.polyval(line, 1) - np.polyval(line, -1), abs=1e-9)
    parabola = np.polyfit(scaled, values, 2)
    above = (np.polyval(parabola, 1) + np.polyval(parabola, -1)) / 2 - np.polyval(parabola, 0)
    assert np.dot(trend(levels, QUADRATIC), values) == pytest.approx(above, abs=1e-9)
    assert sum(trend(levels, LINEAR)) == pytest.approx(0, abs=1e-12)
    assert np.dot(trend(levels, LINEAR), trend(levels, QUADRATIC)) == pytest.approx(0, abs=1e-12)


def test_trends_by_hand() -> None:
    assert trend((0.0, 0.5, 1.0), LINEAR) == pytest.approx((-1.0, 0.0, 1.0))
    assert trend((0.0, 0.5, 1.0), QUADRATIC) == pytest.approx((0.5, -1.0, 0.5))
    for levels, degree in (((0.0, 1.0), QUADRATIC), ((0.0, 0.0, 1.0), LINEAR), ((0.0, float("nan")), LINEAR)):
        with pytest.raises(ValueError, match="trend"):
            trend(levels, degree)


def test_numbers_in_the_names_of_levels() -> None:
    assert [number_of(name) for name in ("20%", "0.2", "2M", "-1", "1e3", "none", "from_20", "")] == [
        0.2, 0.2, 2e6, -1.0, 1e3, None, None, None,
    ]  # fmt: skip


HALF = tuple(
    frozenset(name for name, sign in zip("abcd", signs, strict=True) if sign > 0)
    for signs in product((1, -1), repeat=4)
    if np.prod(signs) == 1
)
"""2^(4-1) with d = abc: resolution IV."""


def test_a_half_fraction_lists_its_aliases() -> None:
    factors = tuple("abcd")
    assert is_regular(factors, HALF)
    found = {tuple(effect_name(effect, factors) for effect in group) for group in aliases(factors, HALF)}
    assert ("the mean", "a x b x c x d") in found
    assert {("a x b", "c x d"), ("a x c", "b x d"), ("a x d", "b x c"), ("a", "b x c x d")} <= found
    assert len(found) == 8


def test_aliased_effects_are_refused_and_clear_ones_exact() -> None:
    factors = tuple("abcd")
    assert aliased_with("a", factors, HALF) == ()
    with pytest.raises(ValueError, match="a x b is aliased with c x d"):
        fraction_effect(("a", "b"), factors, HALF)
    truth = {run: 0.5 + 0.2 * ("a" in run) + 0.1 * ("c" in run) for run in HALF}
    assert value(fraction_effect("a", factors, HALF), truth) == pytest.approx(0.2, abs=1e-12)
    with pytest.raises(ValueError, match="no regular fraction"):
        fraction_effect("a", factors, HALF[:-1])
    full = coalitions.coalitions(PLAYERS)
    assert aliases(PLAYERS, full) == ()
    for group in (("a",), ("a", "b"), PLAYERS):
        assert fraction_effect(group, PLAYERS, full) == pytest.approx(coalitions.interaction(group, PLAYERS))


def places(levels: Mapping[str, tuple[str, ...]], keep: int | None = None) -> list[Place]:
    found = []
    for combination in product(*levels.values()):
        arm = "+".join(combination)
        factors = tuple(zip(levels, combination, strict=True))
        found.append(Place(arm, "final", factors, (), "none", (arm,)))
    return found[:keep]


def only_table(levels: Mapping[str, tuple[str, ...]]) -> Factorial:
    (table,) = factorials(places(levels))
    return table


@pytest.mark.parametrize(("size", "most"), [(2, 8), (3, 20), (4, 32), (5, 52)])
def test_a_factorial_asks_few_questions(size: int, most: int) -> None:
    table = only_table(dict.fromkeys("abcde"[:size], ("on", "off")))
    found = factorial_effects(table)
    assert len(found) <= most
    assert len({each.name for each in found}) == len(found)
    assert all(sum(each.weights.values()) == pytest.approx(0, abs=1e-12) for each in found)
    assert {each.level for each in found if each.kind in ("necessity", "sufficiency")} == {"L2"}
    assert all(each.level == "L3" for each in found if each.kind not in ("necessity", "sufficiency"))


def test_two_factors_share_the_total_by_their_main_effects() -> None:
    found = factorial_effects(only_table({"a": ("on", "off"), "b": ("on", "off")}))
    kinds = [each.kind for each in found]
    assert "shapley" not in kinds
    main = [each for each in found if each.kind == "main-effect"]
    assert all(each.share_of == {"on+on@final": 1.0, "off+off@final": -1.0} for each in main)
    assert all(len(each.orders) == 2 for each in main)


def test_a_level_that_means_off_is_the_base() -> None:
    assert base_last(("placebo", "safety")) == ("safety", "placebo")
    assert base_last(("concept", "shuffled")) == ("concept", "shuffled")
    table = only_table({"a": ("off", "on"), "b": ("x", "y")})
    assert table.factors == {"a": ("on", "off"), "b": ("x", "y")}
    assert table.two_level is not None
    assert table.two_level[on("a", "b")] == "on+x@final"
    assert table.on_off is None  # of x and y, neither is off


@pytest.mark.parametrize("off", ["0%", "0.0", "0", "Off", "No", "NONE", "0M"])
def test_off_is_recognised_however_it_is_written(off: str) -> None:
    assert base_last((off, "20%")) == ("20%", off)
    table = only_table({"a": (off, "20%"), "b": ("on", "off")})
    assert table.on_off is not None
    assert table.on_off[on()] == f"{off}+off@final"
    enough = next(each for each in factorial_effects(table) if each.kind == "sufficiency")
    assert enough.weights == {"20%+off@final": 1.0, f"{off}+off@final": -1.0}


def test_two_kinds_of_a_thing_are_not_on_and_off() -> None:
    found = factorial_effects(only_table({"teacher": ("a", "b"), "tuning": ("safety", "none")}))
    assert {each.kind for each in found} == {"data-effect", "main-effect", "interaction"}
    assert len(found) == 4 + 2 + 1
    assert not [each for each in found if each.share_of or each.orders or each.counterpart]
    three = factorial_effects(only_table({"teacher": ("a", "b"), "x": ("on", "off"), "y": ("on", "off")}))
    assert {each.kind for each in three} == {"data-effect", "main-effect", "interaction", "higher-interaction"}


def test_numbers_as_levels_have_trends() -> None:
    found = {each.kind: each for each in factorial_effects(only_table({"start": ("0%", "20%", "60%", "100%")}))}
    assert found["linear-trend"].level == "L2"
    assert found["linear-trend"].weights["100%@final"] == pytest.approx(trend((0, 0.2, 0.6, 1.0), LINEAR)[3])
    crossed = factorial_effects(only_table({"dose": ("0", "1", "2"), "tuning": ("safety", "none")}))
    linear = next(each for each in crossed if each.kind == "linear-trend")
    assert linear.level == "L3"
    assert linear.weights == pytest.approx(
        {"0+safety@final": -0.5, "0+none@final": -0.5, "2+safety@final": 0.5, "2+none@final": 0.5}
    )


def test_incomplete_and_ambiguous_tables_are_none() -> None:
    levels = {"a": ("on", "off"), "b": ("on", "off")}
    assert factorials(places(levels, keep=3)) == ()
    twice = [*places(levels), Place("again", "final", (("a", "on"), ("b", "on")), (), "none", ("again",))]
    assert factorials(twice) == ()
    control = [*places(levels), Place("extra", "final", (("a", "x"), ("b", "on")), (), "positive", ("extra",))]
    assert len(factorials(control)) == 1


def test_before_a_factor_acts_it_is_not_asked_about() -> None:
    cells = [replace(place, identity=(place.arm[:2],)) for place in places({"a": ("on", "no"), "b": ("on", "off")})]
    (table,) = factorials(cells)
    assert not table.is_distinct
    (found,) = factorial_effects(table)
    assert (found.kind, found.weights) == ("data-effect", {"on+on@final": 1.0, "no+on@final": -1.0})


def test_stages_with_placebos_are_factors() -> None:
    found = []
    for states in product(("on", "placebo"), repeat=2):
        arm = "+".join(states)
        for position in ("midtrain", "sft"):
            state = tuple(zip(("pretrain", "sft", "midtrain"), ("on", states[1], states[0]), strict=True))
            found.append(Place(arm, position, (), state, "none", (arm, position)))
    (_, table) = factorials(found)
    assert table.factors == {"midtrain": ("on", "placebo"), "sft": ("on", "placebo")}
    assert table.before == (("midtrain", "sft"),)


def test_a_fraction_asks_only_what_it_can_tell() -> None:
    arms = ["".join(sorted(run)) or "none" for run in HALF]
    cells = [
        Place(arm, "final", tuple((name, "on" if name in run else "off") for name in "abcd"), (), "none", (arm,))
        for arm, run in zip(arms, HALF, strict=True)
    ]
    (table,) = factorials(cells)
    assert not table.is_complete
    assert [each.kind for each in factorial_effects(table)] == ["main-effect"] * 4


def test_many_levels_ask_simple_effects_at_two_corners() -> None:
    table = only_table({"a": ("x", "y", "z"), "b": ("on", "off"), "c": ("on", "off")})
    found = factorial_effects(table)
    simple = [each for each in found if each.kind == "data-effect"]
    assert len(simple) == 2 * 2 + 2 * 1 * 2  # two levels of a, one of b and c, at two corners each
    assert "x+on+on - z+on+on @ final" in {each.name for each in simple}
    assert not {"shapley", "necessity", "total-effect"} & {each.kind for each in found}
