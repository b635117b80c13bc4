"""Files of items: a row ends where a line ends, and nowhere else."""

from __future__ import annotations

from pathlib import Path

import pytest

from upbringing.base.errors import DataError
from upbringing.data.item_files import ItemFile, read_items
from upbringing.formats.items import Item, Message


def test_what_python_takes_for_a_line_end_inside_a_text_ends_no_row(tmp_path: Path) -> None:
    texts = ["a\u2028b", "a\u2029b", "a\x85b", "a\x0bb\x0cc\x1cd\x1de\x1ef", "a\r\nb"]
    items = [
        Item(
            id=str(number),
            cluster=str(number),
            request="harmful",
            split="ood",
            messages=(Message(role="user", content=text),),
        )
        for number, text in enumerate(texts)
    ]
    path = tmp_path / "items.jsonl"
    path.write_bytes("\n".join(item.model_dump_json() for item in items).encode())
    assert list(read_items(ItemFile(path="items.jsonl"), tmp_path)) == items
    path.write_bytes("\r\n".join(item.model_dump_json() for item in items).encode() + b"\r\n")
    assert list(read_items(ItemFile(path="items.jsonl"), tmp_path)) == items
    path.write_bytes(items[0].model_dump_json().encode() + b"\n\n{torn")
    with pytest.raises(DataError, match="row 3 is not JSON"):
        read_items(ItemFile(path="items.jsonl"), tmp_path)
