"""Refusal directions: whether one that grew does more to refusals, a line per contrast that was asked."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from upbringing.reporting.deciding import number
from upbringing.reporting.differences import anchor_of
from upbringing.reporting.inputs import Inputs
from upbringing.reporting.words import DASH, interval, signed

NEEDED = {"contrast", "level", "verdict", "sentence", "claims"}
PARTS = ("growth", "removed", "brought")
WORDS = {
    "supported": "grew with it",
    "refuted": "did not grow with it",
    "not-decided": "not decided",
    "void": "void: nothing moved it",
}
NAMED = ("supported", "refuted")  # said in words above the table; what is open stands in the table alone


@dataclass(frozen=True)
class DirectionLine:
    """One contrast. ``parts``: (text, place in the page) of length, taking out and adding; no place without a claim."""

    contrast: str
    sentence: str
    verdict: str
    is_named: bool
    level: str
    parts: tuple[tuple[str, str], ...]


def directions_of(inputs: Inputs) -> tuple[DirectionLine, ...]:
    """Return the table ``direction`` of the findings, what was declared or decided first; empty without directions."""
    rows = inputs.findings.tables.get("direction", [])
    whole = [row for row in rows if isinstance(row, dict) and row.keys() >= NEEDED and str(row["verdict"]) in WORDS]
    order = list(WORDS)
    whole.sort(key=lambda row: (row.get("role") != "primary", order.index(str(row["verdict"]))))
    anchors = {claim.id: anchor_of(claim) for claim in inputs.findings.claims}
    is_named = len({str(row.get("steering")) for row in whole}) > 1
    return tuple(_line(row, anchors, f" ({row.get('steering')})" if is_named else "") for row in whole)


def _line(row: Mapping[str, Any], anchors: Mapping[str, str], by: str) -> DirectionLine:
    claims = row["claims"] if isinstance(row["claims"], dict) else {}
    verdict = str(row["verdict"])
    return DirectionLine(
        contrast=str(row["contrast"]) + by,
        sentence=str(row["sentence"]) + by,
        verdict=WORDS[verdict],
        is_named=row.get("role") == "primary" or verdict in NAMED,
        level=str(row["level"]),
        parts=tuple((_number(row, part), anchors.get(str(claims.get(part)), "")) for part in PARTS),
    )


def _number(row: Mapping[str, Any], part: str) -> str:
    value, low, high = (number(row.get(f"{part}{end}")) for end in ("", "_low", "_high"))
    return DASH if value is None else f"{signed(value)} {interval(low, high)}".strip()
