"""What a report is made of, read from a results folder; whatever is missing is empty, never invented."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from upbringing.base.errors import FormatError
from upbringing.formats.answers import read_answers
from upbringing.formats.findings import Findings, read_findings
from upbringing.formats.tree import Tree, read_tree


@dataclass(frozen=True)
class Inputs:
    """The files of a results folder. ``records``: one plain mapping per checkpoint, by id."""

    tree: Tree
    findings: Findings
    outcomes: dict[str, str]
    answers: pa.Table | None
    records: dict[str, dict[str, Any]]
    judges: tuple[str, ...]


def read_inputs(results: Path) -> Inputs:
    """Read ``results``; raises ``FormatError`` if there is no tree, or a file is not what it should be."""
    if not (results / "tree.json").exists():
        raise FormatError(f"{results} holds no tree.json: name the results folder of a study")
    findings_path = results / "findings.json"
    answers_folder = results / "answers"
    rows_path = results / "rows.parquet"
    outcomes, judges = _outcomes(rows_path) if rows_path.exists() else ({}, ())
    return Inputs(
        tree=read_tree(results / "tree.json"),
        findings=read_findings(findings_path) if findings_path.exists() else Findings(),
        outcomes=outcomes,
        answers=read_answers(answers_folder) if answers_folder.is_dir() else None,
        records=_records(results / "records"),
        judges=judges,
    )


def _outcomes(path: Path) -> tuple[dict[str, str], tuple[str, ...]]:
    """Return each response's outcome under the first judge, and the names of all judges."""
    table = pq.read_table(path)
    names = set(table.column_names)
    judges = tuple(sorted(set(table["judge"].to_pylist()) - {"none"})) if "judge" in names else ()
    if not {"response", "outcome", "judge"} <= names or not judges:
        return {}, judges
    found: dict[str, str] = {}
    columns = (table[name].to_pylist() for name in ("response", "outcome", "judge"))
    for response, outcome, judge in zip(*columns, strict=True):
        if response is not None and judge == judges[0]:
            found.setdefault(response, outcome or "unscored")
    return found, judges


def _records(folder: Path) -> dict[str, dict[str, Any]]:
    records = {}
    for path in sorted(folder.glob("*.json")) if folder.is_dir() else ():
        try:
            content = json.loads(path.read_bytes())
        except ValueError:
            raise FormatError(f"{path.name} is not JSON: it is torn") from None
        if isinstance(content, dict):
            records[str(content.get("id", path.stem))] = content
    return records
