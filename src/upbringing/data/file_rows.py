"""Rows of a file of texts, one after the other, in any format; a row that is none is an error that names it."""

from __future__ import annotations

import json
import math
import sys
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping
from pathlib import Path
from typing import Any

from upbringing.base.errors import DataError
from upbringing.data.file_formats import FileFormat, unpacked
from upbringing.data.span_columns import COLUMNS as SPAN_COLUMNS
from upbringing.data.tabular import RowProblem, number_or_text, open_table, records, utf8_problem

SCORES = ("harm", "harm_score")
NULLABLE = ("id", "source", "teacher", "harm_reason")  # an empty field of these says nothing, as null does
TRUTHS = {"": None, "true": True, "false": False}
ROWS_AT_ONCE = 1024  # of a Parquet file in memory
MOST_ROW_BYTES = 10_000_000  # of CSV and text: a quote that never ends would make the rest of the file one row


def file_rows(path: Path, file_format: FileFormat, scores: Collection[str] = ()) -> Iterator[Mapping[str, Any]]:
    """Yield the rows of a file one after the other; raises ``DataError`` naming the row that is none.

    A file whose name ends in ``.gz`` or ``.zst`` is unpacked, but for Parquet. Fields of CSV and TSV are text, but for
    columns that mean something else: scores (``harm``, ``harm_score`` and ``scores``), ``harm_confidence`` and
    ``harm_lower_bound``, and the JSON of ``messages`` and of spans. Rows count from 1, behind a header.
    """
    if file_format == "jsonl":
        return _jsonl_rows(path)
    return _parquet_rows(path) if file_format == "parquet" else _tabular_rows(path, file_format, scores)


def _jsonl_rows(path: Path) -> Iterator[Mapping[str, Any]]:
    for number, (line, _) in enumerate(records(unpacked(path), sys.maxsize, None), start=1):
        try:
            row = json.loads(line.decode("utf-8"))
        except UnicodeDecodeError as error:
            raise DataError(f"{path.name} row {number}: byte {error.start} is not UTF-8") from None
        except (ValueError, RecursionError) as error:
            wrong = f"is not JSON: {error}" if line.strip() else "is empty: take the line out"
            raise DataError(f"{path.name} row {number} {wrong}") from None
        if not isinstance(row, dict):
            raise DataError(f"{path.name} row {number} is {type(row).__name__}, expected an object")
        yield row


def _parquet_rows(path: Path) -> Iterator[Mapping[str, Any]]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    number = 0
    try:
        for batch in pq.ParquetFile(path).iter_batches(batch_size=ROWS_AT_ONCE):
            for row in batch.to_pylist():
                number += 1
                yield row
    except (pa.ArrowInvalid, OSError) as error:
        raise DataError(f"{path.name} is not a readable Parquet file after row {number}: {error}") from None
    except UnicodeDecodeError as error:
        raise DataError(f"{path.name}: one of the rows after row {number} is not UTF-8 (byte {error.start})") from None


def _tabular_rows(path: Path, file_format: FileFormat, scores: Collection[str]) -> Iterator[Mapping[str, Any]]:
    table = open_table(
        unpacked(path), file_format, MOST_ROW_BYTES, path.name, limit="the most that a row of such a file may have"
    )
    for name, times in Counter(table.header).items():
        if times > 1:
            raise DataError(f"{path.name} has the column {name!r} {times} times: rename all but one")
        if utf8_problem(name) is not None:
            raise DataError(f"{path.name}: the name of a column is not UTF-8: save the file as UTF-8")
    meanings = {**_MEANINGS, **dict.fromkeys(scores, _score)}
    for number, fields in enumerate(table.rows, start=1):
        where = f"{path.name} row {number}"
        if fields is None:
            raise DataError(f"{where} is empty: take the line out")
        if isinstance(fields, RowProblem):
            raise DataError(f"{where}: {fields.reason}")
        row: dict[str, Any] = {}
        for name, field in zip(table.header, fields, strict=True):
            if not field.isascii() and (byte := utf8_problem(field)) is not None:
                raise DataError(f"{where}: byte {byte} of {name} is not UTF-8: save the file as UTF-8")
            meaning = meanings.get(name)
            row[name] = field if meaning is None else meaning(field, f"{where}: {name}")
        yield row


def _score(field: str, where: str) -> int | str | None:
    return number_or_text(field)  # what is no score is found where scores are checked, whatever the format


def _nullable(field: str, where: str) -> str | None:
    return field or None


def _confidence(field: str, where: str) -> float | None:
    if not field.strip():
        return None
    try:
        number = float(field)
    except ValueError:
        number = math.nan
    if not math.isfinite(number):
        raise DataError(f"{where} is a number or empty, found {field!r:.80}")
    return number


def _truth(field: str, where: str) -> bool | None:
    word = field.strip().lower()
    if word not in TRUTHS:
        raise DataError(f"{where} is true, false or empty, found {field!r:.80}")
    return TRUTHS[word]


def _json(field: str, where: str) -> Any:
    try:
        return json.loads(field) if field.strip() else None
    except (ValueError, RecursionError) as error:
        raise DataError(f"{where} is not JSON: {error}") from None


_MEANINGS: Mapping[str, Callable[[str, str], Any]] = {
    **dict.fromkeys(SCORES, _score),
    **dict.fromkeys(NULLABLE, _nullable),
    **dict.fromkeys(("messages", *SPAN_COLUMNS), _json),
    "harm_confidence": _confidence,
    "harm_lower_bound": _truth,
}
