"""Weights of effects on the cells of an on/off design, where a coalition is the set of stages or factors that are on.

``v(A)`` is the mean of the cell in which exactly ``A`` is on and everything else is off (or a placebo). Every effect
here is a linear contrast of these cells, so one estimator serves all. Source: Shapley 1953; Frye, Rowat and Feige 2019
(asymmetric Shapley values); averaged interactions as in Box, Hunter and Hunter 2005. Departures: none.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Sequence
from itertools import combinations, permutations

Coalition = frozenset[str]
Weights = dict[Coalition, float]
Precedence = Collection[tuple[str, str]]
"""Pairs (earlier, later): orders in which the later one is switched on first are not feasible."""

MAX_PLAYERS = 5  # 32 cells, 120 orders


def coalitions(players: Sequence[str]) -> tuple[Coalition, ...]:
    """Return all 2^K coalitions, small ones first."""
    _check(players)
    return tuple(frozenset(group) for size in range(len(players) + 1) for group in combinations(players, size))


def total(players: Sequence[str]) -> Weights:
    """Return ``v(all) - v(none)``."""
    _check(players)
    return _difference(frozenset(players), frozenset())


def necessity(player: str, players: Sequence[str]) -> Weights:
    """Return ``v(all) - v(all without player)``: leaving one out."""
    _check(players, player)
    everyone = frozenset(players)
    return _difference(everyone, everyone - {player})


def sufficiency(player: str, players: Sequence[str]) -> Weights:
    """Return ``v(player alone) - v(none)``: only one."""
    _check(players, player)
    return _difference(frozenset({player}), frozenset())


def interaction(group: Collection[str], players: Sequence[str]) -> Weights:
    """Return the interaction of ``group``, averaged over all settings of the others; of one player, its main effect."""
    _check(players, *group)
    others = [player for player in players if player not in group]
    scale = 2.0 ** -len(others)
    weights: Weights = {}
    for setting in coalitions(others) if others else (frozenset(),):
        for coalition, sign in moebius(group).items():
            weights[coalition | setting] = sign * scale
    return weights


def moebius(group: Collection[str]) -> Weights:
    """Return the interaction of ``group`` with everything else off: what the group adds to all of its parts."""
    members = sorted(group)
    return {
        frozenset(part): (-1.0) ** (len(members) - size)
        for size in range(len(members) + 1)
        for part in combinations(members, size)
    }


def shapley(player: str, players: Sequence[str], before: Precedence = ()) -> Weights:
    """Return the mean contribution of ``player`` over all feasible orders; with ``before`` it is asymmetric.

    The values of all players sum to the total.
    """
    counts: Counter[Coalition] = Counter(_predecessors(player, players, before))
    num = sum(counts.values())
    weights: Weights = {}
    for coalition, count in counts.items():
        weights[coalition | {player}] = count / num
        weights[coalition] = -count / num
    return weights


def contributions(player: str, players: Sequence[str], before: Precedence = ()) -> tuple[Weights, ...]:
    """Return each distinct contribution of ``player`` over the feasible orders: what it adds to whoever came before."""
    distinct = dict.fromkeys(_predecessors(player, players, before))
    return tuple(_difference(coalition | {player}, coalition) for coalition in distinct)


def feasible_orders(players: Sequence[str], before: Precedence = ()) -> tuple[tuple[str, ...], ...]:
    """Return the orders that respect ``before``; raises ``ValueError`` when there is none."""
    _check(players, *(name for pair in before for name in pair))
    orders = tuple(
        order
        for order in permutations(players)
        if all(order.index(first) < order.index(last) for first, last in before)
    )
    if not orders:
        raise ValueError(f"no order of {', '.join(players)} is feasible: the precedences {sorted(before)} are circular")
    return orders


def _predecessors(player: str, players: Sequence[str], before: Precedence) -> list[Coalition]:
    _check(players, player)
    return [frozenset(order[: order.index(player)]) for order in feasible_orders(players, before)]


def _difference(one: Coalition, other: Coalition) -> Weights:
    return {one: 1.0, other: -1.0}


def _check(players: Sequence[str], *asked: str) -> None:
    if not 1 <= len(players) <= MAX_PLAYERS or len(set(players)) < len(players):
        raise ValueError(f"an on/off design has 1 to {MAX_PLAYERS} distinct factors, found {list(players)}")
    for name in asked:
        if name not in players:
            raise ValueError(f"{name!r} is none of the factors {', '.join(players)}")
