"""Rows of CSV files and lines of plain text as lines of JSON, one for each record, whatever is wrong with it.

Records are cut at the line breaks that stand in no quoted field (RFC 4180: a field that begins with a quote ends at the
next single one, a doubled one is a quote), with bounded memory. Then each is read by Python's csv.
"""

from __future__ import annotations

import csv
import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import PurePath
from typing import Any

from upbringing.base.errors import DataError
from upbringing.data.span_columns import COLUMNS as SPAN_COLUMNS
from upbringing.lab.corpus.recipe import CorpusRecipe
from upbringing.lab.corpus.units import check_columns

PROBLEM = "\x00problem"  # the only key of a line that stands for a row which is no document
EXCERPT_BYTES = 200
MOST_DIGITS = 18  # of a score; Python turns no text of thousands of digits into a number
MOST_PIECE = 1 << 18  # bytes of a line that are looked at in one go
QUOTE, BYTE_ORDER_MARK = b'"', b"\xef\xbb\xbf"
COMMA, TAB = b",", b"\t"


@dataclass(frozen=True)
class RowProblem:
    """Why a record is no document, with its beginning."""

    code: str
    reason: str
    excerpt: str

    def line(self) -> bytes:
        """Return the line of JSON that stands for the record."""
        return json.dumps({PROBLEM: asdict(self)}).encode() + b"\n"


def given_problem(row: Mapping[str, Any]) -> RowProblem | None:
    """Return the problem that a line stands for, if it stands for one."""
    found = row.get(PROBLEM)
    return RowProblem(**found) if isinstance(found, dict) else None


def text_lines(chunks: Iterable[bytes], recipe: CorpusRecipe, file: str) -> Iterator[bytes]:
    """Yield each line of a text file as a row of the column ``text``; raises ``DataError`` where others are read."""
    check_columns(["text"], recipe, file)
    for number, (record, size) in enumerate(records(chunks, recipe.max_document_bytes + 1, None)):
        if size > recipe.max_document_bytes + 1:
            yield _too_long(record, size, recipe).line()
            continue
        line = (record.removeprefix(BYTE_ORDER_MARK) if number == 0 else record).rstrip(b"\r\n")
        yield encoded_row({"text": line}) if line.strip() else b"\n"


def csv_lines(chunks: Iterable[bytes], recipe: CorpusRecipe, file: str) -> Iterator[bytes]:
    """Yield each record of a CSV file behind its header as a row of the columns that are read.

    Raises ``DataError`` for a header without them and for a quoted field that the end of the file cuts off.
    """
    csv.field_size_limit(max(csv.field_size_limit(), recipe.max_document_bytes + 1))
    delimiter = delimiter_of(file)
    found = records(chunks, recipe.max_document_bytes + 1, delimiter, file)
    header = csv_header(next(found, (b"", 0))[0], delimiter, recipe, file)
    wanted = set(recipe.needed_columns()) | set(SPAN_COLUMNS)
    for record, size in found:
        if size > recipe.max_document_bytes + 1:
            yield _too_long(record, size, recipe).line()
            continue
        if not record.strip():
            yield b"\n"
            continue
        fields = _fields(record, delimiter)
        if isinstance(fields, RowProblem):
            yield fields.line()
        elif len(fields) != len(header):
            reason = f"the row has {len(fields)} fields, the header has {len(header)}"
            yield RowProblem("wrong fields", reason, _excerpt(record)).line()
        else:
            row = {name: value for name, value in zip(header, fields, strict=True) if name in wanted}
            yield encoded_row({name: _value(name, value, recipe) for name, value in row.items()})


def delimiter_of(file: str) -> bytes:
    """Return what parts the fields of a file of this name."""
    return TAB if ".tsv" in [each.lower() for each in PurePath(file).suffixes] else COMMA


def csv_header(record: bytes, delimiter: bytes, recipe: CorpusRecipe, file: str) -> list[str]:
    """Return the columns that the first record names; raises ``DataError`` where one that is read is not there once."""
    fields = _fields(record.removeprefix(BYTE_ORDER_MARK), delimiter) if record.strip() else []
    if isinstance(fields, RowProblem):
        raise DataError(f"{file}: the header cannot be read: {fields.reason}; its lines must end in line feeds")
    check_columns(fields, recipe, file)
    times = Counter(fields)
    if twice := [name for name in recipe.needed_columns() if times[name] > 1]:
        raise DataError(f"{file} has the column {twice[0]!r} {times[twice[0]]} times: rename all but one")
    return fields


