"""CSV and text files as a corpus: what pandas and csv read of them, bad rows as counted rejects, bounded memory."""

from __future__ import annotations

import csv
import gzip
import io
import json
import random
import tracemalloc
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from corpus_bench import joined, recipe, tree

from upbringing.base.errors import DataError
from upbringing.data.tabular import records
from upbringing.lab.corpus.run import transform_corpus

PLAIN: dict[str, Any] = {"columns": {}, "route": []}


def out(path: Path, folder: str = "out", **changes: Any) -> tuple[list[str], dict[str, Any]]:
    """The texts that come out, and the account."""
    report = transform_corpus(recipe([path], **{**PLAIN, **changes}), path.parent / folder)
    return [row["text"] for row in joined(path.parent / folder, "documents")], report.accounts


def written(path: Path, data: bytes) -> Path:
    path.write_bytes(data)
    return path


def test_fields_with_quotes_commas_and_line_breaks_come_out_as_they_went_in(tmp_path: Path) -> None:
    texts = [
        'He said "no".',
        "one, two",
        "two\nlines",
        "a\r\nb",
        'a quote at the end"',
        ' 5" pipe, so',
        "\u00fcber",
        '"',
    ]
    buffer = io.StringIO(newline="")
    writer = csv.writer(buffer)
    writer.writerows([["number", "text"], *([str(place), text] for place, text in enumerate(texts))])
    found, accounts = out(written(tmp_path / "in.csv", buffer.getvalue().encode()))
    assert found == texts
    assert accounts["rejected"] == {}
    marked = written(tmp_path / "marked.csv", b"\xef\xbb\xbf" + b'"text"\n' + b'"a, b"\nlast')
    assert out(marked, "marked")[0] == ["a, b", "last"]
    tabs = written(tmp_path / "in.tsv", b'text\tid\n"a\tb"\t1\nc, d\t2\n')
    assert out(tabs, "tabs", columns={"id": "id"})[0] == ["a\tb", "c, d"]


@pytest.mark.parametrize("seed", range(8))
def test_records_are_those_of_csv_wherever_the_chunks_end(seed: int) -> None:
    draw = random.Random(seed)
    pieces = ["a", ",", '"', "\n", "\r\n", '""', "\u00e9", " "]
    rows = [["".join(draw.choices(pieces, k=draw.randint(0, 6))) or "x" for _ in range(3)] for _ in range(60)]
    buffer = io.StringIO(newline="")
    csv.writer(buffer, quoting=draw.choice([csv.QUOTE_MINIMAL, csv.QUOTE_ALL])).writerows(rows)
    data = buffer.getvalue().encode()

    def chunks() -> Iterator[bytes]:
        place = 0
        while place < len(data):
            size = draw.randint(1, 7)
            yield data[place : place + size]
            place += size

    found = [next(csv.reader([record.decode()])) for record, _ in records(chunks(), 10_000, b",")]
    assert found == rows


def test_bad_rows_are_rejects_with_their_reasons_and_the_others_are_read(tmp_path: Path) -> None:
    data = (
        b"id,text,score\n"
        b"a,good,0\n"
        b"\n"
        b"b,caf\xe9,0\n"
        b"c,too,many,fields\n"
        b"d,few\n"
        b"e,,0\n"
        b"f,wrong score,high\n"
        b",no id,0\n"
        b"g,no score,\n"
        b"h,last,5"
    )
    path = written(tmp_path / "in.csv", data)
    given = {"columns": {"id": "id", "score": "score"}, "route": [{"scores": [0, 5], "do": "keep"}], "unscored": "keep"}
    texts, accounts = out(path, **given)
    assert texts == ["good", "no score", "last"]
    assert accounts["read"] == 10
    assert accounts["rejected"] == {
        "empty row": 1,
        "empty text": 1,
        "not UTF-8": 1,
        "wrong fields": 2,
        "wrong type": 2,
    }
    assert [row["harm"] for row in joined(tmp_path / "out", "documents")] == [0, None, 5]
    rejects = {row["row"]: row for row in joined(tmp_path / "out", "rejects")}
    assert sorted(rejects) == [2, 3, 4, 5, 6, 7, 8]
    assert rejects[4]["reason"] == "the row has 4 fields, the header has 3"
    assert rejects[4]["excerpt"].strip() == "c,too,many,fields"
    with pytest.raises(DataError, match=r"in\.csv row 2: the row is empty"):
        out(path, "stop", **given, bad_rows="stop")


