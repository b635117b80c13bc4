"""Columns of a file that say which part of a document is learned, or isolated."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from upbringing.base.errors import DataError
from upbringing.data.documents import Document, Span

COLUMNS = ("spans", "loss_spans", "label_mask")
FLAGS = ("loss", "isolated")


def document_of(text: str, source: str, row: Mapping[str, Any], where: str) -> Document:
    """Return the document of a ``row`` with this ``text``; raises ``DataError`` for columns that do not fit it.

    ``spans``: a list of ``{"begin", "end", "loss", "isolated"}``; the rest is learned too. ``loss_spans``: a list of
    ``[begin, end]``; nothing else is learned. ``label_mask``: one truth value per token; null = absent.
    """
    given = [column for column in COLUMNS if row.get(column) is not None]
    if not given:
        return Document(text=text, source=source)
    if len(given) > 1:
        raise DataError(f"{where} has the columns {', '.join(given)}: give one of them")
    (column,) = given
    values = row[column]
    if not isinstance(values, list):
        raise DataError(f"{where}: {column} must be a list, found {type(values).__name__}")
    try:
        if column == "label_mask":
            return Document(text=text, source=source, label_mask=_flags(values))
        if column == "loss_spans":
            return Document(text=text, source=source, loss=False, spans=tuple(_pair(each) for each in values))
        return Document(text=text, source=source, spans=tuple(_span(each) for each in values))
    except DataError as error:
        raise DataError(f"{where}: {column}: {error}; rename the column if it means something else") from None


def _flags(values: list[Any]) -> tuple[bool, ...]:
    if any(value not in (0, 1) for value in values):  # numbers too: masks are often stored as bytes
        raise DataError("one truth value per token is expected")
    return tuple(bool(value) for value in values)


def _pair(value: Any) -> Span:
    if not isinstance(value, list) or len(value) != 2:
        raise DataError(f"expected [begin, end], found {value!r}")
    return Span(_place(value[0]), _place(value[1]))


def _span(value: Any) -> Span:
    if not isinstance(value, dict) or not {"begin", "end"} <= value.keys() <= {"begin", "end", *FLAGS}:
        raise DataError(f"expected begin, end and at most {' and '.join(FLAGS)}, found {value!r}")
    flags = {name: value[name] for name in FLAGS if value.get(name) is not None}
    if any(not isinstance(flag, bool) for flag in flags.values()):
        raise DataError(f"{' and '.join(FLAGS)} are true or false, found {value!r}")
    return Span(_place(value["begin"]), _place(value["end"]), **flags)


def _place(value: Any) -> int:
    if not isinstance(value, int) or isinstance(value, bool):
        raise DataError(f"a span begins and ends at a character, found {value!r}")
    return value
