"""Searched suffixes on disk: beside the rows of a measurement, and beside the answers of a study."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from upbringing.base.errors import IntegrityError
from upbringing.base.files import write_json_atomic
from upbringing.battery.searching import SearchRecord

SEARCHED_NAME = "searched.json"


def write_searched(records: Sequence[SearchRecord], checkpoint: str, folder: Path) -> None:
    """Write what was searched on ``checkpoint`` into the folder of its measurement; nothing where nothing was."""
    if records:
        write_json_atomic(folder / SEARCHED_NAME, [{"checkpoint": checkpoint, **asdict(each)} for each in records])


def gather_searched(measurements: Sequence[Path], folder: Path) -> None:
    """Write what all ``measurements`` (folders) searched into ``folder``; nothing where none did."""
    found = [line for each in measurements for line in _read(each / SEARCHED_NAME)]
    if found:
        write_json_atomic(folder / SEARCHED_NAME, found)


def _read(path: Path) -> list[dict[str, Any]]:
    if not path.exists():
        return []
    try:
        found: list[dict[str, Any]] = json.loads(path.read_bytes())
    except (OSError, ValueError) as error:
        raise IntegrityError(f"{path} cannot be read ({type(error).__name__})") from error
    return found
