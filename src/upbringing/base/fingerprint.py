"""Fingerprints: one canonical text per value, and its sha256.

Two values have one fingerprint exactly when they mean the same. Types are normalised first, because in
Python ``1 == 1.0 == True``: integers, floats and booleans never collide, and a float keeps its exact
shortest decimal form.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pydantic import BaseModel

DIGEST_CHARACTERS = 64
CHUNK_BYTES = 1 << 20


def canonical(value: Any) -> Any:
    """Return ``value`` as plain JSON values in which every type stays distinguishable.

    Raises ``TypeError`` for values without a canonical form (sets, functions, NaN).
    """
    if value is None or isinstance(value, bool | str | int):
        return value
    if isinstance(value, float):
        if not math.isfinite(value):
            raise TypeError(f"cannot fingerprint the non-finite number {value!r}")
        return {"float": repr(value)}
    if isinstance(value, BaseModel):
        return canonical(value.model_dump(mode="python"))
    if isinstance(value, Mapping):
        if not all(isinstance(key, str) for key in value):
            raise TypeError("cannot fingerprint a mapping whose keys are not text")
        return {key: canonical(item) for key, item in value.items()}
    if isinstance(value, Path):
        raise TypeError("paths never enter a fingerprint: hash the bytes behind them")
    if isinstance(value, Sequence) and not isinstance(value, bytes | bytearray):
        return [canonical(item) for item in value]
    raise TypeError(f"cannot fingerprint a {type(value).__name__}")


def canonical_json(value: Any) -> str:
    """Return the canonical JSON text of ``value``: sorted keys, no spaces, UTF-8 kept."""
    return json.dumps(canonical(value), sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def fingerprint(value: Any) -> str:
    """Return the sha256 (64 hexadecimal characters) of the canonical JSON of ``value``."""
    return hashlib.sha256(canonical_json(value).encode("utf-8")).hexdigest()


def text_sha256(text: str) -> str:
    """Return the sha256 of ``text`` encoded as UTF-8."""
    return hashlib.sha256(text.encode("utf-8")).hexdigest()


def file_sha256(path: Path) -> str:
    """Return the sha256 of a file's bytes, read in chunks."""
    digest = hashlib.sha256()
    with path.open("rb") as handle:
        while chunk := handle.read(CHUNK_BYTES):
            digest.update(chunk)
    return digest.hexdigest()
