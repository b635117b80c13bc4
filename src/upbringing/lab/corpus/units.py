"""A corpus as a list of bounded pieces in its own order, and the files they lie in."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from upbringing.base.errors import DataError
from upbringing.data.file_formats import ALL_SUFFIXES, LINE_SUFFIXES, READ_BYTES, TABULAR_SUFFIXES, suffix_of
from upbringing.lab.corpus.recipe import Columns, CorpusRecipe, Files

MOST_ROWS = 50_000  # of a piece: rows cost memory however short they are
Kind = Literal["jsonl", "jsonl.gz", "jsonl.zst", "parquet", "csv", "csv.gz", "csv.zst", "txt", "txt.gz", "txt.zst"]


@dataclass(frozen=True)
class SourceFile:
    """A file of the corpus. ``name``: its path below what all files share, as reports and rejects call it."""

    path: str
    name: str
    kind: Kind


@dataclass(frozen=True)
class Unit:
    """A piece of a file: bytes ``start`` to ``end`` of JSON Lines, or row groups ``start`` to ``end`` of Parquet.

    ``path`` is what is read (the file, or unpacked lines of it); ``file`` is what it is called. ``first_row`` counts
    from 1 in the file.
    """

    number: int
    file: str
    path: str
    kind: Literal["lines", "groups"]
    start: int
    end: int
    first_row: int
    num_bytes: int


def list_files(recipe: Files, folder: Path) -> list[SourceFile]:
    """Return the files that ``recipe`` names, each once: in its order, those of a folder or pattern by name."""
    found: dict[Path, None] = {}
    for pattern in recipe.paths:
        place = folder / pattern
        matched = (
            _below(place, recipe) if place.is_dir() else [place] if place.is_file() else _matching(folder, pattern)
        )
        if not matched:
            raise DataError(f"input: nothing readable matches {pattern!r} (looked in {folder})")
        found |= dict.fromkeys(path.absolute() for path in matched)
    shared = Path(os.path.commonpath([path.parent for path in found]))
    return [SourceFile(str(path), path.relative_to(shared).as_posix(), _kind(path, recipe)) for path in found]


def _below(folder: Path, recipe: Files) -> list[Path]:
    read = set(LINE_SUFFIXES)
    if recipe.format is not None:
        read |= {suffix for suffix in TABULAR_SUFFIXES if _kind_of(suffix).split(".")[0] == recipe.format}
    return sorted(path for path in folder.rglob("*") if path.is_file() and suffix_of(path.name) in read)


def _matching(folder: Path, pattern: str) -> list[Path]:
    base, relative = (Path("/"), pattern.lstrip("/")) if Path(pattern).is_absolute() else (folder, pattern)
    try:
        return sorted(path for path in base.glob(relative) if path.is_file())
    except ValueError as error:
        raise DataError(f"input: {pattern!r} is no pattern: {error}") from None


def _kind(path: Path, recipe: Files) -> Any:
    suffix = suffix_of(path.name)
    kind = _kind_of(suffix) if suffix is not None else recipe.format
    if kind is None:
        raise DataError(f"input: {path.name} ends in none of {', '.join(ALL_SUFFIXES)}: say its format")
    if recipe.format is not None and not kind.startswith(recipe.format):
        raise DataError(f"input: {path.name} is {kind}, the recipe says format: {recipe.format}")
    return kind


def _kind_of(suffix: str) -> str:
    file_format, packing = ALL_SUFFIXES[suffix]
    return f"{'csv' if file_format == 'tsv' else file_format}{packing}"


def content_of(path: Path) -> tuple[int, str]:
    """Return size and sha256 of a file."""
    digest, size = hashlib.sha256(), 0
    with path.open("rb") as handle:
        while chunk := handle.read(1 << 20):
            digest.update(chunk)
            size += len(chunk)
    return size, digest.hexdigest()


def cut_lines(chunks: Iterable[bytes], shard_bytes: int) -> Iterator[tuple[int, int, int]]:
    """Yield ``(start, end, rows)`` of pieces that end at line breaks, of about ``shard_bytes`` and bounded rows.

    A line longer than that makes a longer piece: who reads it skips the line.
    """
    start = place = last_break = rows = 0
    for chunk in chunks:
        found = chunk.rfind(b"\n")
        if found >= 0:
            last_break, rows = place + found + 1, rows + chunk.count(b"\n")
        place += len(chunk)
        if found >= 0 and (place - start >= shard_bytes or rows >= MOST_ROWS):
            yield start, last_break, rows
            start, rows = last_break, 0
    if place > start:
        yield start, place, rows + (1 if place > last_break else 0)


def line_units(path: Path, file: str, recipe: CorpusRecipe) -> Iterator[Unit]:
    """Yield the pieces of a file of JSON Lines, numbered from 0."""
    row, at_once = 1, min(READ_BYTES, recipe.shard_bytes)
    with path.open("rb") as handle:
        chunks = iter(lambda: handle.read(at_once), b"")
        for number, (start, end, rows) in enumerate(cut_lines(chunks, recipe.shard_bytes)):
            yield Unit(number, file, str(path), "lines", start, end, row, end - start)
            row += rows


def parquet_file(path: str, file: str) -> Any:
    """Open a Parquet file; raise ``DataError`` if it is torn or none."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        return pq.ParquetFile(path)
    except (pa.ArrowException, OSError) as error:
        raise DataError(f"{file} is not a whole Parquet file: {error}") from None


