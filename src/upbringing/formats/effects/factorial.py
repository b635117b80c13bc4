"""The contrasts of a factorial table: simple and main effects, interactions, Shapley values, trends.

How many there are stays small: with three factors or more, only the simple effects at the two corners (of on/off
factors: everything else on, necessity; everything else off, sufficiency) and interactions up to the third order.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import combinations

from upbringing.formats.effects import coalitions
from upbringing.formats.effects.coalitions import Coalition
from upbringing.formats.effects.derived import Derived, Evidence, on_cells, without_repeats
from upbringing.formats.effects.fractions import aliased_with, fraction_effect
from upbringing.formats.effects.places import Factorial
from upbringing.formats.effects.trends import LINEAR, QUADRATIC, number_of, trend

HIGHEST_DERIVED_ORDER = 3
CORNERS_FROM = 3  # factors from which only the two corners' simple effects are derived
TREND_LEVELS = 3


def factorial_effects(table: Factorial) -> tuple[Derived, ...]:
    """Return everything that ``table`` supports, no contrast twice."""
    if not table.is_complete:
        return tuple(_of_fraction(table))
    cells = table.on_off if table.is_distinct and len(table.factors) > 1 else None
    found: list[Derived] = []
    for index, factor in enumerate(table.factors):
        found += _simple_effects(table, index) if cells is None else _corners(table, factor, cells)
        if len(table.factors) > 1:
            found += _main_effects(table, index)
    found += [each for pair in combinations(range(len(table.factors)), 2) for each in _interactions(table, pair)]
    found += _higher_interactions(table)
    if cells is not None:
        found += _coalition_effects(table, cells)
    found += [each for index in range(len(table.factors)) for each in _trends(table, index)]
    return without_repeats(found, {place.name: place.identity for place in table.cells.values()})


def lasting_effects(tables: Sequence[Factorial]) -> Iterator[Derived]:
    """Yield how much the last stage changes each main effect: at the last position - at the one before."""
    by_factors: dict[tuple[str, ...], list[Factorial]] = {}
    for table in tables:
        if table.is_complete:
            by_factors.setdefault(tuple(table.factors), []).append(table)
    for same in by_factors.values():
        if len(same) > 1:
            yield from _lasting(*same[-2:])


def _lasting(before: Factorial, after: Factorial) -> Iterator[Derived]:
    identities = {cell.name: cell.identity for cell in before.cells.values()}
    level: Evidence = "L2" if len(after.factors) == 1 else "L3"
    for index in range(len(after.factors)):
        for earlier, later in zip(_main_effects(before, index), _main_effects(after, index), strict=True):
            if without_repeats([earlier], identities):  # else the factor had not acted yet
                weights = later.weights | {cell: -weight for cell, weight in earlier.weights.items()}
                name = f"{later.name.rpartition(' @ ')[0]}: {before.position} -> {after.position}"
                yield Derived(name, "difference-in-differences", level, weights)


def _corners(table: Factorial, factor: str, cells: dict[Coalition, str]) -> Iterator[Derived]:
    """Yield what ``factor`` does with everything else on, and with everything else off."""
    players = tuple(table.factors)
    needed = on_cells(coalitions.necessity(factor, players), cells)
    enough = on_cells(coalitions.sufficiency(factor, players), cells)
    for kind, weights, other in (("necessity", needed, enough), ("sufficiency", enough, needed)):
        above, below = weights
        name = f"{_arm(above)} - {_arm(below)} @ {table.position}"
        yield Derived(name, kind, "L2", weights, counterpart=other)


def _arm(cell: str) -> str:
    return cell.rpartition("@")[0]


def _simple_effects(table: Factorial, index: int) -> Iterator[Derived]:
    """Yield each level against the base in every setting of the others; of many settings, the two corners only."""
    levels = list(table.factors.values())
    base, others = levels[index][-1], [place for place in range(len(levels)) if place != index]
    corners = [tuple(levels[place][end] for place in others) for end in (0, -1)]
    for combination, place in table.cells.items():
        is_asked = len(levels) < CORNERS_FROM or tuple(combination[other] for other in others) in corners
        if is_asked and combination[index] != base:
            other = table.cells[(*combination[:index], base, *combination[index + 1 :])]
            name = f"{place.arm} - {other.arm} @ {table.position}"
            yield Derived(name, "data-effect", "L2", {place.name: 1.0, other.name: -1.0})


def _main_effects(table: Factorial, index: int) -> Iterator[Derived]:
    """Yield each level against the base, averaged over the others; of two on/off factors it is the Shapley value."""
    factor, levels = list(table.factors.items())[index]
    base, each = levels[-1], len(table.cells) / len(levels)
    cells = table.on_off if len(table.factors) == 2 and table.is_distinct else None
    share_of, orders = _whole(table, factor, cells) if cells is not None else ({}, ())
    for level in levels[:-1]:
        weights = {
            place.name: (1.0 if combination[index] == level else -1.0) / each
            for combination, place in table.cells.items()
            if combination[index] in (level, base)
        }
        name = f"{factor} {level} - {base} @ {table.position}"
        yield Derived(name, "main-effect", "L3", weights, share_of=share_of, orders=orders)


def _interactions(table: Factorial, pair: tuple[int, int]) -> Iterator[Derived]:
    first, second = pair
    names, levels = list(table.factors), list(table.factors.values())
    left, right = levels[first], levels[second]
    others = len(table.cells) / (len(left) * len(right))
    for one in left[:-1]:
        for two in right[:-1]:
            weights = {}
            for combination, place in table.cells.items():
                if combination[first] in (one, left[-1]) and combination[second] in (two, right[-1]):
                    sign = (1.0 if combination[first] == one else -1.0) * (1.0 if combination[second] == two else -1.0)
                    weights[place.name] = sign / others
            name = f"{names[first]} x {names[second]} ({one}, {two}) @ {table.position}"
            yield Derived(name, "interaction", "L3", weights)


def _higher_interactions(table: Factorial) -> Iterator[Derived]:
    players, cells = tuple(table.factors), table.two_level if table.is_distinct else None
    if cells is None or len(players) > coalitions.MAX_PLAYERS:
        return
    for order in range(3, min(len(players), HIGHEST_DERIVED_ORDER) + 1):
        for group in combinations(players, order):
            weights = on_cells(coalitions.interaction(group, players), cells)
            yield Derived(f"{' x '.join(group)} @ {table.position}", "higher-interaction", "L3", weights)


def _coalition_effects(table: Factorial, cells: dict[Coalition, str]) -> Iterator[Derived]:
    """Yield the total and, from three factors on, Shapley values (of two: the main effects)."""
    players, place = tuple(table.factors), table.position
    yield Derived(f"{' + '.join(players)}, all on - all off @ {place}", "total-effect", "L3", _total(players, cells))
    if len(players) < CORNERS_FROM:
        return
    for player in players:
        share_of, orders = _whole(table, player, cells)
        weights = on_cells(coalitions.shapley(player, players), cells)
        yield Derived(f"{player}, Shapley value @ {place}", "shapley", "L3", weights, share_of=share_of, orders=orders)
        if table.before:
            name = f"{player}, Shapley value in the order of training @ {place}"
            weights = on_cells(coalitions.shapley(player, players, table.before), cells)
            yield Derived(name, "asymmetric-shapley", "L3", weights, share_of=share_of)


def _whole(
    table: Factorial, player: str, cells: dict[Coalition, str]
) -> tuple[dict[str, float], tuple[dict[str, float], ...]]:
    """Return the total that a player's contribution is a share of, and the contributions over all orders."""
    players = tuple(table.factors)
    orders = tuple(on_cells(each, cells) for each in coalitions.contributions(player, players))
    return _total(players, cells), orders


