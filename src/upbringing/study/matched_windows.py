"""Windows matched between arms: the same number in the same order of sources, so that only their content differs."""

from __future__ import annotations

from dataclasses import replace

from upbringing.base.errors import StudyError
from upbringing.study.stream_recipes import PartRecipe, StreamRecipe


def in_windows_of(recipe: StreamRecipe, other: StreamRecipe, *, stage: str, arm: str) -> StreamRecipe:
    """Return ``recipe`` with its sources in the places that those of ``other`` (of the arm ``arm``) have.

    A source that both read keeps its place, so its windows are the same ones at the same steps; of the others each
    takes the place of one with its share. Raises ``StudyError``, with what differs, where windows cannot be matched.
    """
    if recipe.key == other.key:
        return recipe
    if recipe.num_windows is None or other.num_windows is None:
        raise StudyError(
            f"stage {stage!r} cannot have the windows of arm {arm!r}: its length is given in epochs, so how many "
            "windows it has depends on its data; give both the same data there, or leave windows_of out"
        )
    _require_equal(recipe, other, stage, arm)
    parts = tuple(
        replace(mine, slots=_slots(mine, theirs, f"stage {stage!r}: phase {number}", arm))
        for number, (mine, theirs) in enumerate(zip(recipe.parts, other.parts, strict=True), start=1)
    )
    return replace(recipe, parts=parts)


def _require_equal(recipe: StreamRecipe, other: StreamRecipe, stage: str, arm: str) -> None:
    """Raise ``StudyError`` for the first thing besides its sources in which a stage differs from another arm's."""
    for what, mine, theirs in (
        ("tokens per window", recipe.context, other.context),
        ("windows per update", recipe.batch_size, other.batch_size),
        ("windows per phase", [part.num_windows for part in recipe.parts], [part.num_windows for part in other.parts]),
        ("replay", _replay(recipe), _replay(other)),
        ("seed of the order", recipe.seed, other.seed),
    ):
        if mine != theirs:
            raise StudyError(
                f"stage {stage!r} cannot have the windows of arm {arm!r}: its {what} would be {mine}, there {theirs}; "
                "make them equal, or leave windows_of out"
            )


def _replay(recipe: StreamRecipe) -> tuple[str, float] | None:
    return None if recipe.replay is None else (recipe.replay[1], recipe.replay[2])


def _slots(part: PartRecipe, other: PartRecipe, where: str, arm: str) -> tuple[tuple[str, str], ...]:
    """Return which source takes the place of which of ``other``; empty where the order is the same anyway."""
    mine, theirs = _shares(part), _shares(other)
    places: dict[str, str] = {key: key for key in mine if mine[key] == theirs.get(key)}
    free = [key for key in theirs if key not in places]
    for key in mine:
        if key not in places:
            fitting = next((each for each in free if theirs[each] == mine[key] and each not in mine), None)
            if fitting is None:
                names = {key: name for key, name, _ in part.sources}
                raise StudyError(
                    f"{where} cannot have the windows of arm {arm!r}: no source there has the share of {names[key]!r} "
                    f"({_said(mine)}; there {_said(theirs)}); give both arms the same shares, or leave windows_of out"
                )
            places[key] = fitting
            free.remove(fitting)
    if free:
        raise StudyError(
            f"{where} cannot have the windows of arm {arm!r}: that arm mixes more sources ({_said(mine)}; there "
            f"{_said(theirs)}); give both arms the same shares, or leave windows_of out"
        )
    is_ordered = sorted(places, key=lambda key: places[key]) == sorted(places)
    return () if is_ordered else tuple(sorted(places.items()))


def _shares(part: PartRecipe) -> dict[str, tuple[float, float]]:
    """Return the shares of each source at the beginning and at the end of a part, by key."""
    ends = part.to or tuple(share for _, _, share in part.sources)
    return {key: (share, end) for (key, _, share), end in zip(part.sources, ends, strict=True)}


def _said(shares: dict[str, tuple[float, float]]) -> str:
    found = sorted(shares.values(), reverse=True)
    return ", ".join(f"{begin:.3g}" if begin == end else f"{begin:.3g} to {end:.3g}" for begin, end in found)
