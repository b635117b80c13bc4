"""Rows of CSV and TSV files and lines of plain text, one after the other, whatever is wrong with them.

Records are cut at the line breaks that stand in no quoted field (RFC 4180: a field that begins with a quote ends at the
next single one, a doubled one is a quote), with bounded memory. Then each is read by Python's csv.
"""

from __future__ import annotations

import csv
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from upbringing.base.errors import DataError
from upbringing.data.file_formats import FileFormat

EXCERPT_BYTES = 200
MOST_DIGITS = 18  # of a score; Python turns no text of thousands of digits into a number
MOST_PIECE = 1 << 18  # bytes of a line that are looked at in one go
QUOTE, BYTE_ORDER_MARK = b'"', b"\xef\xbb\xbf"
DELIMITERS: Mapping[FileFormat, bytes] = {"csv": b",", "tsv": b"\t"}
TEXT = "text"  # the column that a line of plain text stands in


@dataclass(frozen=True)
class RowProblem:
    """Why a record is no row, with its beginning."""

    code: str
    reason: str
    excerpt: str


@dataclass(frozen=True)
class Table:
    """``rows``: each with its fields, bytes that are not UTF-8 as surrogates; ``None`` = an empty row."""

    header: list[str]
    rows: Iterator[list[str] | RowProblem | None]


def open_table(
    chunks: Iterable[bytes], file_format: FileFormat, most: int, file: str, *, limit: str = "max_document_bytes"
) -> Table:
    """Return the header and the rows behind it of a CSV, TSV or text file; a line of text is a row of ``text``.

    ``most``: bytes of a row; a longer one is a problem and costs no memory, and its reason calls them ``limit``.
    Raises ``DataError`` for a header that cannot be read, and so do ``rows`` for a quoted field that never ends.
    """
    delimiter = DELIMITERS.get(file_format)
    found = records(chunks, most + 1, delimiter, file)
    if delimiter is None:
        return Table([TEXT], _text_rows(found, _Limit(most, limit)))
    csv.field_size_limit(max(csv.field_size_limit(), most + 1))
    first, _ = next(found, (b"", 0))
    header = _fields(first.removeprefix(BYTE_ORDER_MARK), delimiter) if first.strip() else []
    if isinstance(header, RowProblem):
        raise DataError(f"{file}: the header cannot be read: {header.reason}; its lines must end in line feeds")
    return Table(header, _csv_rows(found, delimiter, len(header), _Limit(most, limit)))


@dataclass(frozen=True)
class _Limit:
    most: int
    name: str

    def problem(self, record: bytes, size: int) -> RowProblem | None:
        """Return what is wrong with a record of ``size`` bytes, its line break included."""
        if size <= self.most + 1:
            return None
        reason = f"the row has {size} bytes, {self.name} is {self.most}"
        return RowProblem("too long", reason, _excerpt(record))


def _text_rows(found: Iterator[tuple[bytes, int]], limit: _Limit) -> Iterator[list[str] | RowProblem | None]:
    for number, (record, size) in enumerate(found):
        if (problem := limit.problem(record, size)) is not None:
            yield problem
            continue
        line = (record.removeprefix(BYTE_ORDER_MARK) if number == 0 else record).rstrip(b"\r\n")
        yield [_decoded(line)] if line.strip() else None


def _csv_rows(
    found: Iterator[tuple[bytes, int]], delimiter: bytes, width: int, limit: _Limit
) -> Iterator[list[str] | RowProblem | None]:
    for record, size in found:
        if (problem := limit.problem(record, size)) is not None:
            yield problem
            continue
        if not record.strip():
            yield None
            continue
        fields = _fields(record, delimiter)
        if isinstance(fields, list) and len(fields) != width:
            reason = f"the row has {len(fields)} fields, the header has {width}"
            yield RowProblem("wrong fields", reason, _excerpt(record))
        else:
            yield fields


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


def number_or_text(field: str) -> int | str | None:
    """Return a field of a column of scores: a whole number, nothing where it is empty, or what else it holds."""
    number = field.strip()
    return int(number) if number.isdecimal() and len(number) <= MOST_DIGITS else field if number else None


def utf8_problem(field: str) -> int | None:
    """Return the place of the first byte of a field that is not UTF-8; ``None`` where all are."""
    try:
        field.encode("utf-8")
    except UnicodeEncodeError as error:
        return len(field[: error.start].encode("utf-8"))
    return None


def _fields(record: bytes, delimiter: bytes) -> list[str] | RowProblem:
    try:
        return next(csv.reader([_decoded(record)], delimiter=delimiter.decode()))
    except csv.Error as error:
        return RowProblem("wrong fields", f"no record of CSV: {error}", _excerpt(record))


def _decoded(record: bytes) -> str:
    return record.decode("utf-8", errors="surrogateescape")


def _excerpt(record: bytes) -> str:
    return record[:EXCERPT_BYTES].decode("utf-8", errors="backslashreplace")
