"""Bad input to a corpus: an error that says what and where, or a reject that is kept and counted."""

from __future__ import annotations

import gzip
import json
import resource
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from corpus_bench import joined, recipe, rows, tree, write_lines

from upbringing.base.errors import DataError
from upbringing.lab.corpus.run import transform_corpus

BENCH = Path(__file__).parent / "corpus_bench.py"
PLAIN = {"columns": {}, "route": []}


def lines(path: Path, *raw: bytes) -> Path:
    path.write_bytes(b"".join(raw))
    return path


def text(value: str) -> bytes:
    return json.dumps({"text": value}).encode() + b"\n"


def test_broken_utf8_is_a_reject_with_its_place_or_stops(tmp_path: Path) -> None:
    broken = b'{"text": "caf\xe9 au lait"}\n'
    path = lines(tmp_path / "in.jsonl", text("one"), broken, text("two"))
    report = transform_corpus(recipe([path], **PLAIN), tmp_path / "out")
    assert report.accounts["rejected"] == {"not UTF-8": 1}
    [reject] = joined(tmp_path / "out", "rejects")
    assert (reject["row"], reject["byte"], reject["file"]) == (2, broken.index(b"\xe9"), "in.jsonl")
    assert reject["excerpt"] == '{"text": "caf\\xe9 au lait"}'
    with pytest.raises(DataError, match=r"in\.jsonl row 2: byte 13 is not UTF-8"):
        transform_corpus(recipe([path], **PLAIN, bad_rows="stop"), tmp_path / "stop")


@pytest.mark.parametrize("groups", [1, 60_000], ids=["row groups", "one large group"])
def test_broken_utf8_in_parquet_is_a_reject_too(tmp_path: Path, groups: int) -> None:
    column = pa.array([b"one", b"caf\xe9", b"two"], pa.binary()).view(pa.string())
    pq.write_table(pa.table({"text": column}), tmp_path / "in.parquet")
    shard_bytes = 32_000_000 if groups == 1 else 1  # a group larger than a piece is unpacked into lines first
    report = transform_corpus(recipe([tmp_path / "in.parquet"], **PLAIN, shard_bytes=shard_bytes), tmp_path / "out")
    assert report.accounts["rejected"] == {"not UTF-8": 1}
    assert [row["text"] for row in joined(tmp_path / "out", "documents")] == ["one", "two"]


def test_rows_that_are_no_documents_are_rejects_with_their_reasons(tmp_path: Path) -> None:
    path = lines(
        tmp_path / "in.jsonl",
        text("good"),
        b"\n",
        b'{"text": "  "}\n',
        b'{"text": 5}\n',
        b'{"body": "x"}\n',
        b'["a list"]\n',
        b'{"text": "cut off\n',
        b'{"text": "half \\ud800 pair"}\n',
        b'{"text": "x", "score": NaN}\n',
        b"[" * 100_000 + b"\n",
        b"9" * 5000 + b"\n",
        text("last")[:-1],
    )
    report = transform_corpus(recipe([path], **PLAIN), tmp_path / "out")
    assert report.accounts["rejected"] == {
        "empty row": 1,
        "empty text": 1,
        "missing column": 1,
        "not JSON": 5,
        "not UTF-8": 1,
        "wrong type": 1,
    }
    assert [row["text"] for row in joined(tmp_path / "out", "documents")] == ["good", "last"]
    reasons = {row["row"]: row["reason"] for row in joined(tmp_path / "out", "rejects")}
    assert reasons[4] == "text is int, expected text"
    assert reasons[5] == "no column 'text'; it has 'body'"
    assert sorted(reasons) == list(range(2, 12))


def test_ids_and_scores_of_a_wrong_type_are_rejects(tmp_path: Path) -> None:
    made = rows(5)
    made[1]["id"], made[2]["id"], made[3]["score"], made[4]["id"] = None, "a\x1b[2Jb", 9, True
    report = transform_corpus(recipe([write_lines(tmp_path / "in.jsonl", made)]), tmp_path / "out")
    assert report.accounts["rejected"] == {"wrong type": 4}


