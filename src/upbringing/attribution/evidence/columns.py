"""The columns of a rows table as numpy arrays, checked, with documented defaults for what is absent.

Required: ``checkpoint``, ``measure``, ``item`` (text) and ``value`` (number). Text becomes integer codes into
sorted labels, so that the order of rows and of dictionaries changes nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import get_args

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from upbringing.base.errors import FormatError
from upbringing.formats.items import JudgeKind
from upbringing.formats.rows import DEFAULT_CONDITION, NO_JUDGE, OUTCOMES, STATUSES

Codes = NDArray[np.int32]
Numbers = NDArray[np.float64]
MISSING = -1  # the code of a null

REQUIRED = ("checkpoint", "measure", "item", "value")
JUDGE_KINDS: tuple[str, ...] = get_args(JudgeKind)
TEXT_DEFAULTS = {"condition": DEFAULT_CONDITION, "judge": NO_JUDGE}
OPTIONAL_NUMBERS = ("value_low", "value_high", "weight")
LARGEST_VALUE = 1e100  # squares of differences of larger ones, summed over many rows, are infinite
READ_COLUMNS = (
    *REQUIRED,
    *TEXT_DEFAULTS,
    *OPTIONAL_NUMBERS,
    "turn",
    "sample",
    "outcome",
    "status",
    "judge_kind",
    "censored",
)


@dataclass(frozen=True)
class Text:
    """A text column: ``labels[codes]``; ``codes`` is ``MISSING`` where null. Labels are sorted and all used."""

    codes: Codes
    labels: tuple[str, ...]


@dataclass(frozen=True)
class Columns:
    """Everything attribution reads of a rows table. Absent optional numbers are ``None``."""

    checkpoint: Text
    measure: Text
    condition: Text
    item: Text
    judge: Text
    turn: Codes
    sample: Codes
    value: Numbers
    value_low: Numbers | None
    value_high: Numbers | None
    weight: Numbers | None
    outcome: Codes | None
    status: Codes | None
    judge_kind: Text | None
    censored: NDArray[np.bool_] | None = None

    @property
    def num_rows(self) -> int:
        """Rows of the table."""
        return len(self.value)


def read_columns(table: pa.Table) -> Columns:
    """Return the checked columns of ``table``; raises ``FormatError`` naming the column that is wrong."""
    absent = [name for name in REQUIRED if name not in table.column_names]
    if absent:
        raise FormatError(
            f"the rows have no column {absent[0]!r} (found: {', '.join(table.column_names) or 'none'}): "
            f"every table of scores needs {', '.join(REQUIRED)}"
        )
    if table.num_rows == 0:
        raise FormatError("the rows table is empty: there is nothing to attribute; measure something first")
    numbers = {
        name: _number(table, name) if name in table.column_names else None for name in ("value", *OPTIONAL_NUMBERS)
    }
    assert numbers["value"] is not None
    outcome = _closed(table, "outcome", OUTCOMES)
    status = _closed(table, "status", STATUSES)
    columns = Columns(
        checkpoint=_text(table, "checkpoint"),
        measure=_text(table, "measure"),
        condition=_text(table, "condition"),
        item=_text(table, "item"),
        judge=_text(table, "judge"),
        turn=_whole(table, "turn"),
        sample=_whole(table, "sample"),
        value=numbers["value"],
        value_low=numbers["value_low"],
        value_high=numbers["value_high"],
        weight=numbers["weight"],
        outcome=outcome,
        status=status,
        judge_kind=_judge_kind(table),
        censored=_flags(table, "censored"),
    )
    _check_consistent(columns)
    return columns


def _check_consistent(columns: Columns) -> None:
    if columns.status is not None:
        wrong = (columns.status != STATUSES.index("scored")) & ~np.isnan(columns.value)
        if wrong.any():
            raise FormatError(
                f"{int(wrong.sum())} rows carry a value although their status is not 'scored': "
                "a failure is never a number, leave the value null"
            )
    if columns.weight is not None and (wrong := columns.weight < 0).any():
        raise FormatError(f"{int(wrong.sum())} rows have a weight below 0: weights are sizes, such as bytes")
    if columns.value_low is not None and columns.value_high is not None:
        wrong = columns.value_low > columns.value_high
        if wrong.any():
            raise FormatError(f"{int(wrong.sum())} rows have value_low above value_high: write the lower bound first")


def text_column(table: pa.Table, name: str, *, nullable: bool = False) -> Text:
    """Return the text column ``name``; nulls are an error unless ``nullable``."""
    column = table.column(name)
    kind = column.type
    if pa.types.is_dictionary(kind):
        kind = kind.value_type
    if pa.types.is_null(kind) and nullable:
        return Text(np.full(len(column), MISSING, dtype=np.int32), ())
    if not (pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind)):
        raise FormatError(f"the column {name!r} holds {column.type}, it must hold text: write its values as strings")
    if not nullable and column.null_count:
        raise FormatError(f"the column {name!r} is null in {column.null_count} rows: every row needs one")
    if not pa.types.is_dictionary(column.type):
        column = column.cast(pa.string()).dictionary_encode()
    array = column.unify_dictionaries().combine_chunks()
    if isinstance(array, pa.ChunkedArray):
        array = array.chunk(0) if array.num_chunks else pa.array([], column.type)
    raw = pc.fill_null(array.indices.cast(pa.int32()), MISSING).to_numpy(zero_copy_only=False)
    return _canonical(raw, [label if label is not None else "" for label in array.dictionary.to_pylist()])


def _canonical(raw: Codes, labels: list[str]) -> Text:
    """Return codes into sorted labels, dropping labels that no row uses."""
    used = np.bincount(raw[raw != MISSING], minlength=len(labels)) > 0
    kept = sorted({label for label, present in zip(labels, used, strict=True) if present})
    place = {label: index for index, label in enumerate(kept)}
    mapping = np.array([place.get(label, MISSING) for label in labels] + [MISSING], dtype=np.int32)
    return Text(mapping[raw], tuple(kept))  # raw MISSING = -1 reads the last entry


def _text(table: pa.Table, name: str, *, nullable: bool = False) -> Text:
    default = TEXT_DEFAULTS.get(name)
    if default is None:
        return text_column(table, name, nullable=nullable)
    if name not in table.column_names:
        return Text(np.zeros(table.num_rows, dtype=np.int32), (default,))
    if table.column(name).null_count:
        filled = table.column(name).cast(pa.string()).fill_null(default)
        return text_column(pa.table({name: filled}), name)
    return text_column(table, name)


def _judge_kind(table: pa.Table) -> Text | None:
    """Return who judged, null where nobody did (``none``, as the judge of a likelihood is called)."""
    if "judge_kind" not in table.column_names:
        return None
    kinds = text_column(table, "judge_kind", nullable=True)
    unknown = [label for label in kinds.labels if label not in (*JUDGE_KINDS, NO_JUDGE)]
    if unknown:
        raise FormatError(
            f"the column 'judge_kind' holds {unknown[0]!r}, which is none of {', '.join(JUDGE_KINDS)}: "
            f"leave it null, or {NO_JUDGE!r}, where nobody judged"
        )
    nobody = kinds.labels.index(NO_JUDGE) if NO_JUDGE in kinds.labels else MISSING
    return _canonical(np.where(kinds.codes == nobody, MISSING, kinds.codes), list(kinds.labels))


def _number(table: pa.Table, name: str) -> Numbers | None:
    column = table.column(name)
    kind = column.type
    if pa.types.is_null(kind):
        return np.full(len(column), np.nan) if name == "value" else None
    if not (pa.types.is_floating(kind) or pa.types.is_integer(kind) or pa.types.is_boolean(kind)):
        raise FormatError(f"the column {name!r} holds {kind}, it must hold numbers: leave what has no score null")
    if name != "value" and column.null_count == len(column):
        return None
    column = column.cast(pa.uint8()) if pa.types.is_boolean(kind) else column
    column = pc.cast(column, pa.float64(), safe=False)  # whole numbers beyond 2^53 are rounded
    if column.null_count < len(column) and not pc.all(pc.is_finite(column), min_count=0).as_py():
        raise FormatError(
            f"the column {name!r} holds NaN or infinity: a failure is never a number, leave it null with a reason_code"
        )
    largest = pc.max(pc.abs(column)).as_py() or 0.0
    if largest > LARGEST_VALUE:
        raise FormatError(
            f"the column {name!r} holds {largest:g} in size: beyond {LARGEST_VALUE:g} no variance can be computed. "
            "Leave it null with a reason_code if it stands for a failure, or use another unit"
        )
    values: Numbers = column.to_numpy()
    return values


def _whole(table: pa.Table, name: str) -> Codes:
    """Return an integer column as offsets from its smallest value; absent or null means 0."""
    if name not in table.column_names or pa.types.is_null(table.column(name).type):
        return np.zeros(table.num_rows, dtype=np.int32)
    column = table.column(name)
    if not pa.types.is_integer(column.type):
        raise FormatError(f"the column {name!r} holds {column.type}, it must hold whole numbers counted from 0")
    values = pc.fill_null(column, 0).to_numpy().astype(np.int64)
    values = values - values.min()
    if values.max() >= 1 << 20:
        raise FormatError(f"the column {name!r} spans {values.max() + 1} numbers: count from 0 without gaps")
    whole: Codes = values.astype(np.int32)
    return whole


def _flags(table: pa.Table, name: str) -> NDArray[np.bool_] | None:
    """Return a column of truth values, null as false; ``None`` where it is absent or empty."""
    if name not in table.column_names or pa.types.is_null(table.column(name).type):
        return None
    column = table.column(name)
    if not pa.types.is_boolean(column.type):
        raise FormatError(f"the column {name!r} holds {column.type}, it must hold truth values")
    flags: NDArray[np.bool_] = pc.fill_null(column, False).cast(pa.uint8()).to_numpy().astype(np.bool_)
    return flags if flags.any() else None


def _closed(table: pa.Table, name: str, allowed: tuple[str, ...]) -> Codes | None:
    """Return codes into ``allowed`` (``MISSING`` where null), or ``None`` when the column is absent or empty."""
    if name not in table.column_names:
        return None
    text = text_column(table, name, nullable=True)
    unknown = [label for label in text.labels if label not in allowed]
    if unknown:
        raise FormatError(f"the column {name!r} holds {unknown[0]!r}, which is none of {', '.join(allowed)}")
    if not text.labels:
        return None
    mapping = np.array([allowed.index(label) for label in text.labels] + [MISSING], dtype=np.int32)
    return mapping[text.codes]
