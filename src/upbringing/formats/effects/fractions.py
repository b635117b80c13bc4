"""Fractional factorials: which effects a part of the on/off cells cannot tell apart, and the weights of those it can.

Source: Box, Hunter and Hunter 2005, chapter 6. Departures: effects of order three and above are taken to be absent
when a lower one is read, as in designs of resolution IV and V; the alias table says with what each is confounded.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from itertools import combinations

from upbringing.formats.effects.coalitions import Coalition, Weights

NEGLIGIBLE_ORDER = 3  # effects of this order and above are taken to be absent


def sign_column(effect: Collection[str], runs: Sequence[Coalition]) -> tuple[int, ...]:
    """Return for each run +1 or -1: the product of the signs of the factors of ``effect``; of none of them, +1."""
    return tuple(-1 if len(frozenset(effect) - run) % 2 else 1 for run in runs)


def is_regular(factors: Sequence[str], runs: Sequence[Coalition]) -> bool:
    """Return whether ``runs`` are a fraction in which two effects are either fully aliased or orthogonal."""
    return all(abs(sum(column)) in (0, len(runs)) for column in (sign_column(each, runs) for each in _effects(factors)))


def aliases(factors: Sequence[str], runs: Sequence[Coalition]) -> tuple[tuple[Coalition, ...], ...]:
    """Return the groups of effects that ``runs`` cannot tell apart, low orders first; a full design has none.

    The empty effect stands for the mean: what is aliased with it is the defining relation, and cannot be seen at all.
    """
    groups: dict[tuple[int, ...], list[Coalition]] = {}
    for effect in _effects(factors):
        column = sign_column(effect, runs)
        groups.setdefault(max(column, tuple(-sign for sign in column)), []).append(effect)
    return tuple(tuple(group) for group in groups.values() if len(group) > 1)


def aliased_with(effect: Collection[str], factors: Sequence[str], runs: Sequence[Coalition]) -> tuple[Coalition, ...]:
    """Return the mean, main effects and two-way interactions that ``runs`` cannot tell from ``effect``."""
    own = frozenset(effect)
    group = next((each for each in aliases(factors, runs) if own in each), ())
    return tuple(other for other in group if other != own and len(other) < NEGLIGIBLE_ORDER)


def fraction_effect(effect: Collection[str], factors: Sequence[str], runs: Sequence[Coalition]) -> Weights:
    """Return the weights of a main effect or interaction on the cells of a regular fraction.

    Raises ``ValueError`` for runs that are no regular fraction and for an effect that is aliased with the mean, a main
    effect or a two-way interaction: nothing in such a design can tell them apart.
    """
    if not is_regular(factors, runs):
        raise ValueError(f"these {len(runs)} cells of {', '.join(factors)} are no regular fraction: run other cells")
    confounded = aliased_with(effect, factors, runs)
    if confounded:
        others = ", ".join(effect_name(other, factors) for other in confounded)
        raise ValueError(f"{effect_name(effect, factors)} is aliased with {others}: run the cells that tell them apart")
    scale = 2.0 ** len(frozenset(effect)) / len(runs)
    return {run: sign * scale for run, sign in zip(runs, sign_column(effect, runs), strict=True)}


def effect_name(effect: Collection[str], factors: Sequence[str]) -> str:
    """Return ``a x b`` in the factors' order; the empty effect is the mean."""
    return " x ".join(name for name in factors if name in effect) or "the mean"


def _effects(factors: Sequence[str]) -> list[Coalition]:
    return [frozenset(group) for size in range(len(factors) + 1) for group in combinations(factors, size)]
