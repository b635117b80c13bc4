"""Tables as CSV: numbers stay numbers, and no text can become a formula of a spreadsheet."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from upbringing.attribution.statistics.adjusted_intervals import Together, simultaneous_intervals
from upbringing.base.spreadsheets import starts_formula
from upbringing.formats.findings import Claim
from upbringing.reporting.depths import area_tables
from upbringing.reporting.fidelity import fidelity_table
from upbringing.reporting.inputs import Inputs
from upbringing.reporting.trade_off import trade_off_tables
from upbringing.reporting.words import shown

Line = Mapping[str, Any]

FLATTENED = ("units", "flips")  # small fixed mappings become columns of their own; other nested values are JSON


def csv_text(lines: Sequence[Line]) -> str:
    """Return the lines as CSV; the columns are all keys in the order of their first use."""
    columns = list(dict.fromkeys(name for line in lines for name in line))
    written = io.StringIO()
    writer = csv.writer(written, lineterminator="\n")
    writer.writerow([_cell(name) for name in columns])
    writer.writerows([_cell(line.get(name)) for name in columns] for line in lines)
    return written.getvalue()


def _cell(value: object) -> str:
    """Return a value as it stands in the file: nothing for ``None`` and what is empty, no text that computes."""
    if value is None or value in ([], {}):
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return repr(value)
    if isinstance(value, str):
        return safe_text(value)
    return safe_text(json.dumps(value, ensure_ascii=False, default=str))


def safe_text(text: str) -> str:
    """Return ``text`` with control characters visible, and quoted by ``'`` where it would start a formula."""
    return ("'" if starts_formula(text) else "") + shown(text)


def tables_of(inputs: Inputs) -> dict[str, list[Line]]:
    """Return all tables by name: claims, conclusions, those of the findings, of the tree, then of pictures."""
    findings, tree = inputs.findings, inputs.tree
    together = simultaneous_intervals(findings.claims)
    found: dict[str, list[Line]] = {
        "claims": [claim_line(claim, together.get(claim.id)) for claim in findings.claims],
        "conclusions": [each.model_dump(mode="json") for each in findings.conclusions],
    }
    for name, rows in findings.tables.items():
        lines = [row for row in rows if isinstance(row, dict)] if isinstance(rows, list) else []
        found[name if name not in found else f"table-{name}"] = [_flat(line) for line in lines]
    for name, models in (("checkpoints", tree.checkpoints), ("cells", tree.cells), ("gates", tree.gates)):
        found[name if name not in found else f"tree-{name}"] = [each.model_dump(mode="json") for each in models]
    pictures = {**trade_off_tables(inputs), "fidelity_pairs": fidelity_table(inputs), **area_tables(inputs)}
    for name, lines in pictures.items():
        found[name if name not in found else f"report-{name}"] = list(lines)
    return {name: lines for name, lines in found.items() if lines}


def claim_line(claim: Claim, together: Together | None = None) -> Line:
    """Return a claim as one line, units and flips in columns of their own.

    ``together``: its interval that holds together with those of its family, in two columns more.
    """
    ends = {} if together is None else {"simultaneous_low": together.low, "simultaneous_high": together.high}
    return {**_flat(claim.model_dump(mode="json")), **ends}


def _flat(line: Line) -> Line:
    return dict(_pairs(line))


def _pairs(line: Line) -> Iterable[tuple[str, Any]]:
    for name, value in line.items():
        if name in FLATTENED and isinstance(value, dict):
            yield from ((f"{name}_{part}", each) for part, each in value.items())
        else:
            yield name, value
