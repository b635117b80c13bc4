"""Preference pairs in the forms that are published, and what of them is no pair."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from upbringing.base.errors import DataError
from upbringing.data.documents import Preference, Turn
from upbringing.data.sources import FileSource, read_file_source

ASKED = {"role": "user", "content": "Why?"}
SYSTEM = {"role": "system", "content": "Be brief."}
GOOD, BAD = {"role": "assistant", "content": "So."}, {"role": "assistant", "content": "No."}
WHY, BRIEF = Turn("user", "Why?"), Turn("system", "Be brief.")


def read(tmp_path: Path, row: dict[str, Any]) -> Preference:
    (tmp_path / "pairs.jsonl").write_text(json.dumps(row) + "\n", encoding="utf-8")
    (found,) = read_file_source(FileSource(path="pairs.jsonl"), tmp_path).texts
    assert isinstance(found, Preference)
    return found


@pytest.mark.parametrize(
    ("row", "prompt"),
    [
        ({"prompt": "Why?", "chosen": "So.", "rejected": "No."}, (WHY,)),
        ({"prompt": [SYSTEM, ASKED], "chosen": [GOOD], "rejected": [BAD]}, (BRIEF, WHY)),
        ({"chosen": [SYSTEM, ASKED, GOOD], "rejected": [SYSTEM, ASKED, BAD]}, (BRIEF, WHY)),
        ({"prompt": "Why?", "chosen": [ASKED, GOOD], "rejected": [ASKED, BAD]}, (WHY,)),  # UltraFeedback
        ({"prompt": [ASKED], "chosen": "So.", "rejected": [BAD]}, (WHY,)),
        ({"prompt": None, "chosen": [ASKED, GOOD, ASKED, GOOD], "rejected": [ASKED, GOOD, ASKED, BAD]},
         (WHY, Turn("assistant", "So."), WHY)),
    ],
)  # fmt: skip
def test_every_published_form_is_the_same_pair(tmp_path: Path, row: dict[str, Any], prompt: tuple[Turn, ...]) -> None:
    found = read(tmp_path, row)
    assert (found.prompt, found.chosen, found.rejected) == (prompt, "So.", "No.")


@pytest.mark.parametrize(
    ("row", "said"),
    [
        ({"chosen": "So.", "rejected": "No."}, "row 1: prompt must be text, found None"),
        ({"chosen": [ASKED, GOOD], "rejected": [SYSTEM, ASKED, BAD]}, "answer different prompts"),
        ({"prompt": "Who?", "chosen": [ASKED, GOOD], "rejected": [ASKED, BAD]}, "leave the column prompt out"),
        ({"chosen": [ASKED], "rejected": [ASKED]}, "row 1: chosen ends with a turn of the user"),
        ({"prompt": "Why?", "chosen": [GOOD], "rejected": []}, "row 1: rejected must be a list of turns, found"),
        ({"prompt": "Why?", "chosen": [GOOD], "rejected": [{"role": "bot", "content": "x"}]},
         "row 1: a turn's role is one of system, user, assistant, found 'bot'"),
        ({"prompt": "Why?", "chosen": [GOOD], "rejected": None}, "row 1: rejected must be text, found None"),
    ],
)  # fmt: skip
def test_what_is_no_pair_is_an_error_that_names_the_row(tmp_path: Path, row: dict[str, Any], said: str) -> None:
    with pytest.raises(DataError, match=said):
        read(tmp_path, row)
