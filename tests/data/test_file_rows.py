"""Every verb reads the same formats: rows of CSV, TSV and text as those of JSON Lines, and what is no row is named."""

from __future__ import annotations

import csv
import gzip
import io
import json
import tracemalloc
from itertools import islice
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from upbringing.base.errors import DataError
from upbringing.data.documents import Chat, Document, Preference
from upbringing.data.file_formats import ALL_SUFFIXES, named_format
from upbringing.data.file_rows import file_rows
from upbringing.data.sources import FileSource, read_file_source
from upbringing.lab.corpus.recipe import Files
from upbringing.lab.corpus.units import list_files

ROWS: list[dict[str, Any]] = [
    {"text": 'one, "two"\nthree', "id": "a", "harm": 4},
    {"text": "tab\tand \u00fcber", "id": "b", "harm": None},
    {"text": "last", "id": "c", "harm": 0},
]


def tabular(rows: list[dict[str, Any]], delimiter: str = ",") -> bytes:
    buffer = io.StringIO(newline="")
    writer = csv.DictWriter(buffer, list(rows[0]), delimiter=delimiter)
    writer.writeheader()
    writer.writerows(rows)
    return buffer.getvalue().encode()


def write(path: Path, rows: list[dict[str, Any]]) -> Path:
    """Write ``rows`` in the format, and packed as, the name of ``path`` says."""
    name = path.name.removesuffix(".gz").removesuffix(".zst")
    if name.endswith(".parquet"):
        pq.write_table(pa.Table.from_pylist(rows), path)
        return path
    lines = "".join(json.dumps(row) + "\n" for row in rows).encode()
    data = lines if "json" in name else tabular(rows, "\t" if name.endswith(".tsv") else ",")
    if path.name.endswith(".zst"):
        with pa.CompressedOutputStream(str(path), "zstd") as stream:
            stream.write(data)
    else:
        path.write_bytes(gzip.compress(data) if path.name.endswith(".gz") else data)
    return path


@pytest.mark.parametrize("suffix", [suffix for suffix in ALL_SUFFIXES if ".txt" not in suffix])
def test_the_rows_are_the_same_in_every_format(tmp_path: Path, suffix: str) -> None:
    path = write(tmp_path / f"in{suffix}", ROWS)
    file_format = named_format(path.name)
    assert file_format is not None
    assert list(file_rows(path, file_format)) == ROWS
    documents = read_file_source(FileSource(path=path.name), tmp_path).texts
    assert [(each.text, each.harm, each.metadata["id"]) for each in documents if isinstance(each, Document)] == [
        (row["text"], row["harm"], row["id"]) for row in ROWS
    ]
    [listed] = list_files(Files(paths=(path.name,)), tmp_path)  # what a corpus is read as
    assert listed.kind.replace("csv", file_format if file_format == "tsv" else "csv").split(".")[0] == file_format


@pytest.mark.parametrize("suffix", [".txt", ".txt.gz"])
def test_a_line_of_text_is_a_document(tmp_path: Path, suffix: str) -> None:
    data = b'\xef\xbb\xbfone\r\n"two, three\nl\xc3\xa4st'
    (tmp_path / f"in{suffix}").write_bytes(gzip.compress(data) if suffix.endswith(".gz") else data)
    source = FileSource(path=f"in{suffix}")
    assert source.format == "txt"
    assert [text.text for text in read_file_source(source, tmp_path).texts] == ["one", '"two, three', "l\u00e4st"]  # type: ignore[union-attr]


def test_the_format_of_a_study_is_what_it_says_else_what_the_name_says() -> None:
    assert FileSource(path="a.csv").model_dump() == FileSource(path="a.csv", format="csv").model_dump()
    assert FileSource(path="a.csv", format="jsonl").format == "jsonl"
    assert FileSource(path="answers-{root}.tsv").of_root(3).format == "tsv"
    assert FileSource(path="a.unknown").format == "jsonl"


def test_columns_that_mean_something_are_read_as_in_json_lines(tmp_path: Path) -> None:
    spans = [{"begin": 0, "end": 3, "loss": False}]
    scored = {"harm_score": 5, "harm_confidence": 0.5, "harm_lower_bound": False, "harm_reason": None, "label": 1}
    plain = {"harm_score": None, "harm_confidence": None, "harm_lower_bound": None, "harm_reason": "x", "label": None}
    rows = [{"text": "one two", "spans": spans, "source": "web", **scored}]
    rows += [{"text": "[1]", "spans": None, "source": None, **plain}]
    cells = [{**row, "spans": json.dumps(row["spans"]) if row["spans"] else ""} for row in rows]
    path = tmp_path / "in.csv"
    path.write_bytes(tabular(cells))
    assert list(file_rows(path, "csv", ("label",))) == rows


