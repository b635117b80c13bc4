"""A contrast that a design supports without being asked, before it is put to a measure."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Literal

from upbringing.formats.effects.coalitions import Coalition, Weights
from upbringing.formats.tree import ContrastSpec

Evidence = Literal["L1", "L2", "L3", "L4"]

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
"""Kinds of derived contrasts that decide nothing unless a study declares them itself, or names them as a branch."""

WEIGHT_DIGITS = 12  # weights such as 1/3 are rounded
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
    """A contrast of cells with its kind and level of evidence; see ``ContrastSpec`` for the other fields.

    ``is_named``: the design itself sets these cells against each other: an arm and its control, or a step of an arm.
    """

    name: str
    kind: str
    level: Evidence
    weights: dict[str, float]
    share_of: dict[str, float] = field(default_factory=dict)
    counterpart: dict[str, float] = field(default_factory=dict)
    orders: tuple[dict[str, float], ...] = ()
    is_named: bool = False

    @property
    def may_decide(self) -> bool:
        """Whether this contrast may be more than exploratory without being declared."""
        return self.level != "L4" and (self.is_named or self.kind not in ALWAYS_EXPLORATORY)

    def spec(
        self, measure: str, margin: float | None, role: Literal["primary", "exploratory"], family: str
    ) -> ContrastSpec:
        """Return the contrast put to ``measure``; what may not decide never gets another role."""
        return ContrastSpec(
            name=self.name,
            kind=self.kind,
            level=self.level,
            weights=self.weights,
            measure=measure,
            role=role if self.may_decide else "exploratory",
            family=family if self.may_decide else "exploratory",
            test=TESTS.get(self.kind, "difference"),
            margin=margin,
            share_of=self.share_of,
            counterpart=self.counterpart,
            orders=self.orders,
        )


def supporting(derived: Iterable[Derived], edited: Collection[str]) -> Iterator[Derived]:
    """Yield ``derived``; what has a cell of edited weights (``edited``) as L4, which supports and decides nothing.

    An edit is no part of a total that training made, so such a contrast asks for no share and has no orders.
    """
    for each in derived:
        if edited and not set(edited).isdisjoint(each.weights):
            yield replace(each, level="L4", share_of={}, counterpart={}, orders=())
        else:
            yield each


def on_cells(weights: Weights, cells: Mapping[Coalition, str]) -> dict[str, float]:
    """Return weights of coalitions as weights of the cells that they are."""
    return {cells[coalition]: weight for coalition, weight in weights.items() if weight}


def without_repeats(
    derived: Iterable[Derived], identities: Mapping[str, tuple[str, ...]] | None = None
) -> tuple[Derived, ...]:
    """Return ``derived`` without contrasts that ask the same as an earlier one, or its opposite.

    Where the later one is named by the design, the earlier one is named as well: its kind says more.

    ``identities``: what fills the cells. Then cells that one checkpoint fills are one, and a contrast of a checkpoint
    with itself asks nothing. Two kinds stay whatever else asks the same: a trend over three equally spaced levels is
    the difference of the outer two as well, and an asymmetric Shapley value may be a single step, but belongs to
    values that sum to the total.
    """
    first: dict[frozenset[tuple[tuple[str, ...], float]], int] = {}
    kept: list[Derived] = []
    for each in derived:
        own = _merged(each.weights, identities or {})
        opposite = frozenset((what, -weight) for what, weight in own)
        earlier = first.get(own, first.get(opposite))
        if own and (earlier is None or each.kind in ALWAYS_KEPT):
            first.setdefault(own, len(kept))
            kept.append(each)
        elif earlier is not None and each.is_named:
            kept[earlier] = replace(kept[earlier], is_named=True)
    return tuple(kept)


def _merged(
    weights: Mapping[str, float], identities: Mapping[str, tuple[str, ...]]
) -> frozenset[tuple[tuple[str, ...], float]]:
    sums: dict[tuple[str, ...], float] = {}
    for cell, weight in weights.items():
        what = identities.get(cell, (cell,))
        sums[what] = sums.get(what, 0.0) + weight
    rounded = ((what, round(weight, WEIGHT_DIGITS)) for what, weight in sums.items())
    return frozenset((what, weight) for what, weight in rounded if weight)
