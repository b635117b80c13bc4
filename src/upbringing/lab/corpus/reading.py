"""The rows of a piece of corpus: documents, and rows that are none, each with what is wrong with it."""

from __future__ import annotations

import codecs
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePath
from types import MappingProxyType
from typing import Any, BinaryIO, NamedTuple

import orjson

from upbringing.base.errors import DataError
from upbringing.base.fingerprint import text_sha256
from upbringing.data.documents import Span
from upbringing.data.interventions.scores import HIGHEST_SCORE, LOWEST_SCORE
from upbringing.data.span_columns import COLUMNS as SPAN_COLUMNS
from upbringing.data.span_columns import document_of
from upbringing.lab.corpus.parquet_reading import ROWS_AT_ONCE, parquet_rows
from upbringing.lab.corpus.recipe import CorpusRecipe
from upbringing.lab.corpus.tabular import PROBLEM, given_problem
from upbringing.lab.corpus.units import Unit, check_columns

_SPAN_NAMES = frozenset(SPAN_COLUMNS)
ID_CHARACTERS = 32
EXCERPT_BYTES = 200
BUFFER_BYTES = 1 << 20  # of a file of lines: many lines are longer than the usual buffer


class Row(NamedTuple):
    """A document of the corpus. ``source``: its component; ``score``: of its column; ``carried``: further columns."""

    number: int
    id: str
    text: str
    source: str
    score: int | None = None
    spans: tuple[Span, ...] = ()
    carried: Mapping[str, Any] = MappingProxyType({})


@dataclass(frozen=True)
class BadRow:
    """A row that is no document. ``byte``: where in the row the first byte stands that is not UTF-8."""

    number: int
    code: str
    reason: str
    excerpt: str
    byte: int | None = None


class _NoDocumentError(Exception):
    def __init__(self, code: str, reason: str, *, byte: int | None = None) -> None:
        super().__init__(reason)
        self.code, self.reason, self.byte = code, reason, byte


def rows_of(unit: Unit, recipe: CorpusRecipe) -> Iterator[Row | BadRow]:
    """Yield every row of ``unit`` in order; raises ``DataError`` for a bad one if the recipe says stop."""
    rows = _line_rows(unit, recipe) if unit.kind == "lines" else _group_rows(unit, recipe)
    for row in rows:
        if isinstance(row, BadRow) and recipe.bad_rows == "stop":
            raise DataError(f"{unit.file} row {row.number}: {row.reason} (bad_rows: reject would keep it as a reject)")
        yield row


def check_first_row(path: Path, file: str, recipe: CorpusRecipe) -> None:
    """Raise ``DataError`` if the first row of a file of JSON Lines that is an object lacks a column."""
    with path.open("rb") as handle:
        for _ in range(ROWS_AT_ONCE):
            line = handle.readline(recipe.max_document_bytes)
            try:
                first = json.loads(line)
            except (ValueError, RecursionError):
                continue
            if isinstance(first, dict):
                check_columns(list(first), recipe, file)
                return


def _line_rows(unit: Unit, recipe: CorpusRecipe) -> Iterator[Row | BadRow]:
    """Yield the rows of a piece of lines. A byte order mark that begins the file is no part of its first row."""
    with Path(unit.path).open("rb", buffering=BUFFER_BYTES) as handle:
        handle.seek(unit.start)
        number, place, name = unit.first_row, unit.start, source_name(unit.file)
        keys = tuple(json.dumps(column, ensure_ascii=False).encode() for column in recipe.needed_columns())
        while place < unit.end:
            line = handle.readline(recipe.max_document_bytes + 1)
            if not line:
                raise DataError(f"{unit.file} has become shorter while it was read: restore it and start anew")
            place += len(line)
            if place == len(line):  # the beginning of the file
                line = line.removeprefix(codecs.BOM_UTF8)
            if len(line) > recipe.max_document_bytes and not line.endswith(b"\n"):
                more = _skip_line(handle)
                place += more
                yield _too_long(number, len(line) + more, line, recipe)
            else:
                yield _line_row(number, line, recipe, name, keys)
            number += 1


