"""The verbs under ``upbringing data``: one way through all of them, in text and JSON, and their exit codes."""

from __future__ import annotations

import csv
import json
import subprocess
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


def test_csv_is_scored_audited_and_compared_with_labels(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    texts, scored = tmp_path / "in.csv", tmp_path / "scored.jsonl"
    texts.write_bytes(b'text,label,page\n"a bomb, big",4,1\ncalm,0,2\n,,3\n')
    (tmp_path / "scorer.yaml").write_text("scorer: {kind: keywords, phrases: [bomb], hits: 1, score: 4}\n")
    words = ("score", texts, "--scorer", tmp_path / "scorer.yaml", "--quiet", "--output")
    code, out, err = call(capsys, monkeypatch, *words, scored, "--json")
    assert code == 0, err
    assert json.loads(out)["histogram"] == [1, 0, 0, 0, 1, 0]
    rows = [json.loads(line) for line in scored.read_text(encoding="utf-8").splitlines()]
    assert [(row["text"], row["page"], row["harm_score"]) for row in rows] == [
        ("a bomb, big", "1", 4),
        ("calm", "2", 0),
        ("", "3", None),
    ]
    again = tmp_path / "again.csv"  # as a spreadsheet saves what was scored
    with again.open("w", encoding="utf-8", newline="") as handle:
        writer = csv.DictWriter(handle, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    code, out, err = call(capsys, monkeypatch, "threshold-report", again, "--json")
    assert code == 0, err
    assert json.loads(out)["macro_f1"] == 1.0
    command = [sys.executable, "-c", "from upbringing.cli import main; main()", "data", "audit", "draw", str(again)]
    drawn = subprocess.run([*command, "--output", str(tmp_path / "audit"), "--json"], capture_output=True, text=True)
    assert (drawn.returncode, drawn.stderr) == (0, "")
    assert json.loads(drawn.stdout) == {"sheet": str(tmp_path / "audit" / "sheet.csv")}
    assert json.loads((tmp_path / "audit" / "sample.json").read_bytes())["strata"].keys() == {"0", "4", "unscored"}
    code, out, err = call(capsys, monkeypatch, *words, tmp_path / "out.csv")
    assert (code, out) == (3, "")
    assert "the scores of in.csv are written to a file that ends in .jsonl" in err
    (tmp_path / "in.txt").write_bytes(b"calm\n\nbomb\n")
    code, out, err = call(capsys, monkeypatch, "score", tmp_path / "in.txt", *words[2:], tmp_path / "out.jsonl")
    assert (code, out, err) == (3, "", "upbringing: in.txt row 2 is empty: take the line out\n")
