"""What a log of another harness says, in one form: logs of samples of scores, before they become rows."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from upbringing.base.errors import FormatError

MAX_FILES = 10_000
MAX_FILE_BYTES = 2 << 30  # a log is read into memory whole
MAX_SAMPLES = 10_000_000  # that a log may say it should hold
MAX_NAME_CHARACTERS = 512

UNREADABLE = "unreadable-value"
NOT_A_NUMBER = "not-a-number"
NOT_ONE_NUMBER = "not-one-number"
NO_SCORE = "no-score"
NOT_RUN = "not-run"
SAMPLE_ERROR = "sample-error"


@dataclass(frozen=True, kw_only=True)
class ForeignScore:
    """One score. ``value`` ``None`` = unscored, and then ``reason_code`` says why. ``weight``: bytes, for ratios."""

    value: float | None
    reason_code: str | None = None
    weight: float | None = None


@dataclass(frozen=True, kw_only=True)
class ForeignSample:
    """One answer of one model with all its scores, by measure.

    ``question_sha256`` is of the item as the harness holds it, ``prompt_sha256`` of the text that the model was
    asked; ``None`` where the log does not say. ``reason_code``: why nothing of the sample could be scored.
    """

    item: str
    sample: int = 0
    cluster: str | None = None
    question_sha256: str | None = None
    prompt_sha256: str | None = None
    response_sha256: str | None = None
    scores: Mapping[str, ForeignScore] = field(default_factory=dict)
    reason_code: str | None = None


@dataclass(frozen=True, kw_only=True)
class ForeignMeasure:
    """What a log says of how a measure is read. ``judge``: the scorer, ``None`` where nobody judges.

    ``judge_kind``: ``llm`` where the log says that a model grades, ``None`` where it does not say.
    """

    judge: str | None = None
    judge_kind: Literal["llm"] | None = None
    higher_is_better: bool | None = None
    is_bits_per_byte: bool = False


@dataclass(frozen=True, kw_only=True)
class ForeignLog:
    """One run of one model on one task. ``settings``: what else could move a score, compared between models."""

    name: str
    model: str
    task: str
    version: str
    settings: Mapping[str, str]
    samples: tuple[ForeignSample, ...]
    measures: Mapping[str, ForeignMeasure]
    warnings: tuple[str, ...] = ()


def number_score(value: object) -> ForeignScore:
    """Return the score of a plain number or truth value; anything else, NaN and infinity are unscored."""
    if value is None:
        return ForeignScore(value=None, reason_code=NO_SCORE)
    if not isinstance(value, bool | int | float):
        code = NOT_ONE_NUMBER if isinstance(value, list | tuple | dict) else UNREADABLE
        return ForeignScore(value=None, reason_code=code)
    try:
        number = float(value)
    except OverflowError:
        number = math.inf
    return ForeignScore(value=number) if math.isfinite(number) else ForeignScore(value=None, reason_code=NOT_A_NUMBER)


def identifier(value: object, what: str) -> str:
    """Return an id or name out of a log as text; raise ``FormatError`` saying ``what`` is wrong."""
    if isinstance(value, bool) or not isinstance(value, str | int) or value == "":
        raise FormatError(f"{what} must be a text or a whole number, found {shown(value)}")
    text = str(value)
    if len(text) > MAX_NAME_CHARACTERS:
        raise FormatError(f"{what} is longer than {MAX_NAME_CHARACTERS} characters: {shown(text)}")
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        raise FormatError(f"{what} is not valid text: {shown(text)}") from None
    return text


def cluster_of(metadata: Mapping[str, object], key: str | None, what: str) -> str | None:
    """Return the cluster that a sample's metadata names under ``key``; ``None`` where no key was asked for."""
    if key is None:
        return None
    if key not in metadata:
        raise FormatError(f"{what} has no {key!r} to cluster by: correct 'cluster', or leave it out to use the ids")
    return identifier(metadata[key], f"{key!r} of {what}")


def content_sha256(value: object) -> str:
    """Return the hash of plain JSON values out of a log, whatever they hold (NaN, half a character)."""
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode("ascii")).hexdigest()


def shown(value: object) -> str:
    """Return ``value`` short enough for one line of an error."""
    text = repr(value)
    return text if len(text) <= 80 else f"{text[:77]}..."


def checked_files(paths: Iterable[Path]) -> list[Path]:
    """Return the files, sorted; raise ``FormatError`` for links, special files, too many and too large ones."""
    files = sorted(paths)
    if len(files) > MAX_FILES:
        raise FormatError(f"{len(files)} log files were found, at most {MAX_FILES} are read: name a smaller folder")
    for path in files:
        if path.is_symlink() or not path.is_file():
            raise FormatError(f"{path} is not a regular file: copy the log itself to this place")
        size = path.stat().st_size
        if size > MAX_FILE_BYTES:
            raise FormatError(f"{path.name} has {size} bytes, at most {MAX_FILE_BYTES} are read: split the log")
    return files
