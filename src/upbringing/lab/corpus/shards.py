"""What is written of a piece: documents, chats and rejects, each in a file of its own, whole or not there."""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import orjson

from upbringing.base.errors import DataError
from upbringing.base.files import write_bytes_atomic
from upbringing.data.documents import Chat, Document, Span, TrainingText
from upbringing.lab.corpus.reading import BadRow, Row
from upbringing.lab.corpus.recipe import CorpusRecipe
from upbringing.lab.corpus.units import Unit

KINDS = ("documents", "chats", "rejects")


@dataclass
class Shard:
    """The rows to be written of one piece, while it is worked on: lines at once, rows of tables at the end."""

    unit: Unit
    recipe: CorpusRecipe
    lines: dict[str, list[tuple[int, bytes]]] = field(default_factory=lambda: {kind: [] for kind in KINDS})
    rows: dict[str, list[dict[str, Any]]] = field(default_factory=lambda: {kind: [] for kind in KINDS})

    def keep(self, row: Row, name: str, score: int | None) -> None:
        """Write a document as it was read."""
        kept = {"id": name, "text": row.text, "harm": score, "source": row.source, **_spans(row.spans), **row.carried}
        self._add("documents", row, kept)

    def make(self, text: TrainingText, row: Row, name: str, place: int) -> None:
        """Write the ``place``-th text that was made of a document."""
        kind = "chats" if isinstance(text, Chat) else "documents"
        self._add(kind, row, {"id": f"{name}~{place}", **_made(text), "made_from": name, **row.carried})

    def reject(self, row: Row | BadRow, name: str | None, code: str, reason: str, **facts: Any) -> None:
        """Write a row that is left out, with where it stands and why."""
        reject = {"id": name, "code": code, "reason": reason, "file": self.unit.file, "row": row.number, **facts}
        if isinstance(row, BadRow):
            reject |= {"byte": row.byte, "excerpt": row.excerpt}
        else:
            reject |= {"source": row.source, "text": row.text}
        self._add("rejects", row, reject)

    def _add(self, kind: str, row: Row | BadRow, written: dict[str, Any]) -> None:
        if kind != "rejects" and self.recipe.output.format == "parquet":
            self.rows[kind].append(written)
        else:
            self.lines[kind].append((row.number, json_line(written)))

    def reject_text(self, row: Row, name: str, text: TrainingText, reason: str) -> None:
        """Write a text that a transform left out."""
        facts = {} if _is_the_row(text, row) else {"made": _made(text)}
        self.reject(row, name, "transform", reason, **facts)

    def write(self, result: Path) -> dict[str, dict[str, Any]]:
        """Write the files and return, for each, its rows, bytes and sha256."""
        written = {}
        self.lines["rejects"].sort(key=lambda line: line[0])  # in the corpus's order, whatever was found out first
        for kind in KINDS:
            lines, rows = self.lines[kind], self.rows[kind]
            if lines:
                form, data = "jsonl", b"".join([line for _, line in lines])
            elif rows:
                form, data = "parquet", _parquet(rows, kind, self.recipe.output.columns)
            else:
                continue
            name = f"{kind}/part-{self.unit.number:06d}.{form}"
            write_bytes_atomic(result / name, data)
            size = len(lines) + len(rows)
            written[name] = {"rows": size, "bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}
        return written


def is_unchanged(texts: Sequence[TrainingText], row: Row) -> bool:
    """Say whether the texts that came out are the one document that went in."""
    return len(texts) == 1 and _is_the_row(texts[0], row)


def _is_the_row(text: TrainingText, row: Row) -> bool:
    return isinstance(text, Document) and text.text == row.text and text.loss and text.spans == row.spans


def _made(text: TrainingText) -> dict[str, Any]:
    metadata = {name: value for name, value in text.metadata.items() if name != "id"}
    if isinstance(text, Document):
        content = {"text": text.text, "harm": text.harm, **_spans(text.spans)}
        return {**content, "source": text.source, "loss": text.loss, "metadata": metadata}
    if isinstance(text, Chat):
        turns = [asdict(turn) for turn in text.turns]
        return {
            "messages": turns,
            "harm": text.harm,
            "source": text.source,
            "teacher": text.teacher,
            "metadata": metadata,
        }
    raise DataError("a transform made a preference of a document: a corpus holds documents and chats")


def _spans(spans: Sequence[Span]) -> dict[str, Any]:
    """Return the column of spans, which is absent where there are none."""
    return {"spans": [asdict(span) for span in spans]} if spans else {}


def json_line(row: Mapping[str, Any]) -> bytes:
    """Return ``row`` as a line of JSON. What JSON has no form for is text; half surrogate pairs are escaped."""
    try:
        return orjson.dumps(row, default=str, option=orjson.OPT_APPEND_NEWLINE | orjson.OPT_NON_STR_KEYS)
    except TypeError:  # whole numbers beyond 64 bits, text that UTF-8 cannot hold
        return json.dumps(row, default=str, separators=(",", ":")).encode() + b"\n"


def _parquet(rows: Sequence[Mapping[str, Any]], kind: str, carried: Sequence[str]) -> bytes:
    """Return rows as Parquet with one schema for all shards; carried columns are text, JSON where they were none."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    ends, flags = (("begin", pa.int64()), ("end", pa.int64())), (("loss", pa.bool_()), ("isolated", pa.bool_()))
    content = {
        "documents": [
            ("text", pa.large_string()),
            ("loss", pa.bool_()),
            ("spans", pa.list_(pa.struct([*ends, *flags]))),
        ],
        "chats": [
            ("messages", pa.list_(pa.struct([("role", pa.string()), ("content", pa.large_string())]))),
            ("teacher", pa.string()),
        ],
    }[kind]
    shared = [("id", pa.string()), ("harm", pa.int8()), ("made_from", pa.string()), ("source", pa.string())]
    texts = [("metadata", pa.string()), *((name, pa.large_string()) for name in carried)]
    names = {name for name, _ in texts}
    plain = [{name: _as_text(value) if name in names else value for name, value in row.items()} for row in rows]
    if kind == "documents":
        plain = [{"loss": True, **row} for row in plain]
    table = pa.Table.from_pylist(plain, schema=pa.schema([*shared, *content, *texts]))
    buffer = io.BytesIO()
    pq.write_table(table, buffer, compression="zstd")
    return buffer.getvalue()


def _as_text(value: Any) -> str | None:
    return value if value is None or isinstance(value, str) else json_line({"": value}).decode()[4:-2]
