"""First pass over a piece: what is there, by hashes, so that duplicates of the whole corpus can be found.

An index has a few dozen bytes per document (and 8 per band of near duplicates), whatever the documents' lengths.
"""

from __future__ import annotations

import io
import json
import zipfile
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from upbringing.base.files import write_bytes_atomic
from upbringing.data.interventions.duplicates import HASH_WORDS, band_hashes, key_hash, text_hash
from upbringing.data.interventions.reserved import ReservedPlace, reserved_places
from upbringing.data.interventions.routing import named_sources
from upbringing.lab.corpus.reading import BadRow, Row, rows_of
from upbringing.lab.corpus.recipe import CorpusRecipe
from upbringing.lab.corpus.units import Unit

BATCH = 256
SHOWN_PLACES = 5
SHOWN_SOURCES = 10


@dataclass(frozen=True)
class Indexed:
    """What the first pass found in a piece. ``bad``: rows that are no document, by code; ``places``: the first few.
    ``sources``: of its documents, all that the recipe names and a few others.
    """

    unit: int
    num_rows: int
    num_documents: int
    num_bytes: int
    bad: dict[str, int] = field(default_factory=dict)
    reserved: dict[str, int] = field(default_factory=dict)
    places: tuple[ReservedPlace, ...] = ()
    sources: tuple[str, ...] = ()


@dataclass
class _Gathered:
    """Columns of an index while they grow."""

    ids: list[str] = field(default_factory=list)
    numbers: list[int] = field(default_factory=list)
    id_hashes: list[bytes] = field(default_factory=list)
    text_hashes: list[bytes] = field(default_factory=list)
    bands: list[Any] = field(default_factory=list)
    has_words: list[Any] = field(default_factory=list)
    bad: Counter[str] = field(default_factory=Counter)
    reserved: Counter[str] = field(default_factory=Counter)
    places: list[ReservedPlace] = field(default_factory=list)
    sources: set[str] = field(default_factory=set)


def index_unit(unit: Unit, recipe: CorpusRecipe, reserved: Sequence[str], folder: Path) -> Indexed:
    """Read ``unit`` and write its index into ``folder``, unless a whole one is there."""
    path = folder / f"{unit.number:06d}.npz"
    if (known := read_indexed(path)) is not None:
        return known
    gathered, batch = _Gathered(), []
    for row in rows_of(unit, recipe):
        if isinstance(row, BadRow):
            gathered.bad[row.code] += 1
            continue
        batch.append(row)
        if len(batch) == BATCH:
            _add(gathered, batch, unit, recipe, reserved)
            batch = []
    _add(gathered, batch, unit, recipe, reserved)
    num_documents = len(gathered.ids)
    found = Indexed(
        unit=unit.number,
        num_rows=num_documents + gathered.bad.total(),
        num_documents=num_documents,
        num_bytes=unit.num_bytes,
        bad=dict(sorted(gathered.bad.items())),
        reserved=dict(sorted(gathered.reserved.items())),
        places=tuple(gathered.places),
        sources=_worth_naming(gathered.sources, recipe),
    )
    write_bytes_atomic(path, _packed(gathered, found))
    return found


def _worth_naming(sources: set[str], recipe: CorpusRecipe) -> tuple[str, ...]:
    """Return the sources that rules name, and some others: a column of sources may hold a million."""
    named = sources & set(named_sources(recipe.route))
    return tuple(sorted(named | set(sorted(sources)[:SHOWN_SOURCES])))


def _add(gathered: _Gathered, batch: list[Row], unit: Unit, recipe: CorpusRecipe, reserved: Sequence[str]) -> None:
    if not batch:
        return
    gathered.sources.update(row.source for row in batch)
    gathered.ids += [row.id for row in batch]
    gathered.numbers += [row.number for row in batch]
    gathered.id_hashes += [key_hash(row.id) for row in batch]
    if recipe.dedup.exact:
        gathered.text_hashes += [text_hash(row.text) for row in batch]
    if recipe.dedup.near is not None:
        bands, has_words = band_hashes([row.text for row in batch], recipe.dedup.near)
        gathered.bands.append(bands)
        gathered.has_words.append(has_words)
    for row in batch if reserved else ():
        for place in reserved_places(row.text, reserved, file=unit.file, row=row.number):
            gathered.reserved[place.string] += place.times
            if len(gathered.places) < SHOWN_PLACES:
                gathered.places.append(place)


def _packed(gathered: _Gathered, found: Indexed) -> bytes:
    members = {
        "found": _json_bytes(asdict(found)),
        "ids": _json_bytes(gathered.ids),
        "numbers": np.array(gathered.numbers, dtype=np.int64),
        "id_hashes": _hashes(gathered.id_hashes),
        "text_hashes": _hashes(gathered.text_hashes),
    }
    if gathered.bands:
        bands = np.concatenate(gathered.bands)
        members |= {f"band_{place}": np.ascontiguousarray(bands[:, place]) for place in range(bands.shape[1])}
        members["has_words"] = np.concatenate(gathered.has_words)
    buffer = io.BytesIO()
    np.savez(buffer, **members)
    return buffer.getvalue()


def _json_bytes(value: Any) -> Any:
    return np.frombuffer(json.dumps(value).encode(), dtype=np.uint8)


def _hashes(values: list[bytes]) -> Any:
    return np.frombuffer(b"".join(values), dtype=np.uint64).reshape(-1, HASH_WORDS)


def read_indexed(path: Path) -> Indexed | None:
    """Return what an index says it found; ``None`` where there is no whole one, so that it is made again."""
    try:
        with np.load(path, allow_pickle=False) as members:
            for name in members.files:
                members[name]  # each is checked against its checksum
            found = json.loads(members["found"].tobytes())
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile):
        return None
    found["places"] = tuple(ReservedPlace(**place) for place in found["places"])
    found["sources"] = tuple(found["sources"])
    return Indexed(**found)


def read_column(path: Path, name: str) -> Any:
    """Return one column of an index."""
    with np.load(path, allow_pickle=False) as members:
        return members[name]


def read_ids(path: Path) -> list[str]:
    """Return the ids of an index's documents, in order."""
    ids: list[str] = json.loads(read_column(path, "ids").tobytes())
    return ids
