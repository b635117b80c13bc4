"""Draw texts to be labelled anew: a blinded sample of each score with known chances, which shows its precision."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import numpy as np

from upbringing.base.errors import DataError
from upbringing.base.files import write_bytes_atomic, write_json_atomic
from upbringing.base.fingerprint import file_sha256, text_sha256
from upbringing.base.streams import stream
from upbringing.battery.labels import safe_cell
from upbringing.lab.scoring.text_rows import TEXT, document_of, read_rows, score_of

SAMPLE_NAME = "sample.json"
SHEET_NAME = "sheet"
COLUMNS = ("audit_id", "text", "label")
UNSCORED = "unscored"
PER_SCORE = 50


@dataclass
class _Reservoir:
    """A simple random sample of a stream, of fixed size. Source: Vitter 1985, algorithm R. Departures: none."""

    size: int
    random: np.random.Generator
    seen: int = 0
    kept: list[str] = field(default_factory=list)

    def offer(self, text: str) -> None:
        """Keep ``text`` with the chance that all before it had."""
        self.seen += 1
        if len(self.kept) < self.size:
            self.kept.append(text)
        elif (place := int(self.random.integers(self.seen))) < self.size:
            self.kept[place] = text


@dataclass(frozen=True)
class DrawnText:
    """One text of the sample. ``audit_id`` is all that raters see of where it comes from."""

    audit_id: str
    stratum: str
    text: str


def draw_audit(
    path: Path,
    folder: Path,
    *,
    per_score: int = PER_SCORE,
    seed: int = 0,
    sheet_format: Literal["csv", "jsonl"] = "csv",
    text_column: str = TEXT,
) -> Path:
    """Draw up to ``per_score`` texts of each score, and of the unscored, and return the sheet to be filled in.

    The sheet tells no score; ``sample.json`` beside it does, with the size of each stratum. Spreadsheets cut cells of
    more than 32,767 characters: take ``jsonl`` for longer texts. Streams: ``audit/<stratum>`` and ``audit/order``.
    """
    if per_score < 1:
        raise DataError(f"per_score is {per_score}: draw one text or more of each score")
    if folder.exists():
        raise DataError(f"{folder} exists: sheets that people work on are never overwritten, name another folder")
    reservoirs: dict[str, _Reservoir] = {}
    for row in read_rows(path):
        score = score_of(row).score
        stratum = UNSCORED if score is None else str(score)
        if stratum not in reservoirs:
            reservoirs[stratum] = _Reservoir(per_score, stream(seed, "audit", stratum))
        reservoirs[stratum].offer(document_of(row, path.stem, text_column).text)
    drawn = _in_order(reservoirs, seed)
    strata = {name: {"corpus": each.seen, "drawn": len(each.kept)} for name, each in sorted(reservoirs.items())}
    folder.mkdir(parents=True)
    sheet = folder / f"{SHEET_NAME}.{sheet_format}"
    write_bytes_atomic(sheet, _csv_sheet(drawn) if sheet_format == "csv" else _jsonl_sheet(drawn))
    content = {
        "corpus_sha256": file_sha256(path),
        "per_score": per_score,
        "seed": seed,
        "strata": strata,
        "drawn": [_entry(each, strata) for each in drawn],
    }
    write_json_atomic(folder / SAMPLE_NAME, content)
    return sheet


def _in_order(reservoirs: dict[str, _Reservoir], seed: int) -> list[DrawnText]:
    """Return all kept texts in an order and with names that tell nothing of their score."""
    every = [(name, text) for name, each in sorted(reservoirs.items()) for text in each.kept]
    order = stream(seed, "audit", "order").permutation(len(every))
    width = len(str(len(every)))
    return [DrawnText(f"{number:0{width}d}", *every[int(place)]) for number, place in enumerate(order, start=1)]


def _entry(drawn: DrawnText, strata: dict[str, dict[str, int]]) -> dict[str, object]:
    sizes = strata[drawn.stratum]
    return {
        "audit_id": drawn.audit_id,
        "stratum": drawn.stratum,
        "probability": sizes["drawn"] / sizes["corpus"],
        "text_sha256": text_sha256(drawn.text),
    }


def _csv_sheet(drawn: Sequence[DrawnText]) -> bytes:
    buffer = io.StringIO(newline="")
    writer = csv.writer(buffer, lineterminator="\r\n")
    writer.writerow(COLUMNS)
    writer.writerows([each.audit_id, safe_cell(each.text), ""] for each in drawn)
    return ("\ufeff" + buffer.getvalue()).encode("utf-8")  # the mark makes spreadsheets read UTF-8


def _jsonl_sheet(drawn: Sequence[DrawnText]) -> bytes:
    rows = ({"audit_id": each.audit_id, "text": each.text, "label": None} for each in drawn)
    return "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows).encode("utf-8")
