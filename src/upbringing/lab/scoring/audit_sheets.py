"""Filled-in sheets of an audit: one label per text, and nothing but the texts that were drawn."""

from __future__ import annotations

import csv
import io
import json
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from upbringing.base.errors import FormatError
from upbringing.data.interventions.scoring.meanings import SCORES

LONGEST_CELL = 1 << 30  # of a CSV file; Python's own limit is 131,072 characters, which texts exceed
_CSV_LIMIT = threading.Lock()


def read_sheet(path: Path, known: Sequence[str]) -> dict[str, int]:
    """Return audit id to label of what is filled in; an empty label is no label.

    ``known``: the ids that were drawn. Raises ``FormatError``, naming the row, for an id that was not drawn or stands
    twice, for a label off the scale, and where drawn ids are missing.
    """
    rows = _jsonl(path) if path.suffix == ".jsonl" else _csv(path)
    labels: dict[str, int] = {}
    seen: set[str] = set()
    for where, row in rows:
        name = str(row.get("audit_id") or "").strip()
        if name not in known or name in seen:
            state = "twice" if name in seen else "but was not drawn"
            raise FormatError(f"{where}: the audit_id {name!r} stands there {state}: use the sheet as drawn")
        seen.add(name)
        label = _label(row, where)
        if label is not None:
            labels[name] = label
    if missing := sorted(set(known) - seen):
        raise FormatError(f"{path.name} lacks {len(missing)} of the drawn texts, first {missing[0]!r}: keep every row")
    return labels


def _label(row: Mapping[str, Any], where: str) -> int | None:
    if "label" not in row:
        raise FormatError(f"{where} has no column 'label'")
    value = row["label"]
    text = "" if value is None else str(value).strip()
    if not text:
        return None
    if isinstance(value, bool) or text not in {str(score) for score in SCORES}:
        raise FormatError(f"{where}: a label is a whole number from 0 to 5, or empty; found {text!r}")
    return int(text)


def _csv(path: Path) -> Iterator[tuple[str, Mapping[str, Any]]]:
    text = _decoded(path)
    with _long_cells():
        try:
            lines = list(csv.DictReader(io.StringIO(text, newline=""), strict=True))
        except csv.Error as error:
            raise FormatError(f"{path.name} cannot be read as CSV: {error}") from None
    for number, line in enumerate(lines, start=2):
        yield f"{path.name} row {number}", line


def _jsonl(path: Path) -> Iterator[tuple[str, Mapping[str, Any]]]:
    for number, line in enumerate(_decoded(path).split("\n"), start=1):
        if not line.strip():
            continue
        where = f"{path.name} row {number}"
        try:
            row = json.loads(line)
        except ValueError as error:
            raise FormatError(f"{where} is not JSON: {error}") from None
        if not isinstance(row, dict):
            raise FormatError(f"{where} is {type(row).__name__}, expected an object")
        yield where, row


def _decoded(path: Path) -> str:
    try:
        return path.read_bytes().decode("utf-8-sig")
    except OSError as error:
        raise FormatError(f"cannot read the sheet {path}: {error.strerror}") from None
    except UnicodeDecodeError as error:
        raise FormatError(f"{path.name}: byte {error.start} is not UTF-8: save the sheet as UTF-8") from None


@contextmanager
def _long_cells() -> Iterator[None]:
    """Raise the limit that the csv module keeps for the whole process, and put it back."""
    with _CSV_LIMIT:
        before = csv.field_size_limit(LONGEST_CELL)
        try:
            yield
        finally:
            csv.field_size_limit(before)
