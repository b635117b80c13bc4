"""Score a file of texts: each row comes out again with its score, what could not be scored is counted by reason."""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from itertools import islice
from pathlib import Path
from typing import Any

from upbringing.base.errors import DataError
from upbringing.base.files import TEMPORARY_PREFIX, fsync_folder, write_json_atomic
from upbringing.base.fingerprint import file_sha256
from upbringing.data.interventions.scores import HarmScore, Scorer
from upbringing.data.interventions.scoring.noisy import Noisy
from upbringing.lab.scoring.text_rows import (
    CONFIDENCE,
    LOWER_BOUND,
    REASON,
    SCORE,
    TEXT,
    TextRow,
    document_of,
    format_of,
    read_rows,
)

ROWS_AT_ONCE = 256
ADDED = (SCORE, REASON, CONFIDENCE, LOWER_BOUND)


@dataclass(frozen=True)
class ScoringSummary:
    """What scoring a file came to. ``histogram``: texts of score 0 to 5. ``unscored``: texts by reason code.
    ``noise``: of a noisy scorer, the texts that are ``unsafe``, are ``called_unsafe`` and are so ``rightly``.
    """

    scorer: str
    input_sha256: str
    rows: int
    histogram: tuple[int, ...]
    unscored: Mapping[str, int]
    lower_bounds: int
    noise: Mapping[str, int] | None = None


Write = Callable[[Sequence[Mapping[str, Any]]], None]


def score_file(
    path: Path,
    scorer: Scorer,
    output: Path,
    *,
    text_column: str = TEXT,
    on_progress: Callable[[int], None] = lambda rows: None,
) -> ScoringSummary:
    """Write the rows of ``path`` with their scores to ``output``, and the summary beside it (``OUTPUT.summary.json``).

    The output of a Parquet file is Parquet, of any other JSON Lines, by its name. It appears when it is whole. Raises
    ``DataError`` for rows that cannot be read or hold scores already.
    """
    suffix = ".parquet" if format_of(path) == "parquet" else ".jsonl"
    if output.suffix != suffix:
        raise DataError(
            f"{path.name} and {output.name} are of different formats: the scores of {path.name} are written to a file "
            f"that ends in {suffix}"
        )
    if output.exists():
        raise DataError(f"{output} exists: scores are never overwritten, name another file or move it away")
    counts: Counter[int] = Counter()
    unscored: Counter[str] = Counter()
    noise: Counter[str] = Counter()
    rows = lower_bounds = 0
    with _writer(path, output) as write:
        every = read_rows(path)
        while batch := list(islice(every, ROWS_AT_ONCE)):
            scores = scorer.score([document_of(row, path.stem, text_column) for row in batch])
            write([_scored(row, score) for row, score in zip(batch, scores, strict=True)])
            counts.update(score.score for score in scores if score.score is not None)
            unscored.update(reason_code(score) for score in scores if score.score is None)
            lower_bounds += sum(score.lower_bound for score in scores)
            noise.update(scorer.counts(scores) if isinstance(scorer, Noisy) else {})
            rows += len(batch)
            on_progress(rows)
    histogram = tuple(counts[score] for score in range(6))
    realised = dict(noise) if isinstance(scorer, Noisy) else None
    by_reason = dict(sorted(unscored.items()))
    summary = ScoringSummary(scorer.id, file_sha256(path), rows, histogram, by_reason, lower_bounds, realised)
    write_json_atomic(output.with_name(f"{output.name}.summary.json"), asdict(summary))
    return summary


def reason_code(score: HarmScore) -> str:
    """Return what of a reason can be counted: all before the first colon."""
    return score.reason.partition(":")[0]


def _scored(row: TextRow, score: HarmScore) -> dict[str, Any]:
    if taken := [name for name in ADDED if name in row.content]:
        raise DataError(f"{row.where} has a column {taken[0]!r} already: score the file without it")
    values = (score.score, score.reason, score.confidence, score.lower_bound)
    return {**row.content, **dict(zip(ADDED, values, strict=True))}


@contextmanager
def _writer(path: Path, output: Path) -> Iterator[Write]:
    """Give a function that appends rows to a temporary file, which takes its name when all went well."""
    temporary = output.with_name(f"{TEMPORARY_PREFIX}{os.getpid()}-{output.name}")
    opened = _parquet_writer if format_of(path) == "parquet" else _jsonl_writer
    try:
        with opened(path, temporary) as write:
            yield write
        temporary.replace(output)
        fsync_folder(output.parent)
    finally:
        temporary.unlink(missing_ok=True)


@contextmanager
def _jsonl_writer(path: Path, temporary: Path) -> Iterator[Write]:
    with temporary.open("wb") as handle:

        def write(rows: Sequence[Mapping[str, Any]]) -> None:
            handle.writelines(map(_line, rows))

        yield write
        handle.flush()
        os.fsync(handle.fileno())


def _line(row: Mapping[str, Any]) -> bytes:
    try:
        return f"{json.dumps(row, ensure_ascii=False)}\n".encode()
    except UnicodeEncodeError:  # half a surrogate pair in a column that is only carried along: escaped, as it came
        return f"{json.dumps(row)}\n".encode()


@contextmanager
def _parquet_writer(path: Path, temporary: Path) -> Iterator[Write]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        schema = pq.read_schema(path)
    except (pa.ArrowInvalid, OSError) as error:
        raise DataError(f"{path.name} is not a readable Parquet file: {error}") from None
    kinds = zip(ADDED, (pa.int8(), pa.string(), pa.float64(), pa.bool_()), strict=True)
    widened = pa.schema([*(field for field in schema if field.name not in ADDED), *(pa.field(*each) for each in kinds)])
    with pq.ParquetWriter(temporary, widened) as writer:

        def write(rows: Sequence[Mapping[str, Any]]) -> None:
            writer.write_table(pa.Table.from_pylist(list(rows), schema=widened))

        yield write
