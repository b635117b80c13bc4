"""Whether two places were made alike, as far as a study or a tree states it."""

from __future__ import annotations

from collections.abc import Mapping

from upbringing.formats.effects.places import Place

START, DATA = "start", "data"
BUT_DATA = (START, "kind", "settings")  # facts that a stage and its placebo share


def are_known_alike(one: Place, other: Place) -> bool:
    """Return whether one checkpoint fills both, or both stages state their data and nothing they state differs."""
    if set(one.identity) & set(other.identity):
        return True
    return all(DATA in dict(place.recipe) for place in (one, other)) and not differ(one, other)


def differ(one: Place, other: Place, facts: tuple[str, ...] | None = None) -> bool:
    """Return whether a fact (one of ``facts``) that both places state has no value in common."""
    left, right = dict(one.recipe), dict(other.recipe)
    asked = [fact for fact in left if fact in right and (facts is None or fact in facts)]
    return any(not left[fact] & right[fact] for fact in asked)


def stages_differ(one: Place, other: Place) -> bool:
    """Return whether the two stages are stated to differ, whatever the arms started from."""
    return differ(one, other, tuple(fact for fact, _ in one.recipe if fact != START))


def are_at_one_depth(one: Mapping[str, Place], other: Mapping[str, Place], position: str) -> bool:
    """Return whether two arms have the same of their shared positions behind them at ``position``; else one is ahead.

    Arms that swap two stages are not before both are done.
    """
    shared = set(one) & set(other)
    done = [set(list(arm)[: list(arm).index(position) + 1]) & shared for arm in (one, other)]
    return done[0] == done[1]
