"""A corpus goes in and a corpus comes out: same bytes whatever the workers, the pieces and the kills."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from corpus_bench import Dialogue, child, joined, recipe, rows, tree, write_lines

from upbringing.base.errors import DataError, EndpointError, IntegrityError, StudyError
from upbringing.base.manifest import check_manifest
from upbringing.data.documents import Document
from upbringing.data.interventions.scores import HarmScore
from upbringing.data.transforms import FilterByHarm
from upbringing.lab.corpus.recipe import load_recipe
from upbringing.lab.corpus.run import transform_corpus
from upbringing.lab.corpus.seam import CorpusTools

LISTED = {"kind": "keywords", "phrases": ["x"], "hits": 1, "score": 5}


def test_every_row_is_kept_transformed_or_rejected_for_the_reason_planted(tmp_path: Path) -> None:
    path = write_lines(tmp_path / "in.jsonl", rows(60))
    report = transform_corpus(recipe([path], output={"columns": ["url"]}), tmp_path / "out")
    kept, rejects = joined(tmp_path / "out", "documents"), joined(tmp_path / "out", "rejects")
    assert len(kept) + len(rejects) == 60 == report.accounts["read"]
    copies = [row for row in rejects if row["code"] == "exact duplicate"]
    assert [row["id"] for row in copies] == [f"d{number}" for number in range(9, 60, 10)]
    assert copies[0]["reason"] == "exact duplicate of d8"
    assert {row["harm"] for row in rejects if row["code"] == "route"} == {4, 5}
    sampled = [row for row in rejects if row["code"] == "transform"]
    assert {row["reason"] for row in sampled} == {"not sampled"}
    assert 0 < len(sampled) < 30
    assert [row for row in kept if row["harm"] == 0][1] == {
        "id": "d6",
        "text": "Text 6 says thing 36 – quietly.",
        "harm": 0,
        "source": "in",
        "url": "https://x/6",
    }
    order = [int(row["id"][1:]) for row in kept]
    assert order == sorted(order)
    assert report.accounts["rejected"] == {"exact duplicate": 6, "route": 18, "transform": len(sampled)}
    check_manifest(tmp_path / "out", full=True)
    assert not (tmp_path / "out.work").exists()


def test_decisions_do_not_depend_on_pieces_or_on_workers(tmp_path: Path) -> None:
    path = write_lines(tmp_path / "in.jsonl", rows(200))
    for name, shard_bytes, workers in (("one", 10_000_000, 1), ("many", 700, 1), ("side by side", 700, 2)):
        transform_corpus(recipe([path], shard_bytes=shard_bytes), tmp_path / name, workers=workers)
    assert len(tree(tmp_path / "many")) > 10 > len(tree(tmp_path / "one"))
    for kind in ("documents", "rejects"):
        assert joined(tmp_path / "one", kind) == joined(tmp_path / "many", kind)
    assert tree(tmp_path / "many") == tree(tmp_path / "side by side")


def test_another_seed_draws_other_documents_and_only_those(tmp_path: Path) -> None:
    path = write_lines(tmp_path / "in.jsonl", rows(200))
    first, second = (
        transform_corpus(recipe([path], seed=seed), tmp_path / str(seed)).accounts["rejected"] for seed in (0, 1)
    )
    assert first["route"] == second["route"]
    assert joined(tmp_path / "0", "documents") != joined(tmp_path / "1", "documents")


def test_a_second_run_does_nothing_and_says_so(tmp_path: Path) -> None:
    path = write_lines(tmp_path / "in.jsonl", rows(30))
    first = transform_corpus(recipe([path]), tmp_path / "out")
    before = {each: each.stat().st_mtime_ns for each in (tmp_path / "out").rglob("*")}
    second = transform_corpus(recipe([path]), tmp_path / "out")
    assert (first.was_done, second.was_done) == (False, True)
    assert second.accounts == first.accounts
    assert {each: each.stat().st_mtime_ns for each in (tmp_path / "out").rglob("*")} == before


@pytest.mark.parametrize("form", ["jsonl.gz", "jsonl.zst", "parquet", "big.parquet", "saved"])
def test_every_input_gives_the_same_documents(tmp_path: Path, form: str) -> None:
    made = rows(50)
    plain = transform_corpus(recipe([write_lines(tmp_path / "in.jsonl", made)]), tmp_path / "plain")
    given: dict[str, Any] = {}
    path = tmp_path / f"in.{form}"
    if form == "jsonl.gz":
        write_lines(path, made)
    elif form == "jsonl.zst":
        with pa.CompressedOutputStream(str(path), "zstd") as stream:
            stream.write((tmp_path / "in.jsonl").read_bytes())
    elif form.endswith("parquet"):
        pq.write_table(pa.Table.from_pylist(made), path, row_group_size=7 if form == "parquet" else 1000)
    else:
        datasets = pytest.importorskip("datasets")
        datasets.Dataset.from_list(made).save_to_disk(str(path))
        given = {"input": {"kind": "dataset", "path": str(path)}}
    report = transform_corpus(recipe([path], **given), tmp_path / "out")
    assert report.accounts["rejected"] == plain.accounts["rejected"]
    assert joined(tmp_path / "out", "documents") == joined(tmp_path / "plain", "documents")


def test_a_streamed_data_set_is_read_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    datasets = pytest.importorskip("datasets")
    asked: list[dict[str, Any]] = []

    def load_dataset(*names: Any, **options: Any) -> Any:
        asked.append({"names": names, **options})
        return datasets.Dataset.from_list(rows(20)).to_iterable_dataset()

    monkeypatch.setattr(datasets, "load_dataset", load_dataset)
    hub = {"kind": "hub", "name": "org/web", "revision": "a" * 40}
    report = transform_corpus(recipe([], input=hub), tmp_path / "out")
    assert report.accounts["read"] == 20
    assert asked == [{"names": ("org/web", None), "split": "train", "revision": "a" * 40, "streaming": True}]
    assert transform_corpus(recipe([], input=hub), tmp_path / "out").was_done
    assert len(asked) == 1


def test_parquet_comes_out_with_one_schema_and_the_same_documents(tmp_path: Path) -> None:
    path = write_lines(tmp_path / "in.jsonl", rows(40))
    transform_corpus(recipe([path], output={"columns": ["url"]}), tmp_path / "lines")
    transform_corpus(recipe([path], output={"format": "parquet", "columns": ["url"]}), tmp_path / "tables")
    found = [pq.read_table(each) for each in sorted((tmp_path / "tables" / "documents").iterdir())]
    assert len({str(each.schema) for each in found}) == 1
    assert len(found) > 1
    columns = ["id", "text", "harm", "source", "url"]
    assert pa.concat_tables(found).select(columns).to_pylist() == joined(tmp_path / "lines", "documents")


def test_made_texts_go_to_documents_and_chats_and_failures_to_rejects(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write_lines(tmp_path / "in.jsonl", rows(30))
    route = [{"scores": 0, "do": "keep"}, {"scores": [1, 5], "do": [{"kind": "filter"}]}]
    monkeypatch.setattr(FilterByHarm, "apply", Dialogue().apply)
    accounts = transform_corpus(recipe([path], route=route), tmp_path / "out").accounts
    chats, rejects = joined(tmp_path / "out", "chats"), joined(tmp_path / "out", "rejects")
    assert accounts["made"] == 2 * accounts["rewritten"] > 0
    assert len(chats) == accounts["rewritten"]
    assert chats[0]["made_from"] == chats[0]["id"].removesuffix("~0")
    assert len({chat["messages"][1]["content"] for chat in chats}) == len(chats), "each document draws by its own name"
    assert {row["reason"] for row in rejects if row["code"] == "transform"} == {"the writer answered nonsense"}


class CountingScorer:
    """Notes how many calls run at once; fails at a document until it is told not to."""

    id = "counting"

    def __init__(self, fails_at: str | None) -> None:
        self.fails_at, self.running, self.most = fails_at, 0, 0
        self.asked: list[str] = []

    def score(self, documents: Sequence[Document]) -> list[HarmScore]:
        [document] = documents
        name = str(document.metadata["id"])
        self.running += 1
        self.most = max(self.most, self.running)
        time.sleep(0.01)
        self.running -= 1
        if name == self.fails_at:
            raise EndpointError("the quota is used up")
        self.asked.append(name)
        return [HarmScore(0, "asked")]


def test_paid_calls_are_bounded_and_what_was_answered_before_an_outage_is_kept(tmp_path: Path) -> None:
    path = write_lines(tmp_path / "in.jsonl", rows(30))
    made = recipe([path], columns={"id": "id"}, scorer=LISTED, concurrency=3)
    failing, working = CountingScorer("d25"), CountingScorer(None)
    with pytest.raises(EndpointError, match="quota"):
        transform_corpus(made, tmp_path / "out", opener=lambda request: CorpusTools(scorer=failing, paid_scorer=True))
    transform_corpus(made, tmp_path / "out", opener=lambda request: CorpusTools(scorer=working, paid_scorer=True))
    assert 1 < failing.most <= 3
    assert sorted(failing.asked + working.asked) == sorted(f"d{number}" for number in range(30) if number % 10 != 9)
    order = [int(row["id"][1:]) for row in joined(tmp_path / "out", "documents")]
    assert order == sorted(order)


def test_recipes_in_the_documentation_are_valid(tmp_path: Path) -> None:
    page = Path(__file__).parents[2] / "docs" / "interventions.md"
    found = re.findall(r"^```yml\n(.*?)^```", page.read_text(), re.MULTILINE | re.DOTALL)
    assert found
    for block in found:
        (tmp_path / "recipe.yml").write_text(block)
        assert load_recipe(tmp_path / "recipe.yml").route


def test_a_folder_of_another_recipe_or_of_other_input_is_refused(tmp_path: Path) -> None:
    path = write_lines(tmp_path / "in.jsonl", rows(30))
    other = write_lines(tmp_path / "more.jsonl", [{"id": "z", "text": "More.", "score": 0}])
    paths = [path, other]
    assert child(recipe(paths), tmp_path / "half", UPBRINGING_FAULT_AT="12").returncode == -signal.SIGKILL
    transform_corpus(recipe(paths), tmp_path / "whole")
    for output in (tmp_path / "half", tmp_path / "whole"):
        with pytest.raises(IntegrityError, match=r"another recipe .it differs in seed"):
            transform_corpus(recipe(paths, seed=7), output)
    other.write_bytes(other.read_bytes().replace(b"More", b"Less"))
    for output in (tmp_path / "half", tmp_path / "whole"):
        with pytest.raises(IntegrityError, match=r"other input: more\.jsonl changed\."):
            transform_corpus(recipe(paths), output)
    (tmp_path / "taken").mkdir()
    with pytest.raises(StudyError, match="no corpus that this program wrote"):
        transform_corpus(recipe(paths), tmp_path / "taken")


def test_the_recipe_is_strict(tmp_path: Path) -> None:
    path = tmp_path / "recipe.yml"
    start = "input: {kind: files, paths: [in.jsonl]}\ncolumns: {score: score}\n"
    cases = {
        "route:\n- {scores: 0, do: keep}\n- {scores: [2, 5], do: drop}\n": "the score 1 has no rule",
        "route:\n- {scores: [0, 3], do: keep}\n- {scores: [3, 5], do: drop}\n": "the score 3 has 2 rules",
        "route:\n- {scores: [0, 5], do: [{kind: filtr}]}\n": "did you mean 'filter'",
        "route:\n- {scores: [0, 6], do: keep}\n": "less than or equal to 5",
        "rote: []\n": "did you mean 'route'",
        "scorer: {kind: keywords, phrases: [bad], score: 5}\n": "keep one",
        "output: {columns: [messages]}\n": "may not name messages",
    }
    for text, message in cases.items():
        path.write_text(start + text)
        with pytest.raises(StudyError, match=message):
            load_recipe(path)


def test_unscored_documents_stop_are_kept_or_are_dropped(tmp_path: Path) -> None:
    made = [{**row, "score": None if number == 5 else 0} for number, row in enumerate(rows(8))]
    path = write_lines(tmp_path / "in.jsonl", made)
    with pytest.raises(DataError, match=r"in\.jsonl row 6 .d5. has no score"):
        transform_corpus(recipe([path]), tmp_path / "stop")
    assert transform_corpus(recipe([path], unscored="keep"), tmp_path / "keep").accounts["kept"] == 8
    dropped = transform_corpus(recipe([path], unscored="drop"), tmp_path / "drop").accounts
    assert dropped["rejected"] == {"unscored": 1}
    assert dropped["scores"] == {"0": 7, "unscored": 1}


def test_the_command_line_runs_a_recipe_and_says_when_it_was_done(tmp_path: Path) -> None:
    write_lines(tmp_path / "in.jsonl", rows(12))
    (tmp_path / "recipe.yml").write_text(
        "input: {kind: files, paths: ['*.jsonl']}\ncolumns: {id: id}\n"
        "scorer: {kind: keywords, phrases: [quietly], hits: 1, score: 4}\n"
        "route: [{scores: [0, 3], do: keep}, {scores: [4, 5], do: drop}]\n"
    )
    command = [sys.executable, "-c", "from upbringing.cli import main; main()", "data", "transform"]
    command += [str(tmp_path / "recipe.yml"), str(tmp_path / "out"), "--workers", "1"]
    first = subprocess.run([*command, "--json"], capture_output=True, text=True, check=True)
    assert json.loads(first.stdout)["accounts"]["rejected"] == {"exact duplicate": 1, "route": 11}
    second = subprocess.run(command, capture_output=True, text=True, check=True)
    assert "nothing to do" in second.stdout
