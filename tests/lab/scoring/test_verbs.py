"""The verbs under ``upbringing data``: one way through all of them, in text and JSON, and their exit codes."""

from __future__ import annotations

import csv
import json
import sys
from pathlib import Path

import pytest

from upbringing.cli import main


def call(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, *words: object) -> tuple[int, str, str]:
    monkeypatch.setattr(sys, "argv", ["upbringing", "data", *map(str, words)])
    with pytest.raises(SystemExit) as ended:
        main()
    found = capsys.readouterr()
    return int(ended.value.code or 0), found.out, found.err


def test_one_way_through_all_verbs(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def run(*words: object) -> str:
        code, out, err = call(capsys, monkeypatch, *words)
        assert code == 0, err
        return out

    rows = [
        {"text": f"w{number % 7} w{number % 11} {'venom' if number % 3 == 0 else 'meadow'} n{number}"}
        | {"label": 5 if number % 3 == 0 else 0, "source": "web" if number % 2 else "books"}
        for number in range(120)
    ]
    labels, scored = tmp_path / "labels.jsonl", tmp_path / "scored.jsonl"
    labels.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    out = run("train-classifier", labels, "--output", tmp_path / "classifier")
    assert "speaks for 5: venom" in out
    assert "calibration error of the score given" in out
    (tmp_path / "scorer.yaml").write_text("scorer: {kind: classifier, folder: classifier}\n", encoding="utf-8")
    out = run("score", labels, "--scorer", tmp_path / "scorer.yaml", "--output", scored, "--quiet")
    assert "score 5: 40 (33.33%)" in out
    out = run("threshold-report", scored)
    assert "score 3 or more: recall 100.0% [91.2%, 100.0%] (40 of 40)" in out
    assert json.loads(run("threshold-report", scored, "--json"))["macro_f1"] == 1.0
    sheet = Path(run("audit", "draw", scored, "--output", tmp_path / "audit", "--per-score", 10).strip())
    with sheet.open(encoding="utf-8-sig", newline="") as handle:
        drawn = list(csv.DictReader(handle))
    with sheet.open("w", encoding="utf-8", newline="") as handle:
        writer = csv.DictWriter(handle, ["audit_id", "text", "label"])
        writer.writeheader()
        writer.writerows({**row, "label": 5 if "venom" in row["text"] else 0} for row in drawn)
    out = run("audit", "read", tmp_path / "audit")
    assert "score 5: 40 texts, 10 of 10 drawn are labelled" in out
    assert "corpus, harm 3 or more: 33.33%" in out
    out = run("report-card", scored, "--output", tmp_path / "card")
    assert "| books | before | 60 | 66.67% |" in out
    assert (tmp_path / "card" / "card.md").read_text(encoding="utf-8").strip() == out.strip()


def test_bad_input_ends_with_one_line_and_a_code(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "in.jsonl").write_bytes(b'{"text": "a"}\n{"text": "\xff"}\n')
    (tmp_path / "scorer.yaml").write_text("scorer: oracle\n", encoding="utf-8")
    words = ("score", tmp_path / "in.jsonl", "--scorer", tmp_path / "scorer.yaml", "--output", tmp_path / "out.jsonl")
    code, out, err = call(capsys, monkeypatch, *words, "--quiet")
    assert (code, out) == (3, "")
    assert err == "upbringing: in.jsonl row 2: byte 10 is not UTF-8\n"
    (tmp_path / "scorer.yaml").write_text("scorer: oracel\n", encoding="utf-8")
    code, _, err = call(capsys, monkeypatch, *words)
    assert code == 2
    assert "scorer.yaml:1" in err
    (tmp_path / "settings.yaml").write_text("class_weight: 3\n", encoding="utf-8")
    settings = ("--settings", tmp_path / "settings.yaml", "--class-weight", 4)
    code, _, err = call(capsys, monkeypatch, "train-classifier", tmp_path / "in.jsonl", "--output", "x", *settings)
    assert code == 3
    assert "both set the weight" in err
