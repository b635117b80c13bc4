"""Which format a file of texts has, as its name says, and its bytes as they are when unpacked."""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Iterator, Mapping
from pathlib import Path, PurePath
from typing import Any, Literal

from upbringing.base.errors import DataError

READ_BYTES = 1 << 18
FileFormat = Literal["jsonl", "parquet", "csv", "tsv", "txt"]
Packing = Literal["", ".gz", ".zst"]
# What a name ends in, the format that it says and how the file is packed.
LINE_SUFFIXES: Mapping[str, tuple[FileFormat, Packing]] = {
    ".jsonl": ("jsonl", ""),
    ".ndjson": ("jsonl", ""),
    ".jsonl.gz": ("jsonl", ".gz"),
    ".json.gz": ("jsonl", ".gz"),
    ".jsonl.zst": ("jsonl", ".zst"),
    ".json.zst": ("jsonl", ".zst"),
    ".parquet": ("parquet", ""),
}
# Files that often stand beside texts too: those of a folder are read only where somebody says so.
TABULAR_SUFFIXES: Mapping[str, tuple[FileFormat, Packing]] = {
    ".csv": ("csv", ""),
    ".csv.gz": ("csv", ".gz"),
    ".csv.zst": ("csv", ".zst"),
    ".tsv": ("tsv", ""),
    ".tsv.gz": ("tsv", ".gz"),
    ".tsv.zst": ("tsv", ".zst"),
    ".txt": ("txt", ""),
    ".txt.gz": ("txt", ".gz"),
    ".txt.zst": ("txt", ".zst"),
}
ALL_SUFFIXES = {**LINE_SUFFIXES, **TABULAR_SUFFIXES}


def suffix_of(name: str) -> str | None:
    """Return what ``name`` ends in, if that says a format."""
    return next((suffix for suffix in ALL_SUFFIXES if PurePath(name).name.lower().endswith(suffix)), None)


def named_format(name: str) -> FileFormat | None:
    """Return the format that the name of a file says, if it says one."""
    suffix = suffix_of(name)
    return None if suffix is None else ALL_SUFFIXES[suffix][0]


def unpacked(path: Path, name: str | None = None) -> Iterator[bytes]:
    """Yield the bytes of a file piece by piece, unpacked where its name says that it is packed.

    ``name``: what errors call it; ``None`` = its own. Raises ``DataError`` for a packed file that is torn or none.
    """
    size = 0
    try:
        with _opened(path) as handle:
            while chunk := handle.read(READ_BYTES):
                size += len(chunk)
                yield bytes(chunk)
    except _errors_of_packing(path) as error:
        if isinstance(error, OSError) and error.errno is not None:
            raise
        called = name or path.name
        raise DataError(f"{called} cannot be unpacked beyond {size} bytes ({error}): fetch it again") from None


def _packing(path: Path) -> Packing:
    return ".gz" if path.name.lower().endswith(".gz") else ".zst" if path.name.lower().endswith(".zst") else ""


def _opened(path: Path) -> Any:
    if _packing(path) == ".gz":
        return gzip.open(path, "rb")
    if not _packing(path):
        return path.open("rb")
    import pyarrow as pa

    return pa.CompressedInputStream(pa.OSFile(str(path), "rb"), "zstd")


def _errors_of_packing(path: Path) -> tuple[type[Exception], ...]:
    if _packing(path) != ".zst":
        return (EOFError, gzip.BadGzipFile, zlib.error)
    import pyarrow as pa

    return (pa.ArrowException, OSError)
