"""``rows.parquet``: one line per score, the hand-off from battery to attribution (schema version 1).

The key is ``checkpoint, measure, condition, item, turn, sample, judge``. No free text: answers, thoughts and
judges' reasons live in ``answers/`` beside this table. ``value`` null means "no score" and then ``status``
and ``reason_code`` say why; a failure is never a number.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from upbringing.base.errors import FormatError
from upbringing.base.files import replacing

ROWS_SCHEMA_VERSION = 1
KEY_COLUMNS = ("checkpoint", "measure", "condition", "item", "turn", "sample", "judge")
STATUSES = ("scored", "unscored", "truncated", "not-measurable")
OUTCOMES = ("refuse", "harmful", "harmless", "incoherent", "short-circuit")
REFUSALS = ("refuse", "short-circuit")  # by the model, by the decoding
DEFAULT_CONDITION = "default"
NO_JUDGE = "none"

_TEXT = pa.dictionary(pa.int32(), pa.string())
ROWS_SCHEMA = pa.schema(
    [
        pa.field("checkpoint", _TEXT, nullable=False),
        pa.field("measure", _TEXT, nullable=False),
        pa.field("condition", _TEXT, nullable=False),
        pa.field("item", _TEXT, nullable=False),
        pa.field("turn", pa.int32(), nullable=False),
        pa.field("sample", pa.int32(), nullable=False),
        pa.field("judge", _TEXT, nullable=False),
        pa.field("outcome", _TEXT),
        pa.field("value", pa.float64()),
        pa.field("value_low", pa.float64()),
        pa.field("value_high", pa.float64()),
        pa.field("weight", pa.float64()),
        pa.field("censored", pa.bool_()),
        pa.field("status", _TEXT, nullable=False),
        pa.field("reason_code", _TEXT),
        pa.field("response", _TEXT),
        pa.field("response_sha256", pa.string()),
        pa.field("judge_kind", _TEXT),
        pa.field("rater", _TEXT),
        pa.field("sampling_probability", pa.float64()),
    ],
    metadata={b"schema_version": str(ROWS_SCHEMA_VERSION).encode()},
)


@dataclass(frozen=True, kw_only=True)
class Row:
    """One score. ``response`` identifies the answer several judges share; ``weight`` is bytes for ratios."""

    checkpoint: str
    measure: str
    item: str
    condition: str = DEFAULT_CONDITION
    turn: int = 0
    sample: int = 0
    judge: str = NO_JUDGE
    outcome: str | None = None
    value: float | None = None
    value_low: float | None = None
    value_high: float | None = None
    weight: float | None = None
    censored: bool | None = None
    status: str = "scored"
    reason_code: str | None = None
    response: str | None = None
    response_sha256: str | None = None
    judge_kind: str | None = None
    rater: str | None = None
    sampling_probability: float | None = None

    def __post_init__(self) -> None:
        if self.status not in STATUSES:
            raise FormatError(f"row status {self.status!r} is not one of {', '.join(STATUSES)}")
        if self.outcome is not None and self.outcome not in OUTCOMES:
            raise FormatError(f"row outcome {self.outcome!r} is not one of {', '.join(OUTCOMES)}")
        if self.status != "scored" and self.value is not None:
            raise FormatError(f"a row with status {self.status!r} carries the value {self.value}: leave it null")
        if self.value is None and self.reason_code is None:
            raise FormatError(
                f"the row of {self.measure!r} for item {self.item!r} has no value and no reason_code: say why"
            )


def rows_table(rows: Iterable[Row]) -> pa.Table:
    """Return the rows as a table with the published schema, in the order given."""
    columns: dict[str, list[object]] = {name: [] for name in ROWS_SCHEMA.names}
    for row in rows:
        for name, value in vars(row).items():  # flat, so nothing needs copying
            columns[name].append(value)
    return pa.table(columns, schema=ROWS_SCHEMA)


def write_rows(table: pa.Table, path: Path) -> None:
    """Write a rows table as Parquet (zstd), whole or not, sorted by its key so that equal rows give equal bytes."""
    plain = pa.table({name: _decoded(table[name]) for name in KEY_COLUMNS})
    order = pc.sort_indices(plain, sort_keys=[(name, "ascending") for name in KEY_COLUMNS])
    ordered = table.take(order)
    for index, field in enumerate(ordered.schema):
        if pa.types.is_dictionary(field.type):  # in order of first use: equal rows, equal bytes
            ordered = ordered.set_column(index, field, _decoded(ordered[field.name]).dictionary_encode())
    with replacing(path) as temporary:
        pq.write_table(ordered.combine_chunks(), temporary, compression="zstd")


def _decoded(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """Return a text column without its dictionary, which arrow cannot sort by."""
    return pc.cast(column, pa.string()) if pa.types.is_dictionary(column.type) else column
