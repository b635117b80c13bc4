"""``answers/``: what the checkpoints said, beside the shareable rows and never inside them (schema version 1)."""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from upbringing.base.errors import FormatError
from upbringing.base.files import replacing

ANSWERS_SCHEMA_VERSION = 1
_TEXT = pa.dictionary(pa.int32(), pa.string())
ANSWERS_SCHEMA = pa.schema(
    [
        pa.field("response", pa.string(), nullable=False),
        pa.field("checkpoint", _TEXT, nullable=False),
        pa.field("item", _TEXT, nullable=False),
        pa.field("condition", _TEXT, nullable=False),
        pa.field("sample", pa.int32(), nullable=False),
        pa.field("request", _TEXT, nullable=False),
        pa.field("prompt", _TEXT, nullable=False),
        pa.field("answer", pa.string(), nullable=False),
        pa.field("thought", pa.string()),
        pa.field("finish", _TEXT, nullable=False),
        pa.field("status", _TEXT, nullable=False),
        pa.field("reason_code", _TEXT),
        pa.field("attempts", pa.int32()),
        pa.field("details", pa.string()),
        pa.field("reasons", pa.list_(pa.struct([("judge", pa.string()), ("reason", pa.string())]))),
    ],
    metadata={b"schema_version": str(ANSWERS_SCHEMA_VERSION).encode()},
)


@dataclass(frozen=True, kw_only=True)
class Answer:
    """One answer. ``response``: the id that rows refer to. ``request``: harmful or benign, so that a reader can be
    spared. ``thought``: what a reasoning model said before its answer. ``finish``: ``stop`` or ``length``.
    ``status``: how the request ended (``ok``, ``refused``, ``truncated``, ``malformed``, ``failed``) and
    ``reason_code`` why it is not ``ok``. ``attempts``: how many requests it took. ``details``: what its decoding
    logged, as JSON. ``reasons``: (judge, what it said to explain itself), for judges that do.
    """

    response: str
    checkpoint: str
    item: str
    condition: str
    sample: int
    request: str
    prompt: str
    answer: str
    thought: str | None = None
    finish: str = "stop"
    status: str = "ok"
    reason_code: str | None = None
    attempts: int = 1
    details: str | None = None
    reasons: tuple[tuple[str, str], ...] = ()


def write_answers(answers: Iterable[Answer], path: Path) -> None:
    """Write answers as Parquet, sorted by response so that equal answers give equal bytes."""
    columns: dict[str, list[object]] = {name: [] for name in ANSWERS_SCHEMA.names}
    for answer in sorted(answers, key=lambda each: each.response):
        for name, value in asdict(answer).items():
            columns[name].append(value)
        columns["reasons"][-1] = [{"judge": judge, "reason": reason} for judge, reason in answer.reasons]
    with replacing(path) as temporary:
        pq.write_table(pa.table(columns, schema=ANSWERS_SCHEMA), temporary, compression="zstd")


def copy_answers(source: Path, target: Path, reasons: Mapping[str, Sequence[tuple[str, str]]]) -> None:
    """Copy an answers file, with what judges said to explain themselves: (judge, reason) pairs per response."""
    if not reasons:
        shutil.copyfile(source, target)
        return
    given = answers_of(pq.read_table(source))
    write_answers((replace(each, reasons=(*each.reasons, *reasons.get(each.response, ()))) for each in given), target)


def answers_of(table: pa.Table) -> list[Answer]:
    """Return the answers of a table; columns that it lacks have their defaults."""
    names = {field.name for field in fields(Answer)} & set(table.column_names) - {"reasons"}
    return [
        Answer(
            **{name: row[name] for name in names if row[name] is not None},
            reasons=tuple((each["judge"], each["reason"]) for each in row.get("reasons") or ()),
        )
        for row in table.to_pylist()
    ]


def read_answers(folder: Path) -> pa.Table:
    """Return all answers of a results folder (its ``answers/*.parquet``); raises ``FormatError`` if torn."""
    tables = []
    for path in sorted(folder.glob("*.parquet")):
        try:
            tables.append(pq.read_table(path))
        except (pa.ArrowInvalid, OSError) as error:
            raise FormatError(f"{path.name} is not a readable answers file: {error}") from None
    return pa.concat_tables(tables, promote_options="default") if tables else ANSWERS_SCHEMA.empty_table()
