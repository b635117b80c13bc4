"""Rows of CSV files and lines of plain text as lines of JSON, one for each record, whatever is wrong with it."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from upbringing.base.errors import DataError
from upbringing.data.file_formats import FileFormat, named_format, unpacked
from upbringing.data.span_columns import COLUMNS as SPAN_COLUMNS
from upbringing.data.tabular import RowProblem, Table, number_or_text, open_table
from upbringing.lab.corpus.recipe import CorpusRecipe
from upbringing.lab.corpus.units import SourceFile, check_columns

PROBLEM = "\x00problem"  # the only key of a line that stands for a row which is no document


def given_problem(row: Mapping[str, Any]) -> RowProblem | None:
    """Return the problem that a line stands for, if it stands for one."""
    found = row.get(PROBLEM)
    return RowProblem(**found) if isinstance(found, dict) else None


def check_header(source: SourceFile, recipe: CorpusRecipe) -> None:
    """Raise ``DataError`` if the header of a CSV file lacks a column that is read, or has it twice."""
    _checked_table(source, recipe)


def tabular_lines(source: SourceFile, recipe: CorpusRecipe) -> Iterator[bytes]:
    """Yield each record of a CSV file, and each line of a text file, as a row of the columns that are read.

    Raises ``DataError`` for a header without them and for a quoted field that the end of the file cuts off.
    """
    table = _checked_table(source, recipe)
    wanted = set(recipe.needed_columns()) | set(SPAN_COLUMNS)
    for fields in table.rows:
        if fields is None:
            yield b"\n"
        elif isinstance(fields, RowProblem):
            yield json.dumps({PROBLEM: asdict(fields)}).encode() + b"\n"
        else:
            row = {name: value for name, value in zip(table.header, fields, strict=True) if name in wanted}
            yield encoded_row({name: _value(name, value, recipe) for name, value in row.items()})


def _checked_table(source: SourceFile, recipe: CorpusRecipe) -> Table:
    chunks = unpacked(Path(source.path), source.name)
    table = open_table(chunks, _format_of(source), recipe.max_document_bytes, source.name)
    check_columns(table.header, recipe, source.name)
    times = Counter(table.header)
    if twice := [name for name in recipe.needed_columns() if times[name] > 1]:
        raise DataError(f"{source.name} has the column {twice[0]!r} {times[twice[0]]} times: rename all but one")
    return table


def _format_of(source: SourceFile) -> FileFormat:
    """Return what the name says, which tells tabs from commas; a name that says nothing is what the recipe says."""
    return named_format(source.name) or ("txt" if source.kind.startswith("txt") else "csv")


def _value(name: str, value: str, recipe: CorpusRecipe) -> Any:
    """Return a field as its column means it: a score is a number or nothing, spans are JSON, all else is text."""
    if name == recipe.columns.score:
        return number_or_text(value)
    if name in SPAN_COLUMNS and name not in recipe.needed_columns():
        try:
            return json.loads(value) if value.strip() else None
        except (ValueError, RecursionError):
            return value
    return value.encode("utf-8", errors="surrogateescape")


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