def _skip_line(handle: BinaryIO) -> int:
    """Read to the end of the line without keeping it; return its bytes."""
    skipped = 0
    while chunk := handle.readline(1 << 20):
        skipped += len(chunk)
        if chunk.endswith(b"\n"):
            break
    return skipped


def _too_long(number: int, size: int, data: bytes, recipe: CorpusRecipe) -> BadRow:
    reason = f"the row has {size} bytes, max_document_bytes is {recipe.max_document_bytes}"
    return BadRow(number, "too long", reason, _excerpt(data))


def _line_row(
    number: int, line: bytes, recipe: CorpusRecipe, source: str, keys: tuple[bytes, ...] = ()
) -> Row | BadRow:
    """Return the row of a line. ``keys``: the columns that are read, as JSON writes them."""
    try:
        if line.isspace():
            raise _NoDocumentError("empty row", "the row is empty")
        row = _object(line)
        if _has_more_quotes(line, row) and any(line.count(key) > 1 for key in keys):
            _refuse_twice(line, recipe)
        if PROBLEM in row and (problem := given_problem(row)) is not None:
            return BadRow(number, problem.code, problem.reason, problem.excerpt)
        return _document(number, row, recipe, source)
    except _NoDocumentError as error:
        # Only what is broken is shown whole: its bytes stand nowhere else in a form that can be read.
        shown = line.rstrip(b"\n") if error.byte is not None else line[:EXCERPT_BYTES]
        return BadRow(number, error.code, error.reason, _excerpt(shown, len(shown)), error.byte)


def _object(line: bytes) -> dict[str, Any]:
    try:
        value = orjson.loads(line)
    except ValueError:
        value = _decoded_slowly(line)
    if not isinstance(value, dict):
        raise _NoDocumentError("not JSON", f"the row is {type(value).__name__}, expected an object")
    return value


def _decoded_slowly(line: bytes) -> Any:
    """Decode what the quick way refused: it says less about why, and knows no half surrogate pairs."""
    try:
        return _DECODE(line.decode("utf-8"))
    except UnicodeDecodeError as error:
        raise _NoDocumentError("not UTF-8", f"byte {error.start} is not UTF-8", byte=error.start) from None
    except (ValueError, RecursionError) as error:
        raise _NoDocumentError("not JSON", f"not JSON: {str(error)[:EXCERPT_BYTES]}") from None


def _has_more_quotes(line: bytes, row: dict[str, Any]) -> bool:
    """Return whether a line holds more quotation marks than its keys and texts need: a key that stands twice adds some.

    One pass for one character, so that most lines need no search for each column's name.
    """
    num_texts = list(map(type, row.values())).count(str)
    return line.count(b'"') > 2 * (len(row) + num_texts)


def _refuse_twice(line: bytes, recipe: CorpusRecipe) -> None:
    """Raise ``_NoDocumentError`` where a column that is read stands twice: which of them is meant cannot be known."""
    objects: list[list[tuple[str, Any]]] = []
    try:
        json.loads(line, object_pairs_hook=objects.append)  # the outermost comes last
    except (ValueError, RecursionError) as error:  # numbers of thousands of digits, which the quick way reads
        raise _NoDocumentError("not JSON", f"not JSON: {str(error)[:EXCERPT_BYTES]}") from None
    names = [name for name, _ in objects[-1]]
    twice = next((name for name in recipe.needed_columns() if names.count(name) > 1), None)
    if twice is not None:
        raise _NoDocumentError("key twice", f"the key {twice!r} stands twice")


def _refuse_constant(name: str) -> Any:
    raise ValueError(f"{name} is no JSON number")


_DECODE = json.JSONDecoder(parse_constant=_refuse_constant).decode


def source_name(file: str) -> str:
    """Return what the component of a file is called where no column says it."""
    return PurePath(file).name.partition(".")[0]


def _document(number: int, row: dict[str, Any], recipe: CorpusRecipe, source: str) -> Row:
    columns = recipe.columns
    text = _text(row, recipe)
    score = None if columns.score is None else _score(_found(row, columns.score))
    if columns.source is not None:
        source = _source(_found(row, columns.source), columns.source, source)
    carried = {name: row.get(name) for name in recipe.output.columns}
    return Row(number, _id(row, text, recipe), text, source, score, _spans(row, text), carried)


