"""A streamed data set that breaks half-way goes on where it was, and the corpus is that of an undisturbed stream."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from corpus_bench import recipe, rows, tree, write_lines

from upbringing.base.errors import DataError
from upbringing.lab.corpus import streaming
from upbringing.lab.corpus.run import transform_corpus

HUB = {"kind": "hub", "name": "org/web", "revision": "a" * 40}
ROWS, NOTED = 100, 16


class Line:
    """A local streaming data set in the place of a hub's, whose line breaks at a row; ``seen``: what was sent."""

    def __init__(self, path: Path, datasets: Any) -> None:
        self.path, self.datasets, self.real = path, datasets, datasets.load_dataset
        self.breaks_at: int | None = None
        self.seen: list[str] = []

    def load(self, *names: Any, **options: Any) -> Any:
        found = self.real("json", data_files=str(self.path), split="train", streaming=True)
        return found.map(self._send)

    def _send(self, row: dict[str, Any]) -> dict[str, Any]:
        if row["id"] == f"d{self.breaks_at}":
            raise ConnectionError("the line is dead")
        self.seen.append(row["id"])
        return row


@pytest.fixture
def line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Line:
    datasets = pytest.importorskip("datasets")
    made = Line(write_lines(tmp_path / "rows.jsonl", rows(ROWS)), datasets)
    monkeypatch.setattr(datasets, "load_dataset", made.load)
    monkeypatch.setattr(streaming, "NOTED_ROWS", NOTED)
    monkeypatch.setenv("HF_DATASETS_CACHE", str(tmp_path / "cache"))
    return made


def run(folder: Path) -> dict[str, Any]:
    return transform_corpus(recipe([], input=HUB), folder).accounts


def unfinished(folder: Path) -> Path:
    (found,) = (folder.parent / f"{folder.name}.work" / "spool").rglob(".partial-*")
    return found


@pytest.mark.parametrize("breaks_at", [3, NOTED, 57, ROWS - 1])
def test_an_interrupted_stream_goes_on_behind_the_last_note(tmp_path: Path, line: Line, breaks_at: int) -> None:
    run(tmp_path / "straight")
    line.breaks_at = breaks_at
    with pytest.raises(DataError, match=rf"cannot stream org/web at a+ beyond row {breaks_at}: .*the line is dead"):
        run(tmp_path / "out")
    assert not (tmp_path / "out").exists()
    line.breaks_at, line.seen = None, []
    assert run(tmp_path / "out")["read"] == ROWS
    assert tree(tmp_path / "out") == tree(tmp_path / "straight")
    kept = breaks_at // NOTED * NOTED
    assert line.seen == [f"d{number}" for number in range(kept, ROWS)], "nothing that was kept is sent again"


def test_it_may_break_again_and_again(tmp_path: Path, line: Line) -> None:
    run(tmp_path / "straight")
    line.seen = []
    for breaks_at in (20, 50, 90):
        line.breaks_at = breaks_at
        with pytest.raises(DataError, match=f"beyond row {breaks_at}"):
            run(tmp_path / "out")
    line.breaks_at = None
    run(tmp_path / "out")
    assert tree(tmp_path / "out") == tree(tmp_path / "straight")
    assert len(line.seen) < ROWS + 3 * NOTED


@pytest.mark.parametrize("damage", ["a torn line", "shorter than its note", "a torn note", "of another version"])
def test_what_was_torn_is_cut_off_or_sent_again(tmp_path: Path, line: Line, damage: str) -> None:
    run(tmp_path / "straight")
    line.breaks_at = 57
    with pytest.raises(DataError, match="the line is dead"):
        run(tmp_path / "out")
    partial = unfinished(tmp_path / "out")
    note = partial.with_name(streaming.NOTE_NAME)
    if damage == "a torn line":
        partial.write_bytes(partial.read_bytes() + b'{"text": "half a li')
    elif damage == "shorter than its note":
        partial.write_bytes(partial.read_bytes()[:100])
    elif damage == "a torn note":
        note.write_bytes(note.read_bytes()[:20])
    else:
        note.write_text(json.dumps({**json.loads(note.read_bytes()), "version": "0.0"}))
    line.breaks_at, line.seen = None, []
    run(tmp_path / "out")
    assert tree(tmp_path / "out") == tree(tmp_path / "straight")
    assert line.seen[0] == ("d48" if damage == "a torn line" else "d0")
