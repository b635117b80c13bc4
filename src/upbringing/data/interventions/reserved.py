"""Strings that mean something to a run, so that its corpus may not hold them already: tags, markers, control tokens."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from upbringing.base.errors import DataError


@dataclass(frozen=True)
class ReservedPlace:
    """A reserved ``string`` stands ``times`` times in a row of a file, first at ``character`` (from 0)."""

    string: str
    file: str
    row: int
    character: int
    times: int


def reserved_places(text: str, reserved: Sequence[str], *, file: str, row: int) -> Iterator[ReservedPlace]:
    """Yield the reserved strings that stand in ``text``."""
    for string in reserved:
        if string in text:
            yield ReservedPlace(string, file, row, text.find(string), text.count(string))


def refuse_reserved(counts: Mapping[str, int], places: Sequence[ReservedPlace], shown: int) -> None:
    """Raise ``DataError`` if reserved strings were found: how often, and the first places."""
    found = Counter(counts)
    if not found.total():
        return
    listed = ", ".join(f"{string!r} {times} times" for string, times in sorted(found.items()))
    first = ", ".join(f"{place.file} row {place.row} character {place.character}" for place in places[:shown])
    raise DataError(
        f"the corpus already holds reserved strings: {listed}; first in {first}. Choose another tag, or take these "
        "rows out: a mark that was there before would be learned as one"
    )