def test_chats_and_preferences_in_csv(tmp_path: Path) -> None:
    messages = [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}]
    for rows, kind in (
        ([{"prompt": "a", "completion": "b", "teacher": ""}, {"prompt": "c", "completion": "d", "teacher": "x"}], Chat),
        ([{"messages": json.dumps(messages)}], Chat),
        ([{"prompt": "a", "chosen": "b", "rejected": "c"}], Preference),
    ):
        (tmp_path / "in.csv").write_bytes(tabular(rows))
        found = read_file_source(FileSource(path="in.csv"), tmp_path).texts
        assert [type(each) for each in found] == [kind] * len(rows)


BAD = {
    "missing column": (b"body,id\na,1\n", r"in\.csv row 1 has the columns body, id; expected text"),
    "few fields": (b"text,id\nfine,1\nfew\n", r"in\.csv row 2: the row has 1 fields, the header has 2"),
    "many fields": (b"text\nfine\na,b\n", r"in\.csv row 2: the row has 2 fields, the header has 1"),
    "not UTF-8": (b"id,text\n1,fine\n2,caf\xe9\n", r"in\.csv row 2: byte 3 of text is not UTF-8"),
    "name not UTF-8": (b"text,caf\xe9\nfine,1\n", r"in\.csv: the name of a column is not UTF-8"),
    "twice": (b"text,a,a\nx,1,2\n", r"in\.csv has the column 'a' 2 times: rename all but one"),
    "empty row": (b"text\nfine\n\nmore\n", r"in\.csv row 2 is empty: take the line out"),
    "empty text": (b"text,id\n,1\n", r"in\.csv row 1: text must be text, found ''"),
    "no file": (b"", r"in\.csv holds no rows"),
    "only a header": (b"text\n", r"in\.csv holds no rows"),
    "torn": (b'text\nfine\n"cut off\nand on\n', r"in\.csv: the record 3 .* never ends"),
    "score": (b"text,harm\nfine,high\n", r"in\.csv row 1, harm: a score is a whole number from 0 to 5, found 'high'"),
    "spans": (b"text,spans\nfine,{\n", r"in\.csv row 1: spans is not JSON"),
    "bound": (b"text,harm_lower_bound\nfine,no\n", r"harm_lower_bound is true, false or empty, found 'no'"),
    "confidence": (b"text,harm_confidence\nfine,nan\n", r"harm_confidence is a number or empty, found 'nan'"),
    "old lines": (b"text\rfine\r", r"in\.csv: the header cannot be read: .* must end in line feeds"),
}


@pytest.mark.parametrize("case", BAD)
def test_what_is_no_row_is_named(tmp_path: Path, case: str) -> None:
    data, message = BAD[case]
    (tmp_path / "in.csv").write_bytes(data)
    with pytest.raises(DataError, match=message):
        read_file_source(FileSource(path="in.csv"), tmp_path)


def test_packed_files_that_are_torn_are_named(tmp_path: Path) -> None:
    (tmp_path / "in.jsonl.gz").write_bytes(gzip.compress(b'{"text": "a line"}\n' * 50_000)[:-20])
    with pytest.raises(DataError, match=r"in\.jsonl\.gz cannot be unpacked beyond"):
        read_file_source(FileSource(path="in.jsonl.gz"), tmp_path)
    (tmp_path / "in.txt.zst").write_bytes(b"no zstd")
    with pytest.raises(DataError, match=r"in\.txt\.zst cannot be unpacked beyond 0 bytes"):
        read_file_source(FileSource(path="in.txt.zst"), tmp_path)


def test_rows_come_one_after_the_other_and_a_quote_that_never_ends_costs_no_memory(tmp_path: Path) -> None:
    path = tmp_path / "in.csv"
    with path.open("wb") as handle:
        handle.write(b'text\nfirst\n"')
        for _ in range(40):
            handle.write(b"x" * 1_000_000 + b"\n")
    tracemalloc.start()
    assert [row["text"] for row in islice(file_rows(path, "csv"), 1)] == ["first"]
    first = tracemalloc.get_traced_memory()[1]
    with pytest.raises(DataError, match="never ends"):
        list(file_rows(path, "csv"))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert first < 3_000_000
    assert peak < 35_000_000
