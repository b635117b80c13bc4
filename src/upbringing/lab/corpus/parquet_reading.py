"""Rows of Parquet files and of record batches, the text as bytes, because its bytes may be no text."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from upbringing.base.errors import DataError
from upbringing.data.span_columns import COLUMNS as SPAN_COLUMNS
from upbringing.lab.corpus.recipe import CorpusRecipe
from upbringing.lab.corpus.units import parquet_file

ROWS_AT_ONCE = 256


def columns_to_read(recipe: CorpusRecipe, found: Sequence[str]) -> list[str]:
    """Return which of the ``found`` columns are read: those that are needed, and what says how a text is learned."""
    needed = recipe.needed_columns()
    return [*needed, *(column for column in SPAN_COLUMNS if column in found and column not in needed)]


def parquet_rows(path: str, file: str, recipe: CorpusRecipe, groups: range | None) -> Iterator[dict[str, Any]]:
    """Yield the needed columns of a Parquet file, the text as bytes. ``groups``: ``None`` = all row groups."""
    import pyarrow as pa

    opened = parquet_file(path, file)
    columns = columns_to_read(recipe, opened.schema_arrow.names)
    batches = opened.iter_batches(ROWS_AT_ONCE, row_groups=None if groups is None else list(groups), columns=columns)
    try:
        for batch in batches:
            yield from table_rows(batch, recipe)
    except (pa.ArrowException, OSError) as error:
        raise DataError(f"{file} cannot be read to its end: {error}") from None


def table_rows(batch: Any, recipe: CorpusRecipe) -> Iterator[dict[str, Any]]:
    """Yield the rows of a record batch, the text as bytes: its bytes may be no text."""
    import pyarrow as pa

    values = {}
    for name in columns_to_read(recipe, batch.schema.names):
        column = batch.column(name)
        if name == recipe.columns.text:
            decoded = column.dictionary_decode() if pa.types.is_dictionary(column.type) else column
            column = decoded.cast(pa.large_binary())
        values[name] = column.to_pylist()
    names = list(values)
    for row in zip(*values.values(), strict=True):
        yield dict(zip(names, row, strict=True))
