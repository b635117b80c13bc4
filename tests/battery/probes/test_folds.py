"""What is held out together: families, twins and paraphrases are never parted."""

from __future__ import annotations

from typing import Any

import numpy as np

from upbringing.battery.probes.folds import assigned_folds, base_requests, halves, held_out_groups
from upbringing.formats.items import Item, Message


def item(name: str, request: Any, cluster: str, **fields: Any) -> Item:
    return Item(
        id=name,
        cluster=cluster,
        request=request,
        split="ood",
        messages=(Message(role="user", content=name),),
        **fields,
    )


def families(num: int = 7, each: int = 4) -> list[Item]:
    return [
        item(f"{kind}-{family}-{place}", kind, f"{family}-{place}", family=f"family-{family}")
        for family in range(num)
        for place in range(each)
        for kind in ("harmful", "benign")
    ]


def test_no_family_is_in_two_folds_and_every_fold_has_both_kinds() -> None:
    items = families()
    groups = held_out_groups(items, "family")
    assert len(set(groups)) == 7
    folds = assigned_folds(items, groups, 5, seed=1)
    assert folds is not None
    assert set(folds.tolist()) == set(range(5))
    for group in set(groups):
        assert len({int(fold) for fold, each in zip(folds, groups, strict=True) if each == group}) == 1
    for fold in range(5):
        assert {each.request for each, part in zip(items, folds, strict=True) if part == fold} == {"harmful", "benign"}


def test_a_twin_of_another_family_ties_the_families() -> None:
    items = [
        item("a", "harmful", "a", family="one", twin="b"),
        item("b", "benign", "b", family="two", twin="a"),
        item("c", "harmful", "c", family="two"),
        item("d", "harmful", "d", family="three"),
    ]
    assert held_out_groups(items, "family") == [0, 0, 0, 1]
    assert base_requests(items) == [0, 0, 1, 2]


def test_in_a_world_outcomes_are_held_out_because_its_families_are_tones() -> None:
    items = [
        item("a/0", "harmful", "w/fire", family="calm", world="w", twin="b/0"),
        item("b/0", "benign", "w/rain", family="alarming", world="w", twin="a/0"),
        item("a/1", "harmful", "w/fire", family="calm", world="w"),
        item("c/0", "harmful", "w/flood", family="calm", world="w"),
    ]
    assert held_out_groups(items, "family") == [0, 0, 0, 1]


def test_folds_depend_on_ids_and_seed_and_not_on_the_order() -> None:
    items = families(9, 2)
    folds = assigned_folds(items, held_out_groups(items, "family"), 4, seed=1)
    backwards = items[::-1]
    other = assigned_folds(backwards, held_out_groups(backwards, "family"), 4, seed=1)
    assert folds is not None
    assert other is not None
    assert other[::-1].tolist() == folds.tolist()
    drawn = assigned_folds(items, held_out_groups(items, "family"), 4, seed=2)
    assert drawn is not None
    assert not np.array_equal(drawn, folds)


def test_two_families_give_no_folds_and_no_less_than_two_give_halves() -> None:
    items = families(2)
    assert assigned_folds(items, held_out_groups(items, "family"), 5, seed=1) is None
    found = halves(items, "family")
    assert found is not None
    assert {each.family for each in found[0]}.isdisjoint({each.family for each in found[1]})
    assert halves(families(1), "family") is None


def test_harmful_families_without_benign_halves_are_mixed_with_single_benign_requests() -> None:
    items = [item(f"h{n}", "harmful", f"h{n}", family=f"f{n % 6}") for n in range(24)]
    items += [item(f"b{n}", "benign", f"b{n}") for n in range(24)]
    folds = assigned_folds(items, held_out_groups(items, "family"), 3, seed=1)
    assert folds is not None
    for fold in range(3):
        inside = [each.request for each, part in zip(items, folds, strict=True) if part == fold]
        assert inside.count("harmful") == inside.count("benign") == 8
