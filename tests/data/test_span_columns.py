"""Columns that say what of a document is learned: read as they stand, or refused with the row."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from upbringing.base.errors import DataError
from upbringing.data.documents import Document, Span
from upbringing.data.rendering import decode_supervised, open_tokenizer, render_documents
from upbringing.data.sources import FileSource, read_file_source
from upbringing.data.tokenizer import train_tokenizer

TEXT = "bab fib fic gob"


def read(folder: Path, **columns: Any) -> Document:
    (folder / "made.jsonl").write_text(json.dumps({"text": TEXT, **columns}) + "\n", encoding="utf-8")
    (document,) = read_file_source(FileSource(path="made.jsonl"), folder).texts
    assert isinstance(document, Document)
    return document


def test_columns_are_read_as_they_stand(tmp_path: Path) -> None:
    assert read(tmp_path, spans=None, harm=None) == Document(text=TEXT, source="made")
    spans = [{"begin": 0, "end": 3, "loss": False}, {"begin": 3, "end": 11, "isolated": True}]
    assert read(tmp_path, spans=spans).spans == (Span(0, 3, loss=False), Span(3, 11, isolated=True))
    found = read(tmp_path, loss_spans=[[4, 11]])
    assert (found.loss, found.spans) == (False, (Span(4, 11),))
    assert read(tmp_path, loss_spans=[]) == Document(text=TEXT, source="made", loss=False)
    assert read(tmp_path, label_mask=[0, 1, True, False]).label_mask == (False, True, True, False)


def test_the_same_columns_are_read_from_parquet(tmp_path: Path) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    rows = [
        {"text": TEXT, "spans": [{"begin": 3, "end": 11, "isolated": True}], "loss_spans": None},
        {"text": TEXT, "spans": None, "loss_spans": [[0, 3]]},
    ]
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "made.parquet")
    first, second = read_file_source(FileSource(path="made.parquet", format="parquet"), tmp_path).texts
    assert first == Document(text=TEXT, source="made", spans=(Span(3, 11, isolated=True),))
    assert second == Document(text=TEXT, source="made", loss=False, spans=(Span(0, 3),))


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"spans": [{"begin": 0, "end": 99}]}, "row 1: spans: .*15 characters, a span of it ends at 99"),
        ({"spans": [{"begin": 0, "end": 3, "label": "NAME"}]}, "rename the column"),
        ({"spans": [{"begin": 0, "end": 3, "loss": 1}]}, "true or false"),
        ({"spans": [{"begin": True, "end": 3}]}, "at a character"),
        ({"spans": "0-3"}, "must be a list, found str"),
        ({"loss_spans": [[0, 3, 4]]}, r"expected \[begin, end\]"),
        ({"loss_spans": [[5, 3]]}, "holds none"),
        ({"loss_spans": [[0.0, 3]]}, "at a character"),
        ({"label_mask": [0, 2]}, "one truth value per token"),
        ({"label_mask": [1], "loss_spans": [[0, 3]]}, "give one of them"),
    ],
)
def test_what_does_not_fit_is_refused_with_its_row(tmp_path: Path, columns: dict[str, Any], message: str) -> None:
    with pytest.raises(DataError, match=message):
        read(tmp_path, **columns)


@pytest.mark.model
def test_a_label_mask_is_learned_token_by_token(tmp_path: Path) -> None:
    train_tokenizer(TEXT.split(), vocabulary=400, special_tokens=(), chat_template=None, folder=tmp_path)
    tokenizer = open_tokenizer(tmp_path)
    for mask, learned in (([0, 1, 0, 1], "fib gob"), ([0, 1, 0, 0, 1], "fib<|end|>")):
        for learn in ("all", "spans"):
            (rendered,) = render_documents([read(tmp_path, label_mask=mask)], tokenizer, learn)
            assert decode_supervised(rendered, tokenizer).strip() == learned
    with pytest.raises(DataError, match="has 4 tokens, its label mask 3"):
        render_documents([read(tmp_path, label_mask=[0, 1, 0])], tokenizer)