def test_a_hundred_megabyte_document_is_a_reject_and_costs_no_memory(tmp_path: Path) -> None:
    path = tmp_path / "in.jsonl"
    with path.open("wb") as handle:
        handle.write(text("small") + b'{"text": "')
        for _ in range(100):
            handle.write(b"x" * 1_000_000)
        handle.write(b'"}\n' + text("after"))
    script = (
        "import resource, sys; from pathlib import Path; from upbringing.lab.corpus.recipe import CorpusRecipe; "
        "from upbringing.lab.corpus.run import transform_corpus; "
        "made = CorpusRecipe.model_validate_json(sys.argv[1]); import pyarrow.compute; "
        "before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss; "
        "transform_corpus(made, Path(sys.argv[2])); "
        "print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)"
    )
    made = recipe([path], **PLAIN, max_document_bytes=1_000_000).model_dump_json()
    command = [sys.executable, "-c", script, made, str(tmp_path / "out")]
    grown = int(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
    assert grown < 60_000, f"{grown} KiB more for a document that is not kept"
    [reject] = joined(tmp_path / "out", "rejects")
    assert reject["code"] == "too long"
    assert reject["reason"] == "the row has 100000013 bytes, max_document_bytes is 1000000"
    assert len(reject["excerpt"]) == 200
    assert [row["text"] for row in joined(tmp_path / "out", "documents")] == ["small", "after"]


def parquet(path: Path, table: Any) -> Path:
    pq.write_table(pa.table(table), path)
    return path


MISSING: dict[str, Callable[[Path], Path]] = {
    "jsonl": lambda folder: lines(folder / "in.jsonl", b'{"body": "x", "url": "y"}\n'),
    "jsonl.gz": lambda folder: write_lines(folder / "in.jsonl.gz", [{"body": "x", "url": "y"}]),
    "csv": lambda folder: lines(folder / "in.csv", b"body,url\nx,y\n"),
    "csv.gz": lambda folder: lines(folder / "in.csv.gz", gzip.compress(b"body,url\nx,y\n")),
    "parquet": lambda folder: parquet(folder / "in.parquet", {"body": ["x"], "url": ["y"]}),
}


@pytest.mark.parametrize("form", MISSING)
def test_a_missing_column_is_an_error_at_once_that_names_those_found(tmp_path: Path, form: str) -> None:
    path = MISSING[form](tmp_path)
    with pytest.raises(DataError, match=r"in\.\S+ has no column 'text'; it has 'body', 'url'"):
        transform_corpus(recipe([path], **PLAIN), tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_parquet_column_of_another_type_is_an_error_at_once(tmp_path: Path) -> None:
    path = parquet(tmp_path / "in.parquet", {"text": [1, 2]})
    with pytest.raises(DataError, match="the column 'text' holds int64, expected text"):
        transform_corpus(recipe([path], **PLAIN), tmp_path / "out")
    path = parquet(tmp_path / "in.parquet", {"text": ["a"], "score": [0.5]})
    with pytest.raises(DataError, match="the column 'score' holds double, expected integers"):
        transform_corpus(recipe([path], columns={"score": "score"}), tmp_path / "out")


@pytest.mark.parametrize("form", ["jsonl.gz", "jsonl.zst", "parquet", "middle.parquet"])
def test_a_truncated_file_is_an_error_that_names_it(tmp_path: Path, form: str) -> None:
    whole = write_lines(tmp_path / "whole.jsonl", rows(5000)).read_bytes()
    path = tmp_path / f"in.{form}"
    if form == "jsonl.gz":
        path.write_bytes(gzip.compress(whole)[:-2000])
    elif form == "jsonl.zst":
        with pa.CompressedOutputStream(str(path), "zstd") as stream:
            stream.write(whole)
        path.write_bytes(path.read_bytes()[:-2000])
    else:
        pq.write_table(pa.Table.from_pylist(rows(5000)), path)
        data = path.read_bytes()
        path.write_bytes(data[:-2000] if form == "parquet" else data[:1000] + b"\0" * 3000 + data[4000:])
    with pytest.raises(DataError, match=rf"in\.{form}"):
        transform_corpus(recipe([path]), tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_repeated_id_is_an_error_and_equal_texts_without_ids_are_numbered(tmp_path: Path) -> None:
    made = [{"id": name, "text": f"Text {place}", "score": 0} for place, name in enumerate(["a", "b", "a", "a"])]
    path = write_lines(tmp_path / "in.jsonl", made)
    with pytest.raises(DataError, match=r"'a' stands in in\.jsonl row 1 and again in in\.jsonl row 3 .2 repeated"):
        transform_corpus(recipe([path], shard_bytes=1), tmp_path / "out")
    path = lines(tmp_path / "in.jsonl", text("same"), text("other"), text("same"), text("same"))
    transform_corpus(recipe([path], **PLAIN, dedup={"exact": False}, shard_bytes=1), tmp_path / "hashed")
    ids = [row["id"] for row in joined(tmp_path / "hashed", "documents")]
    assert ids[2:] == [f"{ids[0]}#2", f"{ids[0]}#3"]
    assert len(set(ids)) == 4


def test_a_reserved_string_in_the_corpus_is_an_error_with_count_and_places(tmp_path: Path) -> None:
    path = lines(tmp_path / "in.jsonl", text("clean"), text("a <|tag|> b <|tag|>"), text("x <|tag|>"))
    with pytest.raises(DataError, match=r"'<\|tag\|>' 3 times; first in in\.jsonl row 2 character 2, in\.jsonl row 3"):
        transform_corpus(recipe([path], **PLAIN, reserved=["<|tag|>", "<|other|>"], shard_bytes=20), tmp_path / "out")
    accounts = transform_corpus(recipe([path], **PLAIN, reserved=["<|other|>"]), tmp_path / "other").accounts
    assert accounts["kept"] == 3


def test_a_label_that_reflections_would_put_in_is_found_before_anything_is_scored(tmp_path: Path) -> None:
    said = "They wrote <think> Safe </think> on the wall."
    path = lines(tmp_path / "in.jsonl", text("clean"), text(said), text("cut here <|end|>"))
    route = [{"scores": [0, 5], "do": [{"kind": "reflections", "end_marker": "<|end|>"}]}]
    scorer = {"kind": "keywords", "phrases": ["slur"], "hits": 1, "score": 4}
    found = r"'<think> Safe </think>' 1 times, '<\|end\|>' 1 times; first in in\.jsonl row 2"
    with pytest.raises(DataError, match=found):
        transform_corpus(recipe([path], columns={}, scorer=scorer, route=route), tmp_path / "out")


def test_a_column_that_stands_twice_is_a_reject(tmp_path: Path) -> None:
    path = lines(
        tmp_path / "in.jsonl",
        b'{"text": "one", "text": "two"}\n',
        b'{"text": "text", "more": {"text": "a", "text": "b"}}\n',
        b'{"text": "the \\"text\\" of it", "x": 1, "x": 2}\n',
        b'{"text": "text", "x": ' + b"9" * 5000 + b"}\n",
    )
    report = transform_corpus(recipe([path], **PLAIN), tmp_path / "out")
    assert report.accounts["rejected"] == {"key twice": 1, "not JSON": 1}
    reject, _ = joined(tmp_path / "out", "rejects")
    assert (reject["row"], reject["reason"]) == (1, "the key 'text' stands twice")
    assert [row["text"] for row in joined(tmp_path / "out", "documents")] == ["text", 'the "text" of it']


def test_a_byte_order_mark_costs_no_document(tmp_path: Path) -> None:
    path = lines(tmp_path / "in.jsonl", b"\xef\xbb\xbf" + text("one"), text("two"), b"\xef\xbb\xbf" + text("three"))
    for shard_bytes in (1, 32_000_000):
        out = tmp_path / f"out-{shard_bytes}"
        report = transform_corpus(recipe([path], **PLAIN, shard_bytes=shard_bytes), out)
        assert [row["text"] for row in joined(out, "documents")] == ["one", "two"]
        assert report.accounts["rejected"] == {"not JSON": 1}  # inside a file it is what it is


def test_nothing_that_matches_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="nothing readable matches"):
        transform_corpus(recipe([tmp_path / "none*.jsonl"]), tmp_path / "out")
    with pytest.raises(DataError, match="has no rows"):
        transform_corpus(recipe([lines(tmp_path / "empty.jsonl")]), tmp_path / "out")
    (tmp_path / "in.rtf").write_text("x")
    with pytest.raises(DataError, match=r"in\.rtf ends in none of"):
        transform_corpus(recipe([tmp_path / "in.rtf"]), tmp_path / "out")


@pytest.mark.parametrize("limit", [3000, 20_000, 60_000])
def test_a_full_disk_is_a_clear_error_and_the_same_command_goes_on(tmp_path: Path, limit: int) -> None:
    path = write_lines(tmp_path / "in.jsonl.gz", rows(600))
    made = recipe([path], shard_bytes=50_000)
    command = [sys.executable, str(BENCH), made.model_dump_json(), str(tmp_path / "out")]
    result = subprocess.run(
        command,
        capture_output=True,
        text=True,
        check=False,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit)),
    )
    assert result.returncode == 1
    assert "the disk or the file limit is full" in result.stderr
    assert not (tmp_path / "out").exists()
    assert not list((tmp_path / "out.work").rglob(".partial-*"))
    transform_corpus(made, tmp_path / "out")
    transform_corpus(made, tmp_path / "straight")
    assert tree(tmp_path / "out") == tree(tmp_path / "straight")