def test_a_torn_or_ambiguous_file_stops_the_run(tmp_path: Path) -> None:
    torn = written(tmp_path / "torn.csv", b'text\nfine\n"cut off, and so on\nand on\n')
    with pytest.raises(DataError, match=r"torn\.csv: the record 3 .* never ends"):
        out(torn)
    twice = written(tmp_path / "twice.csv", b"text,text\na,b\n")
    with pytest.raises(DataError, match=r"twice\.csv has the column 'text' 2 times"):
        out(twice)
    with pytest.raises(DataError, match=r"torn\.csv\.gz cannot be unpacked"):
        out(written(tmp_path / "torn.csv.gz", gzip.compress(b"text\n" + b"a line of it\n" * 5000)[:-20]), "packed")
    with pytest.raises(DataError, match=r"in\.txt has no column 'body'; it has 'text'"):
        out(written(tmp_path / "in.txt", b"x\n"), "body", columns={"text": "body"})
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("form", ["csv", "csv.gz", "csv.zst", "txt", "txt.gz"])
def test_packed_files_are_read_as_plain_ones_by_any_number_of_workers(tmp_path: Path, form: str) -> None:
    body = b"".join(f"line {number} says so\n".encode() for number in range(400))
    data = (b"text\n" if "csv" in form else b"") + body
    path = tmp_path / f"in.{form}"
    if form.endswith(".zst"):
        with pa.CompressedOutputStream(str(path), "zstd") as stream:
            stream.write(data)
    else:
        path.write_bytes(gzip.compress(data, mtime=0) if form.endswith(".gz") else data)
    texts, accounts = out(path)
    assert texts == body.decode().splitlines()
    assert accounts["read"] == 400
    transform_corpus(recipe([path], **PLAIN), tmp_path / "two", workers=2)
    assert tree(tmp_path / "two") == tree(tmp_path / "out")


def test_a_text_file_is_a_document_a_line(tmp_path: Path) -> None:
    texts, accounts = out(written(tmp_path / "in.txt", b'\xef\xbb\xbfone\r\n\n  \ncaf\xe9\n"two\nlast'))
    assert texts == ["one", '"two', "last"]
    assert accounts["rejected"] == {"empty row": 2, "not UTF-8": 1}


def test_spans_of_a_csv_file_are_json(tmp_path: Path) -> None:
    spans = json.dumps([{"begin": 0, "end": 3, "loss": False}])
    buffer = io.StringIO(newline="")
    csv.writer(buffer).writerows([["text", "spans"], ["one two", spans], ["three", ""], ["four", "{"]])
    texts, accounts = out(written(tmp_path / "in.csv", buffer.getvalue().encode()))
    assert texts == ["one two", "three"]
    [first, second] = joined(tmp_path / "out", "documents")
    assert [(span["begin"], span["end"], span["loss"]) for span in first["spans"]] == [(0, 3, False)]
    assert "spans" not in second
    assert accounts["rejected"] == {"wrong type": 1}


def test_a_folder_is_read_for_csv_or_text_only_where_the_recipe_says_so(tmp_path: Path) -> None:
    folder = tmp_path / "corpus"
    folder.mkdir()
    written(folder / "a.jsonl", b'{"text": "of the corpus"}\n')
    written(folder / "README.txt", b"not of the corpus\n")
    assert out(folder)[0] == ["of the corpus"]
    (folder / "a.jsonl").unlink()
    inputs = {"kind": "files", "paths": [str(folder)], "format": "txt"}
    assert out(folder, "text", input=inputs)[0] == ["not of the corpus"]


@pytest.mark.parametrize("quote", [b"", b'"'], ids=["plain", "quoted"])
def test_a_record_that_is_too_long_is_a_reject_and_costs_no_memory(tmp_path: Path, quote: bytes) -> None:
    path = tmp_path / "in.csv"
    with path.open("wb") as handle:
        handle.write(b"text\nsmall\n" + quote)
        for _ in range(30):
            handle.write(b"x" * 1_000_000 + (b'""\n' if quote else b""))
        handle.write(quote + b"\nafter\n")
    tracemalloc.start()
    texts, accounts = out(path, max_document_bytes=100_000)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert texts == ["small", "after"]
    assert accounts["rejected"] == {"too long": 1}
    assert peak < 15_000_000
    [reject] = joined(tmp_path / "out", "rejects")
    assert reject["reason"].endswith("max_document_bytes is 100000")


def test_a_score_of_thousands_of_digits_is_a_reject(tmp_path: Path) -> None:
    data = b"text,score\nfirst,0\nsecond," + b"1" * 5000 + b"\n"
    found, accounts = out(written(tmp_path / "in.csv", data), columns={"score": "score"})
    assert found == ["first"]
    assert sum(accounts["rejected"].values()) == 1
