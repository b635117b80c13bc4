"""Fractional factorials by their generators: which cells to run, what defines them, and their alias table.

A generator says that one factor is on exactly where an even number of others is off: its sign is the product of their
signs, so the cell with everything on is always run. Source: Box, Hunter and Hunter 2005, chapter 6. Departures: only
the principal fraction is made.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import combinations
from math import prod

from upbringing.formats.effects.coalitions import Coalition
from upbringing.formats.effects.fractions import NEGLIGIBLE_ORDER, aliases, effect_name

Generators = Mapping[str, Sequence[str]]
"""Factor -> the others whose product it is: ``{"d": ("a", "b", "c")}`` is 2^(4-1) of resolution IV."""

MAX_FACTORS = 8  # 256 effects to sort into alias groups
STANDARD: Mapping[tuple[int, int], tuple[tuple[int, tuple[int, ...]], ...]] = {
    (3, 1): ((2, (0, 1)),),
    (4, 1): ((3, (0, 1, 2)),),
    (5, 1): ((4, (0, 1, 2, 3)),),
    (5, 2): ((3, (0, 1)), (4, (0, 2))),
    (6, 1): ((5, (0, 1, 2, 3, 4)),),
    (6, 2): ((4, (0, 1, 2)), (5, (1, 2, 3))),
    (7, 3): ((4, (0, 1, 2)), (5, (1, 2, 3)), (6, (0, 2, 3))),
}
"""By (factors, halvings): generators of the highest resolution, as numbers of factors."""


def check_generators(factors: Sequence[str], generators: Generators) -> None:
    """Raise ``ValueError`` for generators that do not name a fraction of ``factors``."""
    if not 2 <= len(factors) <= MAX_FACTORS:
        raise ValueError(f"a fraction has 2 to {MAX_FACTORS} factors, found {len(factors)}")
    for made, of in generators.items():
        unknown = [name for name in (made, *of) if name not in factors]
        if unknown:
            raise ValueError(f"the generator of {made!r} names {unknown[0]!r}, which is none of {', '.join(factors)}")
        if len(of) < 2 or len(set(of)) < len(of):
            raise ValueError(f"the generator of {made!r} needs two or more different factors, found {', '.join(of)}")
        circular = [name for name in of if name in generators]
        if circular:
            raise ValueError(
                f"the generator of {made!r} names {circular[0]!r}, which a generator makes: use the others"
            )
    if not generators:
        raise ValueError("a fraction needs a generator, such as {d: [a, b, c]}")


def fraction_runs(factors: Sequence[str], generators: Generators) -> tuple[Coalition, ...]:
    """Return the cells of a fraction, each as the factors that are on, in the order of the full design."""
    check_generators(factors, generators)
    free = [name for name in factors if name not in generators]
    runs = []
    for size in range(len(free) + 1):
        for group in combinations(free, size):
            made = [name for name, of in generators.items() if prod(1 if each in group else -1 for each in of) > 0]
            runs.append(frozenset((*group, *made)))
    return tuple(runs)


def defining_relation(generators: Generators) -> tuple[Coalition, ...]:
    """Return the words that equal the mean: all products of the generators' own, short ones first."""
    words = [frozenset((made, *of)) for made, of in generators.items()]
    products = []
    for size in range(1, len(words) + 1):
        for group in combinations(words, size):
            product: Coalition = frozenset()
            for word in group:
                product ^= word
            products.append(product)
    return tuple(sorted(products, key=lambda word: (len(word), sorted(word))))


def resolution(generators: Generators) -> int:
    """Return the length of the shortest word: from 5 on, main effects and two-way interactions are clear."""
    return len(defining_relation(generators)[0])


def standard_generators(factors: Sequence[str], halvings: int = 1) -> dict[str, tuple[str, ...]]:
    """Return the generators of highest resolution for ``2^(K - halvings)`` cells; raise ``ValueError`` for others."""
    found = STANDARD.get((len(factors), halvings))
    if found is None:
        known = ", ".join(f"2^({num}-{less})" for num, less in STANDARD)
        raise ValueError(f"2^({len(factors)}-{halvings}) has no standard generators here ({known}): give your own")
    return {factors[made]: tuple(factors[number] for number in of) for made, of in found}


def alias_lines(factors: Sequence[str], runs: Sequence[Coalition]) -> tuple[str, ...]:
    """Return one line per main effect or two-way interaction group: ``a x b = c x d``; the mean's line comes first."""
    return tuple(
        " = ".join(effect_name(effect, factors) for effect in group)
        for group in aliases(factors, runs)
        if len(group[0]) < NEGLIGIBLE_ORDER
    )
