"""The harmful requests that packages hold, parsed: nothing of them is stored by this project."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from upbringing.base.errors import DataError
from upbringing.base.strict_yaml import parse_yaml
from upbringing.data.packages.fetch import members

OWN_SOURCE = "custom"  # what StrongREJECT calls the rows that its authors wrote
STANDARD = "standard"  # HarmBench rows without context and copyright


@dataclass(frozen=True)
class Request:
    """One harmful request. ``family``: the category its set gives it; ``source``: where the set took it from."""

    id: str
    text: str
    family: str | None = None
    source: str | None = None


def do_not_answer(packages: Path) -> tuple[Request, ...]:
    """Return the Do-Not-Answer requests, area by area in the package's order."""
    return parse_do_not_answer(members("do_not_answer", packages))


def parse_do_not_answer(files: Mapping[str, str]) -> tuple[Request, ...]:
    """Return the requests in JSON Lines ``files``, by path; raises ``DataError`` naming path and row."""
    requests = []
    for path, text in files.items():
        area = PurePosixPath(path).stem
        for number, line in enumerate(text.splitlines(), start=1):
            prompt = _field(_json(line, path, number), "prompt", path, number)
            requests.append(Request(f"do-not-answer/{area}/{number}", prompt, area))
    return tuple(requests)


def harmbench(packages: Path) -> tuple[Request, ...]:
    """Return the 200 standard behaviours of HarmBench."""
    (text,) = members("harmbench", packages).values()
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return tuple(Request(f"harmbench/{number}", line) for number, line in enumerate(lines, start=1))


def harmbench_split(packages: Path, part: str) -> tuple[Request, ...]:
    """Return the standard behaviours of HarmBench's ``test`` or ``val`` file with their categories."""
    found = [(path, text) for path, text in members("harmbench_splits", packages).items() if f"_{part}." in path]
    if not found:
        raise DataError(f"HarmBench has the parts test and val, not {part!r}")
    path, text = found[0]
    rows = csv_rows(text)
    return tuple(
        Request(f"harmbench-{part}/{number}", _field(row, "Behavior", path, number), row.get("SemanticCategory"))
        for number, row in enumerate(rows, start=1)
        if row.get("FunctionalCategory") == STANDARD
    )


def strong_reject(packages: Path) -> tuple[Request, ...]:
    """Return all StrongREJECT requests; ``source`` tells the authors' own (``custom``) from borrowed ones."""
    return parse_strong_reject(members("strong_reject", packages))


def parse_strong_reject(files: Mapping[str, str]) -> tuple[Request, ...]:
    """Return the requests of the one CSV file in ``files``; raises ``DataError`` naming path and row."""
    ((path, text),) = files.items()
    return tuple(
        Request(
            f"strong-reject/{number}",
            _field(row, "forbidden_prompt", path, number),
            row.get("category"),
            row.get("source"),
        )
        for number, row in enumerate(csv_rows(text), start=1)
    )


def adv_bench(packages: Path) -> tuple[Request, ...]:
    """Return the AdvBench behaviours: asked nowhere, held against the others to find what was borrowed from it."""
    return parse_adv_bench(members("adv_bench", packages))


def parse_adv_bench(files: Mapping[str, str]) -> tuple[Request, ...]:
    """Return the behaviours of the one YAML file in ``files``; raises ``DataError`` for another form."""
    ((path, text),) = files.items()
    content = parse_yaml(text, name=PurePosixPath(path).name).value
    seeds = content.get("seeds") if isinstance(content, dict) else None
    if not isinstance(seeds, list) or not seeds:
        raise DataError(f"{path} holds no list of seeds: the package is not the one this project was checked with")
    return tuple(
        Request(f"adv-bench/{number}", _field(seed, "value", path, number), source="AdvBench")
        for number, seed in enumerate(seeds, start=1)
    )


def csv_rows(text: str) -> list[dict[str, str]]:
    """Return the rows of a CSV file; comment lines before its header are left out."""
    lines = text.splitlines(keepends=True)
    first = next((index for index, line in enumerate(lines) if not line.startswith("#")), 0)
    return list(csv.DictReader(io.StringIO("".join(lines[first:]))))


def _json(line: str, path: str, number: int) -> Any:
    try:
        return json.loads(line)
    except ValueError as error:
        raise DataError(f"{path} row {number} is not JSON: {error}") from None


def _field(row: Any, name: str, path: str, number: int) -> str:
    value = row.get(name) if isinstance(row, dict) else None
    if not isinstance(value, str) or not value.strip():
        raise DataError(f"{path} row {number} has no text in {name!r}: is it another version than the pinned one?")
    return value.strip()