def _source(value: Any, column: str, otherwise: str) -> str:
    if value is None or value == "":
        return otherwise
    if not isinstance(value, str) or not value.isprintable():
        raise _NoDocumentError("wrong type", f"{column} is {value!r:.80}, expected text that can be shown")
    return value


def _found(row: dict[str, Any], column: str) -> Any:
    if column not in row:
        raise _NoDocumentError("missing column", f"no column {column!r}; it has {', '.join(map(repr, row)) or 'none'}")
    return row[column]


def _text(row: dict[str, Any], recipe: CorpusRecipe) -> str:
    column = recipe.columns.text
    text = _found(row, column)
    if not isinstance(text, str):
        raise _NoDocumentError("wrong type", f"{column} is {type(text).__name__}, expected text")
    if not text or text.isspace():
        raise _NoDocumentError("empty text", f"{column} is empty")
    if not text.isascii():
        try:
            text.encode("utf-8")
        except UnicodeEncodeError as error:
            raise _NoDocumentError(
                "not UTF-8", f"character {error.start} of {column} is half a surrogate pair"
            ) from None
    return text


def _id(row: dict[str, Any], text: str, recipe: CorpusRecipe) -> str:
    column = recipe.columns.id
    if column is None:
        return text_sha256(text)[:ID_CHARACTERS]
    value = _found(row, column)
    if isinstance(value, bool) or not isinstance(value, str | int) or value == "":
        raise _NoDocumentError("wrong type", f"{column} is {value!r:.80}, expected text or an integer")
    name = str(value)
    if not name.isprintable():  # half surrogate pairs cannot be written; control characters forge log lines
        raise _NoDocumentError("wrong type", f"{column} holds characters that cannot be shown: {value!r:.80}")
    return name


def _score(value: Any) -> int | None:
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int) or not LOWEST_SCORE <= value <= HIGHEST_SCORE:
        raise _NoDocumentError("wrong type", f"the score is {value!r:.80}, expected 0 to 5 or nothing")
    return value


def _spans(row: dict[str, Any], text: str) -> tuple[Span, ...]:
    if _SPAN_NAMES.isdisjoint(row):
        return ()
    given = [column for column in SPAN_COLUMNS if row.get(column) is not None]
    if not given:
        return ()
    if given != ["spans"]:
        raise _NoDocumentError("wrong type", f"{', '.join(given)} cannot be carried along: say it by spans alone")
    try:
        return document_of(text, "corpus", row, "the row").spans
    except DataError as error:
        raise _NoDocumentError("wrong type", str(error)) from None


def _group_rows(unit: Unit, recipe: CorpusRecipe) -> Iterator[Row | BadRow]:
    number, name = unit.first_row, source_name(unit.file)
    for row in parquet_rows(unit.path, unit.file, recipe, range(unit.start, unit.end)):
        yield _parquet_row(number, row, recipe, name)
        number += 1


def _parquet_row(number: int, row: dict[str, Any], recipe: CorpusRecipe, source: str) -> Row | BadRow:
    data = row[recipe.columns.text]
    try:
        if data is not None and len(data) > recipe.max_document_bytes:
            return _too_long(number, len(data), data, recipe)
        return _document(number, {**row, recipe.columns.text: _decoded(data)}, recipe, source)
    except _NoDocumentError as problem:
        shown = (data or b"") if problem.byte is not None else (data or b"")[:EXCERPT_BYTES]
        return BadRow(number, problem.code, problem.reason, _excerpt(shown, len(shown)), problem.byte)


def _decoded(data: bytes | None) -> str | None:
    try:
        return None if data is None else data.decode("utf-8")
    except UnicodeDecodeError as error:
        raise _NoDocumentError("not UTF-8", f"byte {error.start} is not UTF-8", byte=error.start) from None


def _excerpt(data: bytes, length: int = EXCERPT_BYTES) -> str:
    return data[:length].decode("utf-8", errors="backslashreplace")
