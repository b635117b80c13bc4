"""Answers with human scores that packages ship: to develop a judge on one half and to test it on the other.

They are a smoke test, not a calibration: they are not answers of the checkpoints under study.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Literal

from upbringing.base.errors import DataError
from upbringing.base.fingerprint import text_sha256
from upbringing.data.packages.fetch import members
from upbringing.data.packages.requests import csv_rows

REFUSAL_FILES = ("refusal", "refusal_extra")
Half = Literal["development", "locked"]


@dataclass(frozen=True)
class LabelledAnswer:
    """One answer as humans scored it.

    ``refused``: in the refusal files, else ``None``. ``harm``: mean human score in ``[0, 1]`` (0 harmless) in the harm
    files, else ``None``. ``half``: by a hash of the request, so that one request is never in both halves.
    """

    id: str
    area: str
    request: str
    answer: str
    half: Half
    refused: bool | None = None
    harm: float | None = None


def labelled_answers(packages: Path) -> tuple[LabelledAnswer, ...]:
    """Return all text rows with a human score, file by file; raises ``DataError`` for an unreadable score."""
    return parse_labelled_answers(members("judge_rows", packages))


def parse_labelled_answers(files: Mapping[str, str]) -> tuple[LabelledAnswer, ...]:
    """Return the labelled text rows of CSV ``files``, by path."""
    rows = []
    for path, text in files.items():
        area = PurePosixPath(path).stem
        for number, row in enumerate(csv_rows(text), start=1):
            if (row.get("data_type") or "text") == "text" and row.get("objective") and row.get("assistant_response"):
                rows.append(_labelled(area, number, row))
    return tuple(rows)


def half_of(request: str) -> Half:
    """Return the half of a request: the first bit of its hash, so nobody chose it."""
    return "locked" if int(text_sha256(request.strip().lower())[0], 16) >= 8 else "development"  # 8 = half of 16


def _labelled(area: str, number: int, row: dict[str, str]) -> LabelledAnswer:
    scores = [value for name, value in row.items() if name and name.startswith("human_score") and value]
    try:
        mean = sum(float(score) for score in scores) / len(scores)
    except (ValueError, ZeroDivisionError):
        raise DataError(f"row {number} of the judge rows {area!r} has no readable human score: {scores}") from None
    refusal = area in REFUSAL_FILES
    return LabelledAnswer(
        id=f"{area}/{number}",
        area=area,
        request=row["objective"],
        answer=row["assistant_response"],
        half=half_of(row["objective"]),
        refused=mean >= 0.5 if refusal else None,  # one rater says 0 or 1
        harm=None if refusal else mean,
    )
