"""What a report is made of, read from a results folder; whatever is missing is empty, never invented."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from upbringing.attribution.evidence.flat import tree_of_flat_table, with_cells
from upbringing.base.errors import FormatError
from upbringing.formats.answers import read_answers
from upbringing.formats.findings import Findings, read_findings
from upbringing.formats.measure_labels import measure_labels
from upbringing.formats.tree import MeasureInfo, Tree, read_tree

DEFAULT_HEADLINE_SPLIT = "held-out-item"
TRAINED_SPLIT = "trained"


@dataclass(frozen=True)
class Inputs:
    """The files of a results folder. ``records``: one plain mapping per checkpoint, by id."""

    tree: Tree
    findings: Findings
    rows: pa.Table | None
    answers: pa.Table | None
    records: dict[str, dict[str, Any]]

    def measure(self, name: str) -> MeasureInfo:
        """Return how ``name`` is to be read; one that the tree does not list is neutral."""
        return next((info for info in self.tree.measures if info.id == name), MeasureInfo(id=name, unit=""))

    def label(self, name: str) -> str:
        """Return the measure's name for people."""
        label = measure_labels(self.tree.measures).get(name, name)
        return label.replace("_", " ") if label == name else label

    def headline_splits(self, measure: str) -> tuple[str | None, ...]:
        """Return the splits that may stand for ``measure``, best first; ``None`` = all items.

        Those of its primary claims, then of all primary claims, then the one that training never touched.
        """
        primary = [claim for claim in self.findings.claims if claim.role == "primary"]
        own = [claim.split for claim in primary if claim.measure == measure]
        return tuple(dict.fromkeys((*own, *(claim.split for claim in primary), DEFAULT_HEADLINE_SPLIT)))

    def level_rows(self) -> list[dict[str, Any]]:
        """Return the table of levels of the findings, as far as its lines are whole."""
        rows = self.findings.tables.get("levels", [])
        return [row for row in rows if isinstance(row, dict) and {"cell", "measure"} <= row.keys()]


def read_inputs(results: Path) -> Inputs:
    """Read ``results``; raises ``FormatError`` if there is no tree, or a file is not what it should be."""
    rows_path, tree_path = results / "rows.parquet", results / "tree.json"
    findings_path, answers_folder = results / "findings.json", results / "answers"
    rows = _rows(rows_path) if rows_path.exists() else None
    if not tree_path.exists() and (rows is None or "parent" not in rows.column_names):
        raise FormatError(
            f"{results} holds no tree.json, and no column 'parent' of its rows says how checkpoints came from each "
            "other: add one of them (docs/formats.md), or name the results folder of a study"
        )
    tree = read_tree(tree_path) if tree_path.exists() else tree_of_flat_table(rows)
    return Inputs(
        tree=with_cells(tree),
        findings=read_findings(findings_path) if findings_path.exists() else Findings(),
        rows=rows,
        answers=read_answers(answers_folder) if answers_folder.is_dir() else None,
        records=_records(results / "records"),
    )


def _rows(path: Path) -> pa.Table:
    try:
        return pq.read_table(path)
    except (pa.ArrowInvalid, OSError) as error:
        raise FormatError(f"{path.name} is not a readable Parquet file: {error}") from None


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