def records(
    chunks: Iterable[bytes], most: int, delimiter: bytes | None, file: str = "the file"
) -> Iterator[tuple[bytes, int]]:
    """Yield each record and its bytes; of a longer one than ``most`` bytes the beginning alone.

    ``delimiter``: of CSV, whose quoted fields may hold line breaks; ``None`` = each line is a record.
    """
    kept, size, number, is_open = bytearray(), 0, 1, False
    for piece, ends_line in _line_pieces(chunks, QUOTE + (delimiter or b"")):
        if delimiter is not None:
            is_open = _open_after(piece, delimiter, is_open=is_open, at_start=not size)
        kept += piece[: most - len(kept)]
        size += len(piece)
        if ends_line and not is_open:
            yield bytes(kept), size
            kept, size, number = bytearray(), 0, number + 1
    if is_open:
        raise DataError(
            f"{file}: the record {number} (the header is 1) begins a quoted field that never ends: fetch the file "
            "again, or close its quote"
        )
    if size:
        yield bytes(kept), size


def _line_pieces(chunks: Iterable[bytes], sticky: bytes) -> Iterator[tuple[bytes, bool]]:
    """Yield lines, long ones in pieces, and whether each ends its line; none is cut behind a ``sticky`` byte."""
    left = b""
    for chunk in chunks:
        left += chunk
        start = 0
        while (end := left.find(b"\n", start) + 1) > 0:
            yield left[start:end], True
            start = end
        left = left[start:]
        if len(left) > MOST_PIECE and (cut := len(left.rstrip(sticky))):
            yield left[:cut], False
            left = left[cut:]
    if left:
        yield left, False


def _open_after(piece: bytes, delimiter: bytes, *, is_open: bool, at_start: bool) -> bool:
    """Return whether a quoted field is open behind ``piece``. ``at_start``: a record begins with it."""
    place = 0
    if at_start and piece.removeprefix(BYTE_ORDER_MARK).startswith(QUOTE):
        is_open, place = True, piece.index(QUOTE) + 1
    while True:
        if is_open:
            place = piece.find(QUOTE, place)
            if place < 0:
                return True
            is_doubled = piece[place + 1 : place + 2] == QUOTE
            is_open, place = is_doubled, place + (2 if is_doubled else 1)
        else:
            place = piece.find(delimiter + QUOTE, place)
            if place < 0:
                return False
            is_open, place = True, place + 2


def _fields(record: bytes, delimiter: bytes) -> list[str] | RowProblem:
    text = record.decode("utf-8", errors="surrogateescape")
    try:
        return next(csv.reader([text], delimiter=delimiter.decode()))
    except csv.Error as error:
        return RowProblem("wrong fields", f"no record of CSV: {error}", _excerpt(record))


def _value(name: str, value: str, recipe: CorpusRecipe) -> Any:
    """Return a field as its column means it: a score is a number or nothing, spans are JSON, all else is text."""
    if name == recipe.columns.score:
        number = value.strip()
        return int(number) if number.isdecimal() and len(number) <= MOST_DIGITS else value if number else None
    if name in SPAN_COLUMNS and name not in recipe.needed_columns():
        try:
            return json.loads(value) if value.strip() else None
        except (ValueError, RecursionError):
            return value
    return value.encode("utf-8", errors="surrogateescape")


def _too_long(record: bytes, size: int, recipe: CorpusRecipe) -> RowProblem:
    reason = f"the row has {size} bytes, max_document_bytes is {recipe.max_document_bytes}"
    return RowProblem("too long", reason, _excerpt(record))


def _excerpt(record: bytes) -> str:
    return record[:EXCERPT_BYTES].decode("utf-8", errors="backslashreplace")


def encoded_row(row: Mapping[str, Any]) -> bytes:
    """Return a row as a line of JSON. Bytes that are not UTF-8 stay, so that they are found, and counted, as such."""
    parts = []
    for name, value in row.items():
        if isinstance(value, bytes):
            text = json.dumps(value.decode("utf-8", errors="surrogateescape"), ensure_ascii=False)
            parts.append(json.dumps(name).encode() + b":" + text.encode("utf-8", errors="surrogateescape"))
        else:
            parts.append(f"{json.dumps(name)}:{json.dumps(value, default=str)}".encode())
    return b"{" + b",".join(parts) + b"}\n"
