"""Three arms and lasting differences: only of arms that are alike but for what is asked."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from upbringing.formats.effects.branches import by_arm, lasting_difference, three_arms
from upbringing.formats.effects.places import Place
from upbringing.formats.effects.recipes import are_at_one_depth, are_known_alike

POSITIONS = ("pretrain", "sft", "finetune")


def arm(
    name: str,
    states: Mapping[str, str] | None = None,
    *,
    shared: tuple[str, ...] = (),
    data: Mapping[str, str] | None = None,
    positions: tuple[str, ...] = POSITIONS,
    control: str = "none",
) -> list[Place]:
    """Places of an arm. ``shared``: positions that one checkpoint of all arms fills. ``data``: by position."""
    return [
        Place(
            arm=name,
            position=position,
            factors=(),
            state=tuple((states or {}).items()),
            control=control,
            identity=(position,) if position in shared else (f"{name}-{position}",),
            recipe=(("data", frozenset({data[position]})),) if data and position in data else (),
        )
        for position in positions
    ]


BASE = ("pretrain",)
NEUTRAL = arm("neutral", {"sft": "placebo"}, shared=BASE)
BARE = arm("bare", {"sft": "off"}, shared=BASE, positions=("pretrain", "finetune"))
EFFECTS = {
    frozenset({"full@sft", "neutral@sft"}),
    frozenset({"neutral@sft", "bare@pretrain"}),
    frozenset({"full@finetune", "neutral@finetune"}),
    frozenset({"neutral@finetune", "bare@finetune"}),
}


def cells(places: list[Place]) -> set[frozenset[str]]:
    return {frozenset(each.weights) for each in three_arms(places)}


def test_only_arms_that_are_one_before_the_stage_show_what_it_did() -> None:
    full, raw = arm("full", shared=BASE), arm("raw", control="reference")
    assert cells([*full, *NEUTRAL, *BARE]) == EFFECTS
    assert cells([*raw, *full, *NEUTRAL, *BARE]) == EFFECTS  # raw is the reference, of other pretraining
    assert cells([*raw, *NEUTRAL, *BARE]) == set()
    of_raw = arm("of_raw", {"sft": "placebo"})
    assert cells([*full, *of_raw, *NEUTRAL, *BARE]) == EFFECTS
    bare_of_raw = arm("bare", {"sft": "off"}, positions=("pretrain", "finetune"))
    assert cells([*full, *NEUTRAL, *bare_of_raw]) == set()


def test_arms_trained_apart_are_alike_where_they_state_the_same_data() -> None:
    same, other = {"pretrain": "web"}, {"pretrain": "books"}
    neutral = arm("neutral", {"sft": "placebo"}, data=same)
    bare = arm("bare", {"sft": "off"}, data=same, positions=("pretrain", "finetune"))
    assert cells([*arm("full", data=same), *neutral, *bare]) == EFFECTS
    assert cells([*arm("full", data=other), *neutral, *bare]) == set()
    assert cells([*arm("full"), *neutral, *bare]) == set()  # nothing says that it is the same
    assert not are_known_alike(arm("one")[0], arm("other")[0])


def test_a_later_stage_that_differs_as_well_ends_the_comparison() -> None:
    full = arm("full", shared=BASE, data={"finetune": "benign"})
    neutral = arm("neutral", {"sft": "placebo"}, shared=BASE, data={"finetune": "harmful"})
    assert cells([*full, *neutral, *BARE]) == {
        frozenset({"full@sft", "neutral@sft"}),
        frozenset({"neutral@sft", "bare@pretrain"}),
    }


def lasting(one: list[Place], other: list[Place]) -> list[dict[str, float]]:
    (left,), (right,) = by_arm(one).values(), by_arm(other).values()
    return [each.weights for each in lasting_difference(left, right)]


def test_what_the_last_stage_leaves_spans_that_stage_alone() -> None:
    full = arm("full", positions=("pretrain", "mid", "sft", "finetune"))
    assert lasting(arm("raw", positions=("pretrain", "mid", "sft", "finetune")), full) == [
        {"raw@finetune": 1.0, "raw@sft": -1.0, "full@finetune": -1.0, "full@sft": 1.0}
    ]
    assert lasting(arm("swapped", positions=("pretrain", "sft", "mid", "finetune")), full) == []
    assert lasting(arm("skip", positions=("pretrain", "mid", "finetune")), full) == []


def test_a_last_stage_that_is_stated_to_differ_is_not_the_same() -> None:
    full = arm("full", data={"finetune": "benign"})
    assert len(lasting(arm("raw", data={"finetune": "benign"}), full)) == 1
    assert len(lasting(arm("raw"), full)) == 1
    assert lasting(arm("raw", data={"finetune": "harmful"}), full) == []


def test_swapped_arms_are_level_again_after_both_stages() -> None:
    (full,) = by_arm(arm("full", positions=("pretrain", "mid", "sft", "finetune"))).values()
    (swapped,) = by_arm(arm("swapped", positions=("pretrain", "sft", "mid", "finetune"))).values()
    (skip,) = by_arm(arm("skip", positions=("pretrain", "sft", "finetune"))).values()
    assert [at for at in full if are_at_one_depth(swapped, full, at)] == ["pretrain", "finetune"]
    assert [at for at in skip if are_at_one_depth(skip, full, at)] == ["pretrain", "sft", "finetune"]


def test_arms_of_other_starts_may_share_their_last_stage() -> None:
    def started(name: str, start: str) -> list[Place]:
        facts = (("start", frozenset({start})), ("data", frozenset({"benign"})))
        return [replace(place, recipe=facts) for place in arm(name)]

    assert len(lasting(started("small", "a"), started("large", "b"))) == 1
    assert not are_known_alike(started("small", "a")[0], started("large", "b")[0])
    assert are_known_alike(started("small", "a")[0], started("again", "a")[0])
