"""The contrasts of single branches: data and generic effect of three arms, replaced targets, differences that last."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import islice

from upbringing.formats.effects.derived import Derived
from upbringing.formats.effects.places import NO_LEVELS, STAGE_ON, Place
from upbringing.formats.effects.recipes import BUT_DATA, are_at_one_depth, are_known_alike, differ, stages_differ

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
    stage's own position the skipped arm stands where it stood before. The three are one thing before the stage, and
    nothing that they state of later stages differs; nothing is asked of places before it.
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
        matched = (
            (data, placebo, skipped)
            for data in with_data
            for placebo in with_placebo
            if _differ_in_one_stage(stage, data, placebo) and _are_alike_before(stage, data, skipped)
        )
        for three in islice(matched, 1):
            yield from _at_positions(stage, three)


def _only_stage(found: ByPosition, state: str) -> str | None:
    """Return the one stage whose state is ``state`` while all others are on."""
    states = dict(next(iter(found.values())).state)
    other = [stage for stage, value in states.items() if value != STAGE_ON]
    return other[0] if len(other) == 1 and states[other[0]] == state else None


def _is_plain(found: ByPosition) -> bool:
    return all(value == STAGE_ON for _, value in next(iter(found.values())).state)


def _is_no_reference(found: ByPosition) -> bool:
    return next(iter(found.values())).control != "reference"


def _before_and_from(stage: str, found: ByPosition) -> tuple[list[str], list[str]]:
    """Return an arm's positions before the stage, and from it on; all of the latter where it was not measured."""
    positions = list(found)
    first = next((index for index, name in enumerate(positions) if name.partition(":")[0] == stage), 0)
    return positions[:first], positions[first:]


def _are_alike_before(stage: str, data: ByPosition, other: ByPosition) -> bool:
    before, _ = _before_and_from(stage, data)
    return all(are_known_alike(data[position], other[position]) for position in before if position in other)


def _differ_in_one_stage(stage: str, data: ByPosition, placebo: ByPosition) -> bool:
    """Return whether two arms are alike before ``stage``, and there as far as stated in all but its data."""
    _, since = _before_and_from(stage, data)
    own = next((position for position in since if position in placebo), None)
    is_same_stage = own is not None and not differ(data[own], placebo[own], BUT_DATA)
    return is_same_stage and _are_alike_before(stage, data, placebo)


def _at_positions(stage: str, arms: tuple[ByPosition, ByPosition, ByPosition]) -> Iterator[Derived]:
    data, placebo, skipped = arms
    for position in _before_and_from(stage, data)[1]:
        with_data, with_placebo = data[position], placebo.get(position)
        without = _skipped_at(stage, position, data, skipped)
        if with_placebo is None or without is None or with_placebo.identity == with_data.identity:
            continue
        if not _are_comparable(stage, position, arms):
            return
        weights = {with_data.name: 1.0, with_placebo.name: -1.0}
        yield Derived(f"{stage}, data effect @ {position}", "data-effect", "L2", weights)
        weights = {with_placebo.name: 1.0, without.name: -1.0}
        yield Derived(f"{stage}, generic effect of training @ {position}", "generic-effect", "L2", weights)


def _are_comparable(stage: str, position: str, arms: tuple[ByPosition, ByPosition, ByPosition]) -> bool:
    """Return whether nothing that the arms state of the later stage that leads to ``position`` differs."""
    data, *others = arms
    measured = [name.partition(":")[0] for name in data]
    if position.partition(":")[0] == stage or stage not in measured:
        return True
    return all(
        are_at_one_depth(data, other, position) and not stages_differ(data[position], other[position])
        for other in others
        if position in other
    )


def _skipped_at(stage: str, position: str, data: ByPosition, skipped: ByPosition) -> Place | None:
    if position != stage:
        return skipped.get(position)
    earlier = [name for name in list(data)[: list(data).index(position)] if name.partition(":")[0] != stage]
    return skipped.get(earlier[-1]) if earlier else None


def lasting_difference(one: ByPosition, other: ByPosition) -> Iterator[Derived]:
    """Yield how much the last stage, the same in both arms as far as stated, changes the difference between them.

    Both arms stand at the same place directly before it. [one after - one before] - [other after - other before]:
    above zero, ``one`` kept or gained more than ``other``.
    """
    if len(one) < 2 or list(one)[-2:] != list(other)[-2:]:
        return
    before, after = list(one)[-2:]
    stage = after.partition(":")[0]
    states = [dict(place.state).get(stage, STAGE_ON) for place in (one[after], other[after])]
    is_same_stage = states[0] == states[1] and not stages_differ(one[after], other[after])
    if one[before].identity == other[before].identity or not is_same_stage:
        return
    weights = {one[after].name: 1.0, one[before].name: -1.0, other[after].name: -1.0, other[before].name: 1.0}
    name = f"{one[after].arm} - {other[after].arm}: {before} -> {after}"
    yield Derived(name, "difference-in-differences", "L2", weights)
