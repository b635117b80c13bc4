"""Rows of a file of texts, one after the other: whatever the file's size, little of it is in memory."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from upbringing.base.errors import DataError
from upbringing.data.documents import Document
from upbringing.data.file_formats import ALL_SUFFIXES, LINE_SUFFIXES, FileFormat, named_format, suffix_of
from upbringing.data.file_rows import file_rows
from upbringing.data.interventions.scores import HarmScore
from upbringing.data.interventions.scoring.meanings import check_score

TEXT, HARM, SOURCE = "text", "harm", "source"
SCORE, REASON, CONFIDENCE, LOWER_BOUND = "harm_score", "harm_reason", "harm_confidence", "harm_lower_bound"


@dataclass(frozen=True)
class TextRow:
    """``where``: file and row, for messages. ``content``: all columns."""

    where: str
    content: Mapping[str, Any]


def format_of(path: Path) -> FileFormat:
    """Return the format that the name of ``path`` says."""
    named = named_format(path.name)
    if named is None:
        raise DataError(f"{path.name}: a file of texts ends in one of {', '.join(ALL_SUFFIXES)}")
    return named


def read_rows(path: Path, scores: Collection[str] = ()) -> Iterator[TextRow]:
    """Yield the rows of ``path``, of a folder those of its files by name, such as a corpus was written in.

    ``scores``: further columns of scores, which CSV holds as text. Of a folder no CSV and text files are read: they
    often lie beside a corpus. Raises ``DataError`` for a missing or empty file and for rows that are none.
    """
    files = (
        sorted(each for each in path.iterdir() if suffix_of(each.name) in LINE_SUFFIXES) if path.is_dir() else [path]
    )
    if not files:
        raise DataError(f"the folder {path} holds no file that ends in one of {', '.join(LINE_SUFFIXES)}")
    for file in files:
        yield from _file_rows(file, scores)


def _file_rows(path: Path, scores: Collection[str]) -> Iterator[TextRow]:
    file_format = format_of(path)
    if not path.is_file():
        raise DataError(f"there is no file {path}")
    number = 0
    for number, row in enumerate(file_rows(path, file_format, scores), start=1):
        yield TextRow(f"{path.name} row {number}", row)
    if number == 0:
        raise DataError(f"{path.name} holds no rows")


def column(row: TextRow, name: str) -> Any:
    """Return a column's value, which may be null; raises ``DataError`` where the row has no such column."""
    if name not in row.content:
        raise DataError(f"{row.where} has no column {name!r}; it has {', '.join(map(repr, row.content)) or 'none'}")
    return row.content[name]


def document_of(row: TextRow, stem: str, text_column: str = TEXT) -> Document:
    """Return the document of a row; an empty or null text stays, as an empty one, and is counted by whoever scores.

    Its harm and its source are the columns of that name; without a source it is ``stem``.
    """
    text = column(row, text_column)
    if text is not None and not isinstance(text, str):
        raise DataError(f"{row.where}: {text_column} must be text, found {type(text).__name__}")
    if text is not None and not text.isascii() and any("\ud800" <= character <= "\udfff" for character in text):
        raise DataError(
            f"{row.where}: {text_column} holds half a character (a lone surrogate): it is not valid Unicode"
        )
    source = row.content.get(SOURCE)
    return Document(text=text or "", source=stem if source is None else str(source), harm=label_of(row, HARM))


def label_of(row: TextRow, name: str) -> int | None:
    """Return the score in a column, ``None`` where it is null or the row has no such column."""
    value = row.content.get(name)
    return None if value is None else check_score(value, f"{row.where}, {name}")


def score_of(row: TextRow, score_column: str = SCORE) -> HarmScore:
    """Return the score that ``upbringing data score`` wrote into a row."""
    value = column(row, score_column)
    reason = str(row.content.get(REASON) or "no-reason-given")
    known = None if value is None else check_score(value, f"{row.where}, {score_column}")
    return HarmScore(known, reason, row.content.get(CONFIDENCE), bool(row.content.get(LOWER_BOUND)))
