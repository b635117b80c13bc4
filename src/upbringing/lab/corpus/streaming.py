"""A data set of a hub, streamed into lines: what was interrupted goes on behind the last rows that are on the disk.

Beside the unfinished lines lies a note: how many bytes of them are whole, and the state of the stream behind these. The
revision is a full commit and the plan of the work folder names it, so the stream that goes on is the same.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, BinaryIO

from upbringing.base.errors import DataError
from upbringing.base.faults import fault_point
from upbringing.base.files import disk_error, fsync_folder, remove_tree, write_json_atomic
from upbringing.lab.corpus.parquet_reading import columns_to_read
from upbringing.lab.corpus.recipe import CorpusRecipe, HubDataset
from upbringing.lab.corpus.tabular import encoded_row
from upbringing.lab.corpus.units import check_columns

NOTE_NAME = "stream.json"
NOTED_ROWS = 5000  # after so many rows, or
NOTED_BYTES = 1 << 24  # so many bytes, what was streamed is made durable


@dataclass(frozen=True)
class StreamNote:
    """``size``: bytes of whole lines; ``rows``: how many these are; ``state``: of the stream behind them.

    ``version``: of the library whose state it is.
    """

    rows: int
    size: int
    state: Any
    version: str


def stream_into(stream: Any, source: HubDataset, recipe: CorpusRecipe, done: Path, version: str) -> Path:
    """Write the rows of ``stream``, an iterable data set, as lines into ``done``; return it.

    Raises ``DataError`` where the stream breaks: the same command goes on from the last note.
    """
    unfinished = done.with_name(f".partial-{done.name}")
    note = _usable_note(unfinished, version)
    if note is None:
        if done.parent.exists():
            remove_tree(done.parent)
        done.parent.mkdir(parents=True)
        note = StreamNote(0, 0, None, version)
    else:
        stream.load_state_dict(note.state)
    lines = _lines(stream, source, recipe, note.rows)
    try:
        with unfinished.open("r+b" if note.rows else "wb") as handle:
            handle.truncate(note.size)
            handle.seek(note.size)
            _write(lines, handle, stream, note, unfinished)
        fault_point(f"rename {done.name}")
    except OSError as error:
        raise disk_error(error, done) from error
    unfinished.replace(done)
    fsync_folder(done.parent)
    return done


def _write(lines: Iterator[bytes], handle: BinaryIO, stream: Any, note: StreamNote, unfinished: Path) -> None:
    """Write the ``lines`` that follow ``note``, with a new note from time to time."""
    rows, size = note.rows, note.size
    for line in lines:
        handle.write(line)
        rows, size = rows + 1, size + len(line)
        if rows - note.rows >= NOTED_ROWS or size - note.size >= NOTED_BYTES:
            _flush(handle)
            note = StreamNote(rows, size, stream.state_dict(), note.version)
            write_json_atomic(unfinished.with_name(NOTE_NAME), asdict(note))
    _flush(handle)


def _flush(handle: BinaryIO) -> None:
    handle.flush()
    os.fsync(handle.fileno())


def _usable_note(unfinished: Path, version: str) -> StreamNote | None:
    """Return the note of an interrupted stream; ``None`` where there is none that this version can go on from."""
    try:
        note = StreamNote(**json.loads(unfinished.with_name(NOTE_NAME).read_bytes()))
        is_whole = unfinished.stat().st_size >= note.size
    except (OSError, ValueError, TypeError):
        return None
    return note if is_whole and note.version == version else None


def _lines(stream: Any, source: HubDataset, recipe: CorpusRecipe, before: int) -> Iterator[bytes]:
    """Yield the rows as lines. ``before``: rows that the stream has yielded in earlier runs."""
    rows, number = iter(stream), before
    while True:
        try:
            row = next(rows, None)
        except (OSError, ValueError) as error:
            raise DataError(
                f"input: cannot stream {source.name} at {source.revision} beyond row {number}: {error}; the same "
                "command goes on from what is kept"
            ) from error
        if row is None:
            return
        if number == 0:
            check_columns(list(row), recipe, source.name)
        number += 1
        yield encoded_row({column: row.get(column) for column in columns_to_read(recipe, list(row))})
