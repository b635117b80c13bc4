"""What is known of each item, as arrays: its cluster, twin's cluster, split, world and kind of request."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from upbringing.attribution.evidence.columns import MISSING, Codes
from upbringing.formats.tree import ItemInfo

HARMFUL, BENIGN = 1, 2  # codes of ItemFacts.request; 0 = not stated


@dataclass(frozen=True)
class ItemFacts:
    """Arrays over the items of the rows, in the order of their labels.

    ``cluster``: the base request, within its world (the unit of resampling). ``pair``: the same, with a benign
    twin in the cluster of its harmful item. ``split`` and ``world`` are ``MISSING`` where not stated.
    """

    labels: tuple[str, ...]
    cluster: Codes
    pair: Codes
    split: Codes
    splits: tuple[str, ...]
    world: Codes
    request: Codes
    eligible: NDArray[np.bool_]


def item_facts(labels: Sequence[str], items: Iterable[ItemInfo]) -> ItemFacts:
    """Return the facts for ``labels``; an item that the tree does not list is a cluster of its own."""
    listed = {item.id: item for item in items}
    found = [listed.get(label) or ItemInfo(id=label) for label in labels]
    cluster_names = [_cluster_name(item) for item in found]
    pair_names = [
        _cluster_name(listed[item.twin]) if item.request == "benign" and item.twin in listed else name
        for item, name in zip(found, cluster_names, strict=True)
    ]
    place = {name: index for index, name in enumerate(sorted({*cluster_names, *pair_names}))}
    splits = tuple(sorted({item.split for item in found if item.split is not None}))
    worlds = sorted({item.world for item in found if item.world is not None})
    requests = {None: 0, "harmful": HARMFUL, "benign": BENIGN}
    return ItemFacts(
        labels=tuple(labels),
        cluster=np.array([place[name] for name in cluster_names], dtype=np.int32),
        pair=np.array([place[name] for name in pair_names], dtype=np.int32),
        split=_codes([item.split for item in found], splits),
        splits=splits,
        world=_codes([item.world for item in found], worlds),
        request=np.array([requests[item.request] for item in found], dtype=np.int32),
        eligible=np.array([item.eligible for item in found], dtype=np.bool_),
    )


def _cluster_name(item: ItemInfo) -> tuple[str, str]:
    return item.world or "", item.cluster or item.id


def _codes(values: Sequence[str | None], known: Sequence[str]) -> Codes:
    place = {name: index for index, name in enumerate(known)}
    return np.array([MISSING if value is None else place[value] for value in values], dtype=np.int32)
