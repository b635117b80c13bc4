"""Columns that say how harmful a row of a file is, and how it is called."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from upbringing.base.errors import DataError
from upbringing.data.documents import TrainingText
from upbringing.data.interventions.rephrase import Rephrase
from upbringing.data.sources import FileSource, read_file_source
from upbringing.data.transforms import FilterByHarm, apply_transforms

CHAT = {"messages": [{"role": "user", "content": "hello"}, {"role": "assistant", "content": "good day"}]}


def read(folder: Path, *rows: dict[str, Any]) -> tuple[TrainingText, ...]:
    (folder / "made.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return read_file_source(FileSource(path="made.jsonl"), folder).texts


def test_scores_and_names_are_read_and_filters_use_them(tmp_path: Path) -> None:
    texts = read(tmp_path, {"text": "a", "harm": 0, "id": 7}, {"text": "b", "harm": 5, "id": "x"})
    assert [(text.harm, text.metadata["id"]) for text in texts] == [(0, "7"), (5, "x")]  # type: ignore[union-attr]
    assert apply_transforms(texts, [FilterByHarm()], seed=0).texts == texts[:1]
    [chat] = read(tmp_path, {**CHAT, "harm": 2})
    assert chat.harm == 2  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("columns", "harm"),
    [
        ({}, None),
        ({"harm": None}, None),
        ({"harm_score": 3}, 3),
        ({"harm_score": 3, "harm_lower_bound": False}, 3),
        ({"harm_score": 0, "harm_lower_bound": True}, None),
        ({"harm_score": 5, "harm_lower_bound": True}, 5),
        ({"harm_score": 2, "harm": 2}, 2),
    ],
)
def test_a_lower_bound_is_no_score(tmp_path: Path, columns: dict[str, Any], harm: int | None) -> None:
    [text] = read(tmp_path, {"text": "a", **columns})
    assert text.harm == harm  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        *(({"harm": wrong}, "row 1, harm: a score is a whole number from 0 to 5") for wrong in (6, -1, True, "3", 2.0)),
        ({"harm": 1, "harm_score": 2}, "row 1 has the columns harm, harm_score, which differ"),
        ({"id": 1.5}, "row 1: id names the row by a text or a whole number, found 1.5"),
    ],
)
def test_what_is_no_score_or_name_is_an_error(tmp_path: Path, columns: dict[str, Any], message: str) -> None:
    with pytest.raises(DataError, match=message):
        read(tmp_path, {"text": "a", **columns})


def test_transforms_of_files_that_need_a_writer_point_to_the_command(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"rephrase: needs a writer .* upbringing data transform"):
        apply_transforms(read(tmp_path, {"text": "a", "harm": 2}), [Rephrase()], seed=0)
