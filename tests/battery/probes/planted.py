"""Prompts in families, and hidden states of four layers in which harm was planted or not."""

from __future__ import annotations

from typing import Any

import numpy as np

from upbringing.battery.needs import Evidence, StatesNeed
from upbringing.formats.items import Item, Message
from upbringing.models.states import States

WIDTH, LAYERS = 12, 4
NOISE_LAYER, FAMILY_LAYER, HARM_LAYER = 1, 2, 3


def word(family: int, kind: str) -> str:
    """Return letters that belong to a kind of one family."""
    random = np.random.default_rng([family, len(kind)])
    return "".join(random.choice(list("abcdefghijklmnopqrstuvwxyz"), 8))


def twins(families: int = 10, each: int = 5) -> list[Item]:
    """Return twins whose words are those of their family alone, so that n-grams of other families tell nothing."""
    items = []
    for family in range(families):
        for place in range(each):
            names = {kind: f"{kind}-{family:02d}-{place}" for kind in ("harmful", "benign")}
            for kind, other in (("harmful", "benign"), ("benign", "harmful")):
                items.append(
                    Item(
                        id=names[kind],
                        cluster=f"{family}-{place}",
                        request=kind,  # type: ignore[arg-type]
                        twin=names[other],
                        split="held-out-item",
                        family=f"family-{family:02d}",
                        messages=(Message(role="user", content=f"{word(family, kind)} {word(family, 'both')}"),),
                    )
                )
    return items


def evidence(items: list[Item], seed: int, *, strength: float = 1.5, unable: dict[Any, str] | None = None) -> Evidence:
    """Return hidden states: noise; harm in each family's own direction; harm in one direction of ``strength``.

    Layer 0 is constant. The network with random weights shows noise in every layer.
    """
    random = np.random.default_rng(seed)
    own = {item.family: random.standard_normal(WIDTH) for item in items}
    shared = np.eye(WIDTH)[0]
    states = {}
    for item in items:
        sign = 1.0 if item.request == "harmful" else -1.0
        layers = random.standard_normal((LAYERS, WIDTH))
        layers[0] = 1.0
        layers[FAMILY_LAYER] = 0.3 * layers[FAMILY_LAYER] + sign * own[item.family]
        layers[HARM_LAYER] += strength * sign * shared
        fresh = random.standard_normal((LAYERS, WIDTH))
        for is_fresh, found in ((False, layers), (True, fresh)):
            states[StatesNeed(item.id, "chat", is_fresh)] = States(found.astype(np.float32), found.astype(np.float32))
    for need in unable or {}:
        states.pop(need)
    return Evidence("c", {item.id: item for item in items}, unable=unable or {}, states=states, seed=seed)
