"""A fraction of a study's matrix: which combinations are arms, and which effects nothing in it can tell apart.

The first level of a factor is "on", the last "off", as everywhere.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import product
from math import isclose, prod

from upbringing.formats.effects.coalitions import Coalition
from upbringing.formats.effects.fractions import NEGLIGIBLE_ORDER, aliases, effect_name, sign_column
from upbringing.formats.effects.generators import Generators, alias_lines, check_generators, fraction_runs

Levels = Mapping[str, Sequence[str]]


def check_fraction(levels: Levels, generators: Generators) -> None:
    """Raise ``ValueError`` for generators that name no fraction of the matrix. ``levels``: by factor."""
    if not levels:
        raise ValueError("a fraction needs a matrix whose factors it names")
    for factor, found in levels.items():
        if len(found) != 2:
            raise ValueError(
                f"a fraction needs factors with two levels; {factor!r} has {len(found)} ({', '.join(found)})"
            )
    check_generators(tuple(levels), generators)


def is_in_fraction(chosen: Mapping[str, str], levels: Levels, generators: Generators) -> bool:
    """Return whether the combination ``chosen`` (factor to level) is one of the fraction's."""
    sign = {factor: 1 if chosen[factor] == found[0] else -1 for factor, found in levels.items()}
    return all(sign[made] == prod(sign[each] for each in of) for made, of in generators.items())


def arm_names(levels: Levels, generators: Generators) -> dict[str, Coalition]:
    """Return the arm of every run of a fraction, with the factors that are on in it."""
    found = {}
    for combination in product(*levels.values()):
        chosen = dict(zip(levels, combination, strict=True))
        if is_in_fraction(chosen, levels, generators):
            on = frozenset(factor for factor, level in chosen.items() if level == levels[factor][0])
            found["+".join(combination)] = on
    return found


def confounded_effects(weights: Mapping[str, float], levels: Levels, generators: Generators) -> tuple[str, ...]:
    """Return the effects that a contrast asks for at once; empty unless its weights are those of aliased effects.

    ``weights``: on cells ``arm@position``. Weights that are no effect's (a difference of two arms, say) compare
    recipes, and a fraction can do that.
    """
    signs = _signs(weights, arm_names(levels, generators))
    if signs is None:
        return ()
    factors = tuple(levels)
    runs, column = tuple(signs), tuple(signs.values())
    for group in aliases(factors, runs):
        own = sign_column(group[0], runs)
        low = [effect for effect in group if len(effect) < NEGLIGIBLE_ORDER]
        if len(low) > 1 and column in (own, tuple(-sign for sign in own)):
            return tuple(effect_name(effect, factors) for effect in low)
    return ()


def _signs(weights: Mapping[str, float], runs: Mapping[str, Coalition]) -> dict[Coalition, int] | None:
    """Return the sign of every run; ``None`` unless all runs stand at one position with weights of one size."""
    found: dict[Coalition, int] = {}
    positions = {cell.partition("@")[2] for cell in weights}
    sizes = [abs(weight) for weight in weights.values()]
    for cell, weight in weights.items():
        arm = cell.partition("@")[0]
        if arm not in runs:
            return None
        found[runs[arm]] = 1 if weight > 0 else -1
    is_even = all(isclose(size, sizes[0], rel_tol=1e-6) for size in sizes)
    return found if len(positions) == 1 and is_even and len(found) == len(runs) == len(weights) else None


def alias_table(levels: Levels, generators: Generators) -> tuple[str, ...]:
    """Return one line per group of main effects and two-way interactions that the fraction cannot tell apart."""
    factors = tuple(levels)
    return alias_lines(factors, fraction_runs(factors, generators))
