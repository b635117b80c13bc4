"""Between the passes: which documents of the whole corpus are duplicates, and of which."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from upbringing.base.errors import DataError
from upbringing.base.files import write_json_atomic
from upbringing.data.interventions.duplicates import first_of_alike, first_of_equal
from upbringing.lab.corpus.indexing import read_column, read_ids
from upbringing.lab.corpus.recipe import CorpusRecipe
from upbringing.lab.corpus.units import Unit

DONE_NAME = "resolved.json"
Places = NDArray[np.int64]


@dataclass(frozen=True)
class Decisions:
    """What was found about the documents of a piece, by their place among its documents (as text, for JSON).

    ``exact``, ``near``: the id of the document that is kept instead. ``repeat``: the how-manieth of its id it is.
    """

    exact: dict[str, str] = field(default_factory=dict)
    near: dict[str, str] = field(default_factory=dict)
    repeat: dict[str, int] = field(default_factory=dict)


def resolve(units: Sequence[Unit], recipe: CorpusRecipe, index: Path, folder: Path) -> None:
    """Write the decisions for every piece into ``folder``, unless that is done.

    Memory: about 250 bytes per document of the corpus. Raises ``DataError`` for an id that stands twice.
    """
    done = folder / DONE_NAME
    if done.exists():
        return
    folder.mkdir(exist_ok=True)
    files = [index / f"{unit.number:06d}.npz" for unit in units]
    sizes = [len(read_column(path, "numbers")) for path in files]
    offsets = np.concatenate(([0], np.cumsum(sizes))).astype(np.int64)
    found = [Decisions() for _ in units]
    _number_ids(files, units, recipe, offsets, found)
    keep_alone = np.arange(offsets[-1])
    exact = first_of_equal(_column(files, "text_hashes")) if recipe.dedup.exact else keep_alone
    _note(exact, files, offsets, [each.exact for each in found])
    if recipe.dedup.near is not None and len(keep_alone):
        eligible = (exact == keep_alone) & _column(files, "has_words", np.zeros(0, dtype=np.bool_))
        bands = (_column(files, f"band_{band}", np.zeros(0, np.uint64)) for band in range(recipe.dedup.near.bands))
        _note(first_of_alike(bands, eligible), files, offsets, [each.near for each in found])
    for unit, decisions in zip(units, found, strict=True):
        write_json_atomic(folder / f"{unit.number:06d}.json", asdict(decisions))
    write_json_atomic(done, {"documents": int(offsets[-1])})


def read_decisions(unit: Unit, folder: Path) -> Decisions:
    """Return the decisions for ``unit``."""
    return Decisions(**json.loads((folder / f"{unit.number:06d}.json").read_bytes()))


def _column(files: Sequence[Path], name: str, empty: Any = None) -> Any:
    return np.concatenate([_member(path, name, empty) for path in files])


def _member(path: Path, name: str, empty: Any) -> Any:
    try:
        return read_column(path, name)
    except KeyError:  # a piece without documents has no bands
        return empty


def _number_ids(
    files: Sequence[Path], units: Sequence[Unit], recipe: CorpusRecipe, offsets: Places, found: Sequence[Decisions]
) -> None:
    """Refuse an id column that repeats; number the repeats of a hash, whose texts are equal."""
    first = first_of_equal(_column(files, "id_hashes"))
    repeated = np.flatnonzero(first != np.arange(len(first)))
    if not len(repeated):
        return
    if recipe.columns.id is not None:
        _refuse_repeats(files, units, offsets, int(repeated[0]), int(first[repeated[0]]), len(repeated))
    times: dict[int, int] = defaultdict(lambda: 1)
    for place in repeated.tolist():
        leader = int(first[place])
        times[leader] += 1
        unit, local = _locate(place, offsets)
        found[unit].repeat[str(local)] = times[leader]


def _refuse_repeats(
    files: Sequence[Path], units: Sequence[Unit], offsets: Places, place: int, leader: int, count: int
) -> None:
    spots = []
    for each in (leader, place):
        unit, local = _locate(each, offsets)
        spots.append(f"{units[unit].file} row {read_column(files[unit], 'numbers')[local]}")
    unit, local = _locate(place, offsets)
    raise DataError(
        f"the id {read_ids(files[unit])[local]!r} stands in {spots[0]} and again in {spots[1]} ({count} repeated ids "
        "in all): what is drawn for a document follows from its id. Make ids distinct, or leave columns.id out"
    )


def _locate(place: int, offsets: Places) -> tuple[int, int]:
    unit = int(np.searchsorted(offsets, place, side="right")) - 1
    return unit, place - int(offsets[unit])


def _note(first: Places, files: Sequence[Path], offsets: Places, into: Sequence[dict[str, str]]) -> None:
    """Write down, for each document that is not the first of its group, the first one's id."""
    moved = np.flatnonzero(first != np.arange(len(first)))
    name_of = _names(np.unique(first[moved]), files, offsets)
    for place in moved.tolist():
        unit, local = _locate(place, offsets)
        into[unit][str(local)] = name_of(int(first[place]))


def _names(places: Places, files: Sequence[Path], offsets: Places) -> Callable[[int], str]:
    names: dict[int, str] = {}
    for unit, local in _by_unit(places, offsets):
        ids = read_ids(files[unit])
        names |= {int(offsets[unit]) + each: ids[each] for each in local}
    return names.__getitem__


def _by_unit(places: Places, offsets: Places) -> Iterator[tuple[int, list[int]]]:
    grouped: dict[int, list[int]] = defaultdict(list)
    for place in places.tolist():
        unit, local = _locate(place, offsets)
        grouped[unit].append(local)
    yield from sorted(grouped.items())
