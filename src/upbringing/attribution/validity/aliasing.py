"""Fractional designs: the effects they cannot tell apart, listed, and refused when a claim asks for one of them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from upbringing.attribution.evidence.defaults import places_of
from upbringing.attribution.evidence.design import Design
from upbringing.formats.effects.fractions import NEGLIGIBLE_ORDER, aliases, effect_name, sign_column
from upbringing.formats.effects.places import Factorial, factorials, trained_arms
from upbringing.formats.tree import ContrastSpec

EFFECT_KINDS = ("main-effect", "interaction", "higher-interaction")
DIFFERENCE_CELLS = 2  # of totals, simple effects and steps of paths, which compare recipes and name no effect


@dataclass(frozen=True)
class AliasedEffects:
    """Effects of a fraction that are one and the same contrast of its cells. ``signs``: per cell, +1 or -1."""

    effects: tuple[str, ...]
    signs: Mapping[str, int]

    def are_asked_by(self, spec: ContrastSpec) -> bool:
        """Return whether a claim is this contrast, at any scale and with either sign, whatever its kind and level."""
        is_difference = len(spec.weights) == DIFFERENCE_CELLS and spec.kind not in EFFECT_KINDS
        if is_difference or set(spec.weights) != set(self.signs):
            return False
        ratios = np.array([weight * self.signs[cell] for cell, weight in spec.weights.items()])
        return bool(np.allclose(ratios, ratios[0], rtol=1e-9, atol=0) and ratios[0] != 0)


def aliased_effects(design: Design) -> tuple[AliasedEffects, ...]:
    """Return the contrasts of fractions that stand for two or more effects of the lowest orders."""
    found = []
    for table, cells, group in _groups(design):
        low = [effect for effect in group if len(effect) < NEGLIGIBLE_ORDER]
        if len(low) > 1:
            signs = dict(zip(cells.values(), sign_column(low[0], tuple(cells)), strict=True))
            found.append(AliasedEffects(tuple(effect_name(effect, tuple(table.factors)) for effect in low), signs))
    return tuple(found)


def alias_tables(design: Design) -> dict[str, list[dict[str, Any]]]:
    """Return the table of aliases for the findings; nothing for a design without a fraction."""
    rows = [
        {
            "position": table.position,
            "factors": list(table.factors),
            "effects": [effect_name(effect, tuple(table.factors)) for effect in group],
        }
        for table, _, group in _groups(design)
    ]
    return {"aliases": rows} if rows else {}


def _groups(design: Design) -> Iterator[tuple[Factorial, dict[frozenset[str], str], tuple[frozenset[str], ...]]]:
    for table in factorials(trained_arms(places_of(design))):
        cells = table.two_level
        if not table.is_complete and cells is not None:
            for group in aliases(tuple(table.factors), tuple(cells)):
                yield table, cells, group
