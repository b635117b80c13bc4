"""The contrasts of single branches: data and generic effect of three arms, replaced targets, differences that last."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from upbringing.formats.effects.derived import Derived
from upbringing.formats.effects.places import NO_LEVELS, STAGE_ON, Place

ByPosition = Mapping[str, Place]


def by_arm(places: Sequence[Place]) -> dict[str, dict[str, Place]]:
    """Return each arm's places by position, in order."""
    arms: dict[str, dict[str, Place]] = {}
    for place in places:
        arms.setdefault(place.arm, {})[place.position] = place
    return arms


def branch_kind(one: Place, other: Place) -> str:
    """Return ``replace-effect`` where one stage was replaced and all else is stated to be the same, else ``branch``.

    States are of whole arms: before the replaced stage the two are one and the same.
    """
    if one.identity == other.identity:
        return "branch"
    differing = _differing_states(one, other)
    is_replaced = len(differing) == 1 and "replaced" in differing[0] and set(differing[0]) <= {STAGE_ON, "replaced"}
    return "replace-effect" if is_replaced and one.factors == other.factors else "branch"


def _differing_states(one: Place, other: Place) -> list[tuple[str, str]]:
    left, right = dict(one.state), dict(other.state)
    stages = dict.fromkeys((*left, *right))
    pairs = [(left.get(stage, STAGE_ON), right.get(stage, STAGE_ON)) for stage in stages]
    return [pair for pair in pairs if pair[0] != pair[1]]


def three_arms(places: Sequence[Place]) -> Iterator[Derived]:
    """Yield what the data of a stage did, and what training it did, where arms have it, have a placebo and skip it.

    Data effect: on - placebo (same tokens, format and steps). Generic effect of training: placebo - skipped; at the
    stage's own position the skipped arm stands where it stood before.
    """
    arms = {
        name: found for name, found in by_arm(places).items() if next(iter(found.values())).control not in NO_LEVELS
    }
    for skipped in arms.values():
        stage = _only_stage(skipped, "off")
        if stage is None:
            continue
        with_placebo = [found for found in arms.values() if _only_stage(found, "placebo") == stage]
        with_data = sorted((found for found in arms.values() if _is_plain(found)), key=_is_no_reference)
        for placebo in with_placebo[:1]:
            for data in with_data[:1]:
                yield from _at_positions(stage, (data, placebo, skipped))


def _only_stage(found: ByPosition, state: str) -> str | None:
    """Return the one stage whose state is ``state`` while all others are on."""
    states = dict(next(iter(found.values())).state)
    other = [stage for stage, value in states.items() if value != STAGE_ON]
    return other[0] if len(other) == 1 and states[other[0]] == state else None


def _is_plain(found: ByPosition) -> bool:
    return all(value == STAGE_ON for _, value in next(iter(found.values())).state)


def _is_no_reference(found: ByPosition) -> bool:
    return next(iter(found.values())).control != "reference"


def _at_positions(stage: str, arms: tuple[ByPosition, ByPosition, ByPosition]) -> Iterator[Derived]:
    data, placebo, skipped = arms
    for position, with_data in data.items():
        with_placebo = placebo.get(position)
        without = _skipped_at(stage, position, data, skipped)
        if with_placebo is None or without is None or with_placebo.identity == with_data.identity:
            continue
        weights = {with_data.name: 1.0, with_placebo.name: -1.0}
        yield Derived(f"{stage}, data effect @ {position}", "data-effect", "L2", weights)
        weights = {with_placebo.name: 1.0, without.name: -1.0}
        yield Derived(f"{stage}, generic effect of training @ {position}", "generic-effect", "L2", weights)


def _skipped_at(stage: str, position: str, data: ByPosition, skipped: ByPosition) -> Place | None:
    if position != stage:
        return skipped.get(position)
    earlier = [name for name in list(data)[: list(data).index(position)] if name.partition(":")[0] != stage]
    return skipped.get(earlier[-1]) if earlier else None


def lasting_difference(one: ByPosition, other: ByPosition) -> Iterator[Derived]:
    """Yield how much the last stage, the same in both arms, changes the difference between them.

    [one after - one before] - [other after - other before]: above zero, ``one`` kept or gained more than ``other``.
    """
    shared = [position for position in one if position in other]
    if len(shared) < 2 or shared[-1] != list(one)[-1] or shared[-1] != list(other)[-1]:
        return
    before, after = shared[-2:]
    stage = after.partition(":")[0]
    states = [dict(place.state).get(stage, STAGE_ON) for place in (one[after], other[after])]
    if one[before].identity == other[before].identity or states[0] != states[1]:
        return
    weights = {one[after].name: 1.0, one[before].name: -1.0, other[after].name: -1.0, other[before].name: 1.0}
    name = f"{one[after].arm} - {other[after].arm}: {before} -> {after}"
    yield Derived(name, "difference-in-differences", "L2", weights)
