"""Rows: a failure is never a number, and equal rows give equal bytes."""

from __future__ import annotations

from pathlib import Path

import pyarrow.parquet as pq
import pytest

from upbringing.base.errors import FormatError
from upbringing.formats.answers import Answer, read_answers, write_answers
from upbringing.formats.rows import ROWS_SCHEMA, Row, rows_table, write_rows
from upbringing.formats.tree import Tree, read_tree


def row(item: str, **fields: object) -> Row:
    return Row(checkpoint="c", measure="m", item=item, **({"value": 1.0} | fields))  # type: ignore[arg-type]


def test_rows_in_any_order_give_the_same_bytes(tmp_path: Path) -> None:
    rows = [row(f"item-{number}", sample=number % 3) for number in range(20)]
    write_rows(rows_table(rows), tmp_path / "one.parquet")
    write_rows(rows_table(rows[::-1]), tmp_path / "two.parquet")
    assert (tmp_path / "one.parquet").read_bytes() == (tmp_path / "two.parquet").read_bytes()
    assert pq.read_schema(tmp_path / "one.parquet").names == ROWS_SCHEMA.names


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"status": "unscored", "reason_code": "x"}, "leave it null"),
        ({"value": None}, "no reason_code"),
        ({"status": "lost"}, "is not one of"),
        ({"outcome": "fine"}, "is not one of"),
    ],
)
def test_a_row_that_lies_is_refused(fields: dict[str, object], message: str) -> None:
    with pytest.raises(FormatError, match=message):
        row("item", **fields)


def test_answers_are_kept_beside_and_a_torn_file_is_named(tmp_path: Path) -> None:
    answer = Answer(
        response="r",
        checkpoint="c",
        item="i",
        condition="chat",
        sample=0,
        request="benign",
        prompt="p",
        answer="a\x00b",
    )
    write_answers([answer], tmp_path / "a.parquet")
    assert read_answers(tmp_path).to_pylist()[0]["answer"] == "a\x00b"
    (tmp_path / "b.parquet").write_bytes((tmp_path / "a.parquet").read_bytes()[:50])
    with pytest.raises(FormatError, match=r"b\.parquet"):
        read_answers(tmp_path)


def test_a_tree_keeps_unknown_fields_and_names_what_is_wrong(tmp_path: Path) -> None:
    path = tmp_path / "tree.json"
    path.write_text('{"study": {"name": "s", "new": 1}, "checkpoints": [{"id": "c"}]}', encoding="utf-8")
    tree = read_tree(path)
    assert isinstance(tree, Tree)
    assert (tree.study.model_extra or {})["new"] == 1
    path.write_text('{"study": {"name": "s"}, "checkpoints": [{}]}', encoding="utf-8")
    with pytest.raises(FormatError, match=r"checkpoints\.0\.id"):
        read_tree(path)
    path.write_text('{"schema_version": 99, "study": {"name": "s"}, "checkpoints": []}', encoding="utf-8")
    with pytest.raises(FormatError, match="version 99"):
        read_tree(path)
