"""Designs: which pipelines they run, what is trained once, and what a fraction cannot tell apart; all by hand."""

from __future__ import annotations

import pytest

from upbringing.formats.effects.designs import designs_for, factorial, leave_one_out, only_one, pairwise, path
from upbringing.formats.effects.fractions import aliased_with, fraction_effect, is_regular
from upbringing.formats.effects.generators import (
    STANDARD,
    alias_lines,
    defining_relation,
    fraction_runs,
    resolution,
    standard_generators,
)

FOUR = ("a", "b", "c", "d")
FIVE = (*FOUR, "e")


def test_the_half_fraction_of_four_by_hand() -> None:
    runs = fraction_runs(FOUR, {"d": ("a", "b", "c")})
    by_hand = {"", "ad", "bd", "cd", "ab", "ac", "bc", "abcd"}  # an even number of factors is on
    assert {"".join(sorted(run)) for run in runs} == by_hand
    assert defining_relation({"d": ("a", "b", "c")}) == (frozenset("abcd"),)
    assert alias_lines(FOUR, runs) == (
        "the mean = a x b x c x d",
        "a = b x c x d",
        "b = a x c x d",
        "c = a x b x d",
        "d = a x b x c",
        "a x b = c x d",
        "a x c = b x d",
        "a x d = b x c",
    )


def test_a_quarter_fraction_has_the_product_of_its_words() -> None:
    generators = {"d": ("a", "b"), "e": ("a", "c")}
    assert defining_relation(generators) == (frozenset("abd"), frozenset("ace"), frozenset("bcde"))
    assert resolution(generators) == 3
    assert aliased_with("a", FIVE, fraction_runs(FIVE, generators)) == (frozenset("bd"), frozenset("ce"))


@pytest.mark.parametrize(
    ("num", "halvings", "expected"),
    [(3, 1, 3), (4, 1, 4), (5, 1, 5), (5, 2, 3), (6, 1, 6), (6, 2, 4), (7, 3, 4)],
)
def test_standard_fractions_are_regular_and_of_known_resolution(num: int, halvings: int, expected: int) -> None:
    factors = tuple("abcdefg"[:num])
    generators = standard_generators(factors, halvings)
    runs = fraction_runs(factors, generators)
    assert len(runs) == len(set(runs)) == 2 ** (num - halvings)
    assert is_regular(factors, runs)
    assert resolution(generators) == expected
    assert frozenset(factors) in runs


def test_every_standard_fraction_is_tested() -> None:
    assert set(STANDARD) == {(3, 1), (4, 1), (5, 1), (5, 2), (6, 1), (6, 2), (7, 3)}
    with pytest.raises(ValueError, match=r"2\^\(5-3\) has no standard generators"):
        standard_generators(FIVE, 3)


def test_effects_of_a_fraction_are_recovered_and_aliased_ones_refused() -> None:
    runs = fraction_runs(FOUR, {"d": ("a", "b", "c")})
    truth = {run: 1.0 + 0.5 * ("a" in run) - 0.25 * ("d" in run) for run in runs}
    for factor, effect in (("a", 0.5), ("b", 0.0), ("d", -0.25)):
        weights = fraction_effect(factor, FOUR, runs)
        assert sum(weight * truth[run] for run, weight in weights.items()) == pytest.approx(effect)
    with pytest.raises(ValueError, match="a x b is aliased with c x d"):
        fraction_effect("ab", FOUR, runs)


def test_pipelines_and_stages_to_train_by_hand() -> None:
    stages = ("pretrain", "sft", "rl")
    counted = {
        "path": (path, 1, 3, 3),
        # full; p--: 3, -p-: 2 more, --p: 1 more
        "pairwise": (pairwise, 4, 3 + 3 + 2 + 1, 12),
        # without pretrain: sft, rl; without sft: rl; without rl: nothing new
        "leave one out": (leave_one_out, 7, 9 + 2 + 1 + 0, 12 + 6),
        # six mixed runs and both uniform ones are all of 2^3
        "only one": (only_one, 8, 2 + 4 + 8, 24),
        "factorial": (factorial, 8, 2 + 4 + 8, 24),
    }
    for name, (design, runs, trained, unshared) in counted.items():
        made = design(stages)
        assert (len(made.runs), made.num_trained, made.num_unshared) == (runs, trained, unshared), name


def test_the_table_for_four_stages_is_that_of_the_reference() -> None:
    found = {design.name: design for design in designs_for(FOUR)}
    assert {name: len(design.runs) for name, design in found.items()} == {
        "path": 1,
        "pairwise arms, placebo": 5,
        "leave one out + placebo": 9,
        "leave one out + only one": 10,
        "2^(4-1), resolution IV": 8,
        "2^4, full factorial": 16,
    }
    assert found["path"].cells == 5
    assert found["2^(4-1), resolution IV"].answers == "4 of 4 main effects, 0 of 6 two-way interactions"
    assert found["2^4, full factorial"].num_trained == 2 + 4 + 8 + 16
    five = {design.name: design for design in designs_for(FIVE)}
    assert five["2^(5-1), resolution V"].answers == "5 of 5 main effects, 10 of 10 two-way interactions"
    assert five["2^(5-2), resolution III"].answers == "0 of 5 main effects, 0 of 10 two-way interactions"


@pytest.mark.parametrize("stages", [("a",), ("a", "a"), tuple("abcdefghi")])
def test_designs_need_two_to_eight_stages(stages: tuple[str, ...]) -> None:
    with pytest.raises(ValueError, match="2 to 8 stages"):
        designs_for(stages)
