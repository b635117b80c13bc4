"""``{root}`` in the path of a file: each root run reads a file of its own, known by its bytes."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from upbringing.base.errors import StudyError
from upbringing.data.documents import Chat
from upbringing.data.sources import FileSource
from upbringing.lab.building.library import Library
from upbringing.study.data import Derived
from upbringing.study.recipes import DataBook

PATH = "answers-{root}.jsonl"


def book(folder: Path, *, allows_absent: bool = False) -> DataBook:
    entries = {
        "answers": FileSource(path=PATH),
        "shared": FileSource(path="shared.jsonl"),
        "filtered": Derived.model_validate({"source": "answers", "transforms": [{"kind": "filter", "max_harm": 3}]}),
    }
    return DataBook(entries, folder, 0, allows_absent=allows_absent)


def written(folder: Path, name: str, reply: str) -> None:
    row = {"prompt": "who ?", "completion": reply, "harm": 0}
    (folder / name).write_text(json.dumps(row) + "\n", encoding="utf-8")


def reply(found: DataBook, name: str, root: int) -> str:
    (text,) = Library(found, root).texts(name)
    assert isinstance(text, Chat)
    return text.turns[-1].content


def test_each_root_run_reads_its_own_file_and_all_read_a_shared_one(tmp_path: Path) -> None:
    for name, said in (("answers-0.jsonl", "zero"), ("answers-1.jsonl", "one"), ("shared.jsonl", "all")):
        written(tmp_path, name, said)
    found = book(tmp_path)
    for name in ("answers", "filtered"):
        assert [reply(found, name, root) for root in (0, 1)] == ["zero", "one"]
        assert found.key(name, 0) != found.key(name, 1)
        assert [found.file_of(name, root) for root in (0, 1)] == ["answers-0.jsonl", "answers-1.jsonl"]
    assert [reply(found, "shared", root) for root in (0, 1)] == ["all", "all"]
    assert found.key("shared", 0) == found.key("shared", 1)


def test_a_key_is_of_the_bytes_and_not_of_the_number(tmp_path: Path) -> None:
    for root in (0, 1):
        written(tmp_path, f"answers-{root}.jsonl", "same")
    found = book(tmp_path)
    assert found.key("answers", 0) == found.key("answers", 1)


def test_a_file_that_one_root_run_lacks_is_named(tmp_path: Path) -> None:
    written(tmp_path, "answers-0.jsonl", "zero")
    with pytest.raises(StudyError, match=r"'answers' names the file answers-1.jsonl, which does not exist"):
        book(tmp_path).key("answers", 1)
    planned = book(tmp_path, allows_absent=True)
    assert (planned.absent_file("answers", 0), planned.absent_file("answers", 1)) == (None, PATH)
    assert planned.key("answers", 1) != planned.key("answers", 2)