def check_columns(found: Sequence[str], recipe: CorpusRecipe, where: str) -> None:
    """Raise ``DataError`` that names the columns found if one is missing that the recipe names."""
    missing = [name for name in recipe.needed_columns() if name not in found]
    if missing:
        raise DataError(
            f"{where} has no column {', '.join(map(repr, missing))}; it has {', '.join(map(repr, found)) or 'none'}: "
            "name the right ones under columns (text, id, score, source) and output.columns"
        )


def check_parquet_types(schema: Any, columns: Columns, where: str) -> None:
    """Raise ``DataError`` if a column that is read is not of its type."""
    import pyarrow.types as kinds

    def is_text(kind: Any) -> bool:
        kind = kind.value_type if kinds.is_dictionary(kind) else kind
        return bool(kinds.is_string(kind) or kinds.is_large_string(kind) or kinds.is_string_view(kind))

    wanted = {columns.text: ("text", is_text)}
    if columns.id is not None:
        wanted[columns.id] = ("text or integers", lambda kind: is_text(kind) or kinds.is_integer(kind))
    if columns.source is not None:
        wanted[columns.source] = ("text", lambda kind: is_text(kind) or kinds.is_null(kind))
    if columns.score is not None:
        wanted[columns.score] = ("integers", lambda kind: kinds.is_integer(kind) or kinds.is_null(kind))
    for name, (expected, fits) in wanted.items():
        kind = schema.field(name).type
        if not fits(kind):
            raise DataError(f"{where}: the column {name!r} holds {kind}, expected {expected}")


def group_units(source: SourceFile, recipe: CorpusRecipe) -> list[Unit] | None:
    """Return the pieces of a Parquet file, numbered from 0; ``None`` if one of its row groups is too large a piece."""
    metadata = parquet_file(source.path, source.name).metadata
    units: list[Unit] = []
    start = size = rows = 0
    row = 1
    for group in range(metadata.num_row_groups):
        found = metadata.row_group(group)
        if found.num_rows > MOST_ROWS or found.total_byte_size > 2 * recipe.shard_bytes:
            return None
        size, rows = size + found.total_byte_size, rows + found.num_rows
        if size >= recipe.shard_bytes or rows + found.num_rows > MOST_ROWS or group == metadata.num_row_groups - 1:
            units.append(Unit(len(units), source.name, source.path, "groups", start, group + 1, row, size))
            start, size, row, rows = group + 1, 0, row + rows, 0
    return units
