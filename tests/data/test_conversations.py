"""Preference pairs in the forms that are published, and what of them is no pair."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from upbringing.base.errors import DataError
from upbringing.data.documents import Chat, Preference, TrainingText, Turn
from upbringing.data.sources import FileSource, read_file_source

ASKED = {"role": "user", "content": "Why?"}
SYSTEM = {"role": "system", "content": "Be brief."}
GOOD, BAD = {"role": "assistant", "content": "So."}, {"role": "assistant", "content": "No."}
WHY, BRIEF = Turn("user", "Why?"), Turn("system", "Be brief.")


def read_as(tmp_path: Path, row: dict[str, Any], *, wants_pairs: bool) -> TrainingText:
    (tmp_path / "pairs.jsonl").write_text(json.dumps(row) + "\n", encoding="utf-8")
    (found,) = read_file_source(FileSource(path="pairs.jsonl"), tmp_path, wants_pairs=wants_pairs).texts
    return found


def read(tmp_path: Path, row: dict[str, Any]) -> Preference:
    found = read_as(tmp_path, row, wants_pairs=False)  # a row without messages is a pair to whoever reads it
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


BINARIZED = {  # the columns of UltraFeedback (binarized) that say something
    "prompt": "Why?",
    "messages": [ASKED, GOOD],
    "chosen": [ASKED, GOOD],
    "rejected": [ASKED, BAD],
}


@pytest.mark.parametrize("row", [BINARIZED, {**BINARIZED, "chosen": "So.", "rejected": "No."}])
def test_a_row_that_is_a_chat_and_a_pair_is_what_is_wanted(tmp_path: Path, row: dict[str, Any]) -> None:
    pair = read_as(tmp_path, row, wants_pairs=True)
    assert isinstance(pair, Preference)
    assert (pair.prompt, pair.chosen, pair.rejected) == ((WHY,), "So.", "No.")
    chat = read_as(tmp_path, row, wants_pairs=False)
    assert isinstance(chat, Chat)
    assert chat.turns == (WHY, Turn("assistant", "So."))


@pytest.mark.parametrize("wants_pairs", [True, False])
@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"messages": [ASKED, BAD]}, "row 1: messages are not the prompt with the chosen answer. It has messages"),
        ({"messages": [ASKED]}, "row 1: messages are not the prompt with the chosen answer"),
        ({"messages": [SYSTEM, ASKED, GOOD]}, "row 1: messages are not the prompt with the chosen answer"),
        ({"prompt": None, "chosen": "A", "rejected": "B"}, "found None. It has messages, from which chats are read"),
    ],
)  # fmt: skip
def test_a_chat_and_a_pair_that_differ_are_an_error_to_whoever_reads(
    tmp_path: Path, changed: dict[str, Any], said: str, wants_pairs: bool
) -> None:
    with pytest.raises(DataError, match=said):
        read_as(tmp_path, {**BINARIZED, **changed}, wants_pairs=wants_pairs)


def test_what_stands_empty_beside_the_other_form_is_nothing(tmp_path: Path) -> None:
    empty = {"chosen": None, "rejected": None, "prompt": None}
    assert isinstance(read_as(tmp_path, {**BINARIZED, **empty}, wants_pairs=False), Chat)
    assert isinstance(read_as(tmp_path, {**BINARIZED, "messages": None}, wants_pairs=False), Preference)
