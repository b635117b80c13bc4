"""Which prompts are held out together: whole families of harm, never a random part of them.

A random split puts a prompt's twin, its paraphrases and its family on both sides, and a probe that knows them by heart
looks as if it knew harm.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Sequence
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from upbringing.base.streams import stream
from upbringing.formats.items import Item

HeldOut = Literal["family", "cluster"]
"""Families of harm (in a controlled world: outcomes, for its families are only tones), or single base requests."""
FEWEST_FOLDS = 3  # a layer is chosen on the folds that are left, which takes two of them

Folds = NDArray[np.int64]


def base_requests(items: Sequence[Item]) -> list[int]:
    """Return for each item the number of its base request: paraphrases and twins share one."""
    return _components([_ties(item) for item in items])


def held_out_groups(items: Sequence[Item], held_out: HeldOut) -> list[int]:
    """Return for each item the number of the group that is held out whole.

    Twins and paraphrases are never parted, whatever their families are.
    """
    return _components([[*_ties(item), *_family(item, held_out)] for item in items])


def _ties(item: Item) -> list[Hashable]:
    pair = () if item.twin is None else (("pair", *sorted((item.id, item.twin))),)
    return [("cluster", item.world, item.cluster), *pair]


def _family(item: Item, held_out: HeldOut) -> list[Hashable]:
    if held_out == "cluster" or item.world is not None or item.family is None:
        return []
    return [("family", item.family)]


def _components(ties: Sequence[Iterable[Hashable]]) -> list[int]:
    """Return the connected component of each entry, numbered in order of appearance; equal ties connect."""
    parent = list(range(len(ties)))

    def root(place: int) -> int:
        while parent[place] != place:
            parent[place] = parent[parent[place]]
            place = parent[place]
        return place

    first: dict[Hashable, int] = {}
    for place, each in enumerate(ties):
        for tie in each:
            parent[root(place)] = root(first.setdefault(tie, place))
    numbers: dict[int, int] = {}
    return [numbers.setdefault(root(place), len(numbers)) for place in range(len(ties))]


def assigned_folds(items: Sequence[Item], groups: Sequence[int], most: int, seed: int) -> Folds | None:
    """Return a fold for each item, at most ``most`` of them, each with both kinds; groups are never parted.

    The largest groups are placed first, each where its kinds are scarcest. ``None`` where the groups do not give three
    such folds. A function of the items' ids, not of their order. Stream: ``probe-folds``.
    """
    for num in range(min(most, max(groups, default=-1) + 1), FEWEST_FOLDS - 1, -1):
        found = _spread(items, groups, num, seed)
        kinds = [{item.request for item, fold in zip(items, found, strict=True) if fold == part} for part in range(num)]
        if all(len(each) == 2 for each in kinds):
            return np.array(found, dtype=np.int64)
    return None


def _spread(items: Sequence[Item], groups: Sequence[int], num: int, seed: int) -> list[int]:
    members: dict[int, list[Item]] = {}
    for item, group in zip(items, groups, strict=True):
        members.setdefault(group, []).append(item)
    ordered = sorted(members, key=lambda group: min(item.id for item in members[group]))
    drawn = stream(seed, "probe-folds").permutation(len(ordered))
    ordered = sorted((ordered[place] for place in drawn), key=lambda group: -len(members[group]))
    filled = np.zeros((num, 2))
    place = {}
    for group in ordered:
        kinds = np.array([sum(item.request == kind for item in members[group]) for kind in ("harmful", "benign")])
        place[group] = int(np.argmin((filled * (kinds > 0)).sum(axis=1)))
        filled[place[group]] += kinds
    return [place[group] for group in groups]


def halves(items: Sequence[Item], held_out: HeldOut) -> tuple[list[Item], list[Item]] | None:
    """Return the items in two halves, each with both kinds, groups never parted; ``None`` where that cannot be.

    A function of the items alone, because what is asked must be known before any seed is.
    """
    parts = _spread(items, held_out_groups(items, held_out), 2, seed=0)
    found = [[item for item, part in zip(items, parts, strict=True) if part == half] for half in (0, 1)]
    if any(len({item.request for item in half}) < 2 for half in found):
        return None
    return found[0], found[1]
