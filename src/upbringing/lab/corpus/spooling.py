"""Inputs that cannot be read from the middle (packed files, CSV, data sets), unpacked into lines of JSON first.

The unpacked lines lie in the work folder until the run is done. A folder of them is whole or not there.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from upbringing.base.errors import DataError, MissingExtraError
from upbringing.base.faults import fault_point
from upbringing.base.files import disk_error, fsync_folder, remove_tree
from upbringing.data.file_formats import unpacked
from upbringing.lab.corpus.parquet_reading import ROWS_AT_ONCE, columns_to_read, parquet_rows, table_rows
from upbringing.lab.corpus.recipe import CorpusRecipe, HubDataset, SavedDataset
from upbringing.lab.corpus.streaming import stream_into
from upbringing.lab.corpus.tabular import encoded_row, tabular_lines
from upbringing.lab.corpus.units import SourceFile, check_columns

LINES_NAME = "lines.jsonl"


def spool_file(source: SourceFile, recipe: CorpusRecipe, folder: Path) -> Path:
    """Unpack ``source`` into ``folder`` unless that is done, and return the file of lines."""
    if source.kind == "parquet":
        rows = parquet_rows(source.path, source.name, recipe, None)
        return _spooled(map(encoded_row, rows), folder)
    if source.kind.startswith(("csv", "txt")):
        return _spooled(tabular_lines(source, recipe), folder)
    return _spooled(unpacked(Path(source.path), source.name), folder)


def spool_saved(source: SavedDataset, path: Path, recipe: CorpusRecipe, folder: Path) -> Path:
    """Unpack a saved data set."""
    datasets = _datasets()
    try:
        found = datasets.load_from_disk(str(path))
    except (OSError, ValueError) as error:
        raise DataError(f"input: {source.path} is no folder that datasets saved: {error}") from None
    if isinstance(found, datasets.DatasetDict):
        if source.split not in found:
            raise DataError(f"input: {source.path} has the splits {', '.join(found)}: name one as split")
        found = found[source.split]
    check_columns(found.column_names, recipe, source.path)
    table = found.select_columns(columns_to_read(recipe, found.column_names)).with_format("arrow")
    batches = (batch for each in table.iter(ROWS_AT_ONCE) for batch in each.to_batches())
    return _spooled((encoded_row(row) for batch in batches for row in table_rows(batch, recipe)), folder)


def spool_hub(source: HubDataset, recipe: CorpusRecipe, folder: Path) -> Path:
    """Stream a data set of a hub into lines; one that was interrupted goes on where it was."""
    if (folder / LINES_NAME).exists():
        return folder / LINES_NAME
    datasets = _datasets()
    try:
        found = datasets.load_dataset(
            source.name, source.config, split=source.split, revision=source.revision, streaming=True
        )
    except (OSError, ValueError) as error:
        raise DataError(f"input: cannot stream {source.name} at {source.revision}: {error}") from None
    if found.column_names is not None:
        check_columns(found.column_names, recipe, source.name)
    return stream_into(found, source, recipe, folder / LINES_NAME, datasets.__version__)


def _datasets() -> Any:
    try:
        import datasets
    except ImportError as error:
        raise MissingExtraError("data sets need the package datasets: pip install 'upbringing[corpus]'") from error
    return datasets


def _spooled(chunks: Iterable[bytes], folder: Path) -> Path:
    done = folder / LINES_NAME
    if done.exists():
        return done
    if folder.exists():
        remove_tree(folder)
    folder.mkdir(parents=True)
    unfinished = folder / f".partial-{LINES_NAME}"
    try:
        with unfinished.open("wb") as handle:
            handle.writelines(chunks)
            handle.flush()
            os.fsync(handle.fileno())
        fault_point(f"rename {LINES_NAME}")
    except OSError as error:
        unfinished.unlink(missing_ok=True)
        raise disk_error(error, done) from error
    unfinished.replace(done)
    fsync_folder(folder)
    return done
