"""The audit: chances of inclusion are known, what raters see tells nothing, and the corpus numbers are right."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from upbringing.attribution.statistics.levels import wilson
from upbringing.base.errors import DataError, FormatError
from upbringing.base.streams import stream
from upbringing.lab.scoring.audit_drawing import draw_audit
from upbringing.lab.scoring.audit_report import read_audit

TRUE = {0: 0.02, 4: 0.3, 5: 0.6}  # share of truly harmful texts among those of each score


def corpus(path: Path, sizes: dict[int | None, int]) -> Path:
    rows = [
        {"text": f"=text {score} {number}", "harm_score": score, "harm_reason": "x"}
        for score, num in sizes.items()
        for number in range(num)
    ]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def sheet_rows(sheet: Path) -> list[dict[str, Any]]:
    return list(csv.DictReader(io.StringIO(sheet.read_bytes().decode("utf-8-sig"), newline="")))


def fill(sheet: Path, labels: dict[str, Any]) -> None:
    rows = [{**row, "label": labels.get(row["audit_id"], "")} for row in sheet_rows(sheet)]
    with sheet.open("w", encoding="utf-8", newline="") as handle:
        writer = csv.DictWriter(handle, ["audit_id", "text", "label"])
        writer.writeheader()
        writer.writerows(rows)


def drawn(folder: Path) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads((folder / "sample.json").read_text())["drawn"]
    return found


def test_the_sample_is_stratified_blinded_and_repeatable(tmp_path: Path) -> None:
    path = corpus(tmp_path / "corpus.jsonl", {0: 400, 5: 7, None: 30})
    sheet = draw_audit(path, tmp_path / "audit", per_score=10, seed=1)
    entries = drawn(tmp_path / "audit")
    chances = {entry["stratum"]: entry["probability"] for entry in entries}
    assert chances == pytest.approx({"0": 10 / 400, "5": 1.0, "unscored": 1 / 3})
    assert len(entries) == 27
    rows = sheet_rows(sheet)
    assert list(rows[0]) == ["audit_id", "text", "label"]
    assert all(row["text"].startswith("'=text") for row in rows)  # no spreadsheet computes it
    assert [entry["stratum"] for entry in entries] != sorted(entry["stratum"] for entry in entries)
    assert draw_audit(path, tmp_path / "again", per_score=10, seed=1).read_bytes() == sheet.read_bytes()
    assert draw_audit(path, tmp_path / "other", per_score=10, seed=2).read_bytes() != sheet.read_bytes()
    with pytest.raises(DataError, match="never overwritten"):
        draw_audit(path, tmp_path / "audit")


def test_every_text_has_the_same_chance(tmp_path: Path) -> None:
    path = corpus(tmp_path / "corpus.jsonl", {3: 20})
    counts: dict[str, int] = {}
    for seed in range(200):
        for row in sheet_rows(draw_audit(path, tmp_path / f"audit-{seed}", per_score=5, seed=seed)):
            counts[row["text"]] = counts.get(row["text"], 0) + 1
    assert len(counts) == 20
    assert all(abs(num - 50) < 4.5 * (200 * 0.25 * 0.75) ** 0.5 for num in counts.values())


def test_precision_and_corpus_numbers_by_hand(tmp_path: Path) -> None:
    path = corpus(tmp_path / "corpus.jsonl", {0: 80, 5: 20})
    sheet = draw_audit(path, tmp_path / "audit", per_score=10, seed=1)
    strata = {entry["audit_id"]: entry["stratum"] for entry in drawn(tmp_path / "audit")}
    of = {name: [each for each, stratum in strata.items() if stratum == name] for name in ("0", "5")}
    labels = {**dict.fromkeys(of["0"], 0), of["0"][0]: 4, **dict.fromkeys(of["5"][:8], 5), of["5"][0]: 1, of["5"][1]: 0}
    fill(sheet, labels)  # two of score 5 stay unlabelled
    found = read_audit(tmp_path / "audit")
    zero, five = found.strata
    assert (zero.score, zero.corpus, zero.drawn, zero.labelled, zero.labels) == (0, 80, 10, 10, (9, 0, 0, 0, 1, 0))
    assert (five.labelled, five.exact.rate, five.at_least["1"].rate) == (8, 6 / 8, 7 / 8)
    assert (five.exact.low, five.exact.high) == pytest.approx(wilson(0.75, 8))
    third = found.corpus[1]
    assert third.least == 3
    assert third.prevalence.estimate == pytest.approx(0.8 * 0.1 + 0.2 * 0.75)
    assert third.precision.estimate == pytest.approx(0.75)
    assert third.recall.estimate == pytest.approx(0.15 / 0.23)
    low, high = wilson(0.75, 8)
    assert (third.precision.low, third.precision.high) == pytest.approx((low, high))
    bounds = [wilson(0.1, 10), wilson(0.75, 8)]
    expected = 0.23 - np.hypot(0.8 * (0.1 - bounds[0][0]), 0.2 * (0.75 - bounds[1][0]))
    assert third.prevalence.low == pytest.approx(expected)


def test_the_intervals_cover_the_truth(tmp_path: Path) -> None:
    sizes = {0: 9000, 4: 700, 5: 300}
    prevalence = sum(sizes[score] * share for score, share in TRUE.items()) / 10_000
    precision = (700 * 0.3 + 300 * 0.6) / 1000
    recall = (700 * 0.3 + 300 * 0.6) / (prevalence * 10_000)
    path = corpus(tmp_path / "corpus.jsonl", {**sizes})
    covered = np.zeros(3)
    sheet = draw_audit(path, tmp_path / "audit", per_score=60, seed=1)
    entries = drawn(tmp_path / "audit")
    for seed in range(60):  # new labels of one sample: the sample tells nothing of them
        random = stream(seed, "labels")
        fill(sheet, {e["audit_id"]: 5 if random.random() < TRUE[int(e["stratum"])] else 0 for e in entries})
        found = read_audit(tmp_path / "audit").corpus[0]
        for place, (estimate, truth) in enumerate(
            [(found.prevalence, prevalence), (found.precision, precision), (found.recall, recall)]
        ):
            assert estimate.low is not None
            assert estimate.high is not None
            covered[place] += estimate.low <= truth <= estimate.high
    assert (covered / 60 >= 0.88).all(), covered / 60  # 0.95, less 2.5 standard errors of 60 trials


def test_what_is_not_labelled_gives_no_number(tmp_path: Path) -> None:
    path = corpus(tmp_path / "corpus.jsonl", {0: 50, 5: 20, None: 5})
    sheet = draw_audit(path, tmp_path / "audit", per_score=5)
    with pytest.raises(DataError, match="no label is filled in"):
        read_audit(tmp_path / "audit")
    fives = [entry["audit_id"] for entry in drawn(tmp_path / "audit") if entry["stratum"] == "5"]
    fill(sheet, dict.fromkeys(fives, 5))
    found = read_audit(tmp_path / "audit").corpus[0]
    assert found.precision.estimate == 1.0
    assert found.prevalence.estimate is None
    assert found.recall.reason == "none of the 50 texts of score 0 is labelled"


def test_sheets_that_are_not_as_drawn_are_refused(tmp_path: Path) -> None:
    path = corpus(tmp_path / "corpus.jsonl", {0: 5, 5: 5})
    sheet = draw_audit(path, tmp_path / "audit", per_score=2)
    good = sheet.read_bytes()
    first = sheet_rows(sheet)[0]["audit_id"]
    for labels, message in (({first: 6}, "row 2: a label is a whole number"), ({first: "bad"}, "found 'bad'")):
        fill(sheet, labels)
        with pytest.raises(FormatError, match=message):
            read_audit(tmp_path / "audit")
        sheet.write_bytes(good)
    lines = good.split(b"\r\n")
    for changed, message in (
        ([*lines[:-1], lines[1], b""], "stands there twice"),
        ([*lines[:-2], b""], "lacks 1 of the drawn texts"),
        ([*lines[:-1], b"99,x,0", b""], "but was not drawn"),
        ([b"a,b", *lines[1:]], "but was not drawn"),
        ([lines[0], b"\xff"], "not UTF-8"),
    ):
        sheet.write_bytes(b"\r\n".join(changed))
        with pytest.raises(FormatError, match=message):
            read_audit(tmp_path / "audit")
    with pytest.raises(DataError, match="holds no sample"):
        read_audit(tmp_path)


def test_a_megabyte_of_text_survives_both_sheets(tmp_path: Path) -> None:
    path = tmp_path / "corpus.jsonl"
    path.write_text(json.dumps({"text": "word " * 200_000, "harm_score": 5}) + "\n", encoding="utf-8")
    before = csv.field_size_limit()
    for kind in ("csv", "jsonl"):
        sheet = draw_audit(path, tmp_path / kind, sheet_format=kind)  # type: ignore[arg-type]
        old, new = (b",\r\n", b",4\r\n") if kind == "csv" else (b'"label": null', b'"label": 4')
        sheet.write_bytes(sheet.read_bytes().replace(old, new))
        assert read_audit(tmp_path / kind).strata[0].labels == (0, 0, 0, 0, 1, 0)
    assert csv.field_size_limit() == before
