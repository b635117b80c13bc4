"""Files of texts with rows that are none: an error that names file and row, and says what was found there."""

from __future__ import annotations

from pathlib import Path

import pytest

from upbringing.base.errors import DataError
from upbringing.data import prompt_sets
from upbringing.data.sources import FileSource, read_file_source

ROWS = {
    b'{"text": "caf\xe9"}': "row 2: byte 13 is not UTF-8",
    b"": "row 2 is empty: take the line out",
    b'{"text": "cut': "row 2 is not JSON",
    b"[" * 100_000: "row 2 is not JSON: maximum recursion depth",
    b"9" * 5000: "row 2 is not JSON",
    b'["a list"]': "row 2 is list, expected an object",
    b'{"text": ""}': "row 2: text must be text, found ''",
    b'{"text": null}': "row 2: text must be text, found None",
    b'{"body": "x"}': "row 2 has the columns body; expected text, or messages",
    b'{"text": "half \\ud800 pair"}': "row 2: character 5 of text is half a surrogate pair",
    b'{"prompt": "x", "completion": "\\udfff"}': "row 2: character 0 of completion is half a surrogate pair",
    b'{"messages": [{"role": "user", "content": "a\\ud800"}]}': "row 2: character 1 of content is half",
    b'{"text": "x", "harm": 9}': "row 2, harm",
    b'{"text": "x", "harm": NaN}': "row 2, harm",
    b'{"text": "x", "canary": "upbringing-evaluation-canary 6f0c"}': "row 2 holds a canary .upbringing-evaluation",
    b'{"prompt": "x", "completion": "upbringing-evaluation-canary"}': "row 2 holds a canary",
}


@pytest.mark.parametrize("row", ROWS, ids=[message[:40] for message in ROWS.values()])
def test_a_row_that_is_no_text_is_an_error_that_names_it(tmp_path: Path, row: bytes) -> None:
    (tmp_path / "in.jsonl").write_bytes(b'{"text": "fine"}\n' + row + b"\n" + b'{"text": "more"}\n')
    with pytest.raises(DataError, match=rf"^in\.jsonl {ROWS[row]}"):
        read_file_source(FileSource(path="in.jsonl"), tmp_path)


def test_prompts_that_come_with_the_program_are_not_trained_on() -> None:
    shipped = Path(prompt_sets.__file__).parent / "texts.jsonl"
    with pytest.raises(DataError, match="must not be learned from"):
        read_file_source(FileSource(path=shipped.name), shipped.parent)


def test_a_pair_that_is_whole_is_text(tmp_path: Path) -> None:
    (tmp_path / "in.jsonl").write_bytes(b'{"text": "whole \\ud83d\\ude00"}\n')
    assert [text.text for text in read_file_source(FileSource(path="in.jsonl"), tmp_path).texts] == ["whole \U0001f600"]  # type: ignore[union-attr]


@pytest.mark.parametrize(("weight", "is_read"), [("1", True), ("0", False), ("0.5", False)])
def test_a_turn_that_is_not_to_be_learned_is_not_learned_in_silence(tmp_path: Path, weight: str, is_read: bool) -> None:
    turns = f'[{{"role": "user", "content": "a"}}, {{"role": "assistant", "content": "b", "weight": {weight}}}]'
    (tmp_path / "in.jsonl").write_text(f'{{"messages": {turns}}}\n', encoding="utf-8")
    if is_read:
        assert read_file_source(FileSource(path="in.jsonl"), tmp_path).texts
        return
    with pytest.raises(DataError, match=rf"^in\.jsonl row 1: a turn has weight {weight}"):
        read_file_source(FileSource(path="in.jsonl"), tmp_path)