def _total(players: tuple[str, ...], cells: dict[Coalition, str]) -> dict[str, float]:
    return on_cells(coalitions.total(players), cells)


def _trends(table: Factorial, index: int) -> Iterator[Derived]:
    """Yield the linear and the quadratic trend over a factor whose levels are numbers, averaged over the others."""
    factor, levels = list(table.factors.items())[index]
    numbers = [number for level in levels if (number := number_of(level)) is not None]
    if len(numbers) < len(levels) or len(set(numbers)) < TREND_LEVELS:
        return
    others = len(table.cells) / len(levels)
    for kind, degree in (("linear-trend", LINEAR), ("quadratic-trend", QUADRATIC)):
        of_level = dict(zip(levels, trend(numbers, degree), strict=True))
        weights = {
            place.name: of_level[combination[index]] / others
            for combination, place in table.cells.items()
            if of_level[combination[index]]
        }
        level: Evidence = "L2" if len(table.factors) == 1 else "L3"
        yield Derived(f"{factor}, {kind.replace('-', ' ')} @ {table.position}", kind, level, weights)


def _of_fraction(table: Factorial) -> Iterable[Derived]:
    """Yield the main effects and two-way interactions that a fraction does not confound with one another."""
    cells = table.two_level
    if cells is None or not table.is_distinct:
        return
    players, runs = tuple(table.factors), tuple(cells)
    for size, kind in ((1, "main-effect"), (2, "interaction")):
        for group in combinations(players, size):
            if aliased_with(group, players, runs):
                continue
            weights = on_cells(fraction_effect(group, players, runs), cells)
            levels = ", ".join(table.factors[name][0] for name in group)
            base = f" - {table.factors[group[0]][-1]}" if size == 1 else ""
            name = f"{group[0]} {levels}{base}" if size == 1 else f"{' x '.join(group)} ({levels})"
            yield Derived(f"{name} @ {table.position}", kind, "L3", weights)
