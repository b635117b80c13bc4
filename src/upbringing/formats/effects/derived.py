"""A contrast that a design supports without being asked, before it is put to a measure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Literal

from upbringing.formats.effects.coalitions import Coalition, Weights
from upbringing.formats.tree import ContrastSpec

Evidence = Literal["L1", "L2", "L3"]

ALWAYS_EXPLORATORY = frozenset(
    {
        "total-effect",
        "shapley",
        "asymmetric-shapley",
        "higher-interaction",
        "linear-trend",
        "quadratic-trend",
        "generic-effect",
        "difference-in-differences",
        "order-effect",
    }
)
"""Kinds of derived contrasts that decide nothing unless a study declares them itself."""

ALWAYS_KEPT = ("linear-trend", "quadratic-trend", "asymmetric-shapley")

TESTS: Mapping[str, Literal["interaction", "trend"]] = {
    "interaction": "interaction",
    "higher-interaction": "interaction",
    "difference-in-differences": "interaction",
    "linear-trend": "trend",
    "quadratic-trend": "trend",
}


@dataclass(frozen=True)
class Derived:
    """A contrast of cells with its kind and level of evidence; see ``ContrastSpec`` for the other fields."""

    name: str
    kind: str
    level: Evidence
    weights: dict[str, float]
    share_of: dict[str, float] = field(default_factory=dict)
    counterpart: dict[str, float] = field(default_factory=dict)
    orders: tuple[dict[str, float], ...] = ()

    def spec(
        self, measure: str, margin: float | None, role: Literal["primary", "exploratory"], family: str
    ) -> ContrastSpec:
        """Return the contrast put to ``measure``; a kind that is always exploratory never gets another role."""
        is_exploratory = self.kind in ALWAYS_EXPLORATORY
        return ContrastSpec(
            name=self.name,
            kind=self.kind,
            level=self.level,
            weights=self.weights,
            measure=measure,
            role="exploratory" if is_exploratory else role,
            family="exploratory" if is_exploratory else family,
            test=TESTS.get(self.kind, "difference"),
            margin=margin,
            share_of=self.share_of,
            counterpart=self.counterpart,
            orders=self.orders,
        )


def on_cells(weights: Weights, cells: Mapping[Coalition, str]) -> dict[str, float]:
    """Return weights of coalitions as weights of the cells that they are."""
    return {cells[coalition]: weight for coalition, weight in weights.items() if weight}


def without_repeats(derived: Iterable[Derived]) -> tuple[Derived, ...]:
    """Return ``derived`` without contrasts that ask the same as an earlier one, or its opposite.

    Two kinds stay whatever else asks the same: a trend over three equally spaced levels is the difference of the outer
    two as well, and an asymmetric Shapley value may be a single step, but belongs to values that sum to the total.
    """
    seen: set[frozenset[tuple[str, float]]] = set()
    kept = []
    for each in derived:
        own = frozenset(each.weights.items())
        opposite = frozenset((cell, -weight) for cell, weight in each.weights.items())
        if each.kind in ALWAYS_KEPT:
            kept.append(each)
        elif own not in seen and opposite not in seen:
            seen.add(own)
            kept.append(each)
    return tuple(kept)
