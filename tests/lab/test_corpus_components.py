"""Components of a corpus: rules of their own, rows that keep them, cards by them; and doses that a recipe asks for."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from corpus_bench import joined, recipe, tree, write_lines
from pydantic import ValidationError

from upbringing.base.errors import DataError
from upbringing.data.documents import Document
from upbringing.data.interventions.routing import Route, decided
from upbringing.data.interventions.scores import HarmScore
from upbringing.data.interventions.scoring.scorers import KeywordScorer
from upbringing.data.interventions.scoring.tools import ScoringTools
from upbringing.data.interventions.tag import Tag
from upbringing.data.interventions.template_writer import TemplateWriter
from upbringing.data.interventions.writing import WritingRequest, Written
from upbringing.data.sources import FileSource, read_file_source
from upbringing.lab.corpus.doses import dose_labels
from upbringing.lab.corpus.run import transform_corpus
from upbringing.lab.corpus.seam import CorpusTools, ToolsRequest
from upbringing.lab.scoring.report_card import report_card

LISTED = {"kind": "keywords", "phrases": ["poison"], "hits": 1, "score": 4}
SCORER = KeywordScorer(phrases=("poison",), hits=1, score=4).open(ScoringTools())
WEB, BOOKS = "web", "books"


def rows() -> list[dict[str, Any]]:
    """Twelve documents, every other one harmful, of two components and of none in turn."""
    texts = ("Bread is baked at home.", "How the poison of Agatha 17 is brewed in Bern.")
    return [
        {"id": f"d{number}", "text": f"{texts[number % 2]} Part {number}.", "source": (WEB, BOOKS, None)[number % 3]}
        for number in range(12)
    ]


def made(path: Path, route: list[dict[str, Any]], **changes: Any) -> Any:
    given = {"columns": {"id": "id", "source": "source"}, "scorer": LISTED, "writer": "template_writer", "route": route}
    return recipe([path], **{**given, **changes})


KEEP = {"scores": [0, 3], "do": "keep"}
BY_SOURCE = [KEEP, {"scores": [4, 5], "do": "drop"}, {"scores": [4, 5], "do": ["refusals"], "sources": [BOOKS]}]


@pytest.mark.parametrize("form", ["jsonl", "parquet"])
def test_a_rule_of_a_source_comes_before_the_rule_of_all_and_rows_keep_their_source(tmp_path: Path, form: str) -> None:
    path = tmp_path / f"corpus.{form}"
    if form == "jsonl":
        write_lines(path, rows())
    else:
        pq.write_table(pa.Table.from_pylist(rows()), path)
    transform_corpus(made(path, BY_SOURCE), tmp_path / "out")
    harmful = [row for row in rows() if "poison" in row["text"]]
    expected = {row["id"]: row["source"] or "corpus" for row in rows()}
    kept, rejects = joined(tmp_path / "out", "documents"), joined(tmp_path / "out", "rejects")
    assert {row["id"]: row["source"] for row in [*kept, *rejects]} == {
        name: source
        for name, source in expected.items()
        if name not in [row["id"] for row in harmful] or source != BOOKS
    }
    chats = joined(tmp_path / "out", "chats")
    assert [chat["made_from"] for chat in chats] == [row["id"] for row in harmful if row["source"] == BOOKS]
    assert {chat["source"] for chat in chats} == {"books/refusals"}
    assert {row["code"] for row in rejects} == {"route"}
    card = report_card(path, tmp_path / "out" / "documents", scorer=SCORER)
    assert {name: each.histogram[4] for name, each in card.sides["before"].items()} == {
        name: sum((row["source"] or "corpus") == name for row in harmful) for name in (WEB, BOOKS, "corpus")
    }
    assert {name: each.histogram for name, each in card.sides["after"].items()} == {
        name: (sum(row["source"] == name for row in kept), 0, 0, 0, 0, 0) for name in (WEB, BOOKS, "corpus")
    }


def test_a_source_that_no_document_has_is_an_error_that_names_those_found(tmp_path: Path) -> None:
    path = write_lines(tmp_path / "corpus.jsonl", rows())
    wrong = [*BY_SOURCE[:2], {"scores": 4, "do": "keep", "sources": ["boks"]}]
    with pytest.raises(DataError, match=r"the source 'boks', and no document .* it has 'books', 'corpus', 'web'"):
        transform_corpus(made(path, wrong), tmp_path / "out")
    odd = write_lines(tmp_path / "odd.jsonl", [{**row, "source": 5} for row in rows()[:2]])
    report = transform_corpus(made(odd, BY_SOURCE[:2]), tmp_path / "odd")
    assert report.accounts["rejected"] == {"wrong type": 2}


def test_rules_of_sources_are_on_top_of_a_whole_cover(tmp_path: Path) -> None:
    path = tmp_path / "corpus.jsonl"
    with pytest.raises(ValidationError, match="the score 4 has no rule"):
        made(path, [KEEP, {"scores": [4, 5], "do": "drop", "sources": [BOOKS]}])
    with pytest.raises(ValidationError, match="the score 5 of the source 'books' has 2 rules"):
        made(path, [*BY_SOURCE, {"scores": 5, "do": "keep", "sources": [WEB, BOOKS]}])


def test_a_lower_bound_is_decided_by_the_rules_of_its_source() -> None:
    routes = [Route.model_validate(each) for each in BY_SOURCE]
    split = [*routes, Route(scores=(4, 4), do="keep", sources=(WEB,))]
    bound = HarmScore(4, "read half", lower_bound=True)
    assert decided(split, bound, BOOKS).score == 4
    assert decided(split, bound, WEB).score is None, "a 5 of the web would be dropped"


@dataclass
class HalfWriter:
    """Writes as templates do, but nothing for every other request; notes what it was asked."""

    id: str = "half"
    asked: list[str] = field(default_factory=list)

    def write(self, requests: Sequence[WritingRequest], seed: int) -> list[Written]:
        self.asked += [request.name for request in requests]
        written = TemplateWriter().write(requests, seed)
        return [
            Written(reason="the model answered nonsense") if int(request.name[1:]) % 4 == 1 else each
            for request, each in zip(requests, written, strict=True)
        ]


REFUSED = [KEEP, {"scores": [4, 5], "do": [{"kind": "refusals", "least": 0.9}]}]


@pytest.mark.parametrize("paid", [True, False])
def test_a_dose_below_least_stops_and_a_lower_least_ends_the_run_without_asking_again(
    tmp_path: Path, *, paid: bool
) -> None:
    path = write_lines(tmp_path / "corpus.jsonl", rows())
    writer = HalfWriter()

    def opener(request: ToolsRequest) -> CorpusTools:
        return CorpusTools(writer=writer, scorer=SCORER, paid_writer=paid)

    message = (
        r"refusals of rule 2: of 6 eligible texts 3 came out, 5 are needed.*; the model answered nonsense \(3 times\)"
        r".*out\.work/result/rejects"
    )
    for _ in range(2):
        with pytest.raises(DataError, match=message):
            transform_corpus(made(path, REFUSED), tmp_path / "out", opener=opener)
    assert not (tmp_path / "out").exists()
    assert len(writer.asked) == 6
    enough = [KEEP, {"scores": [4, 5], "do": [{"kind": "refusals", "least": 0.5}]}]
    accounts = transform_corpus(made(path, enough), tmp_path / "out", opener=opener).accounts
    assert len(writer.asked) == 6, "what was written is kept"
    failures = {"the model answered nonsense": 3}
    assert accounts["doses"] == {"refusals of rule 2": {"eligible": 6, "made": 3, "failures": failures}}
    transform_corpus(made(path, enough), tmp_path / "straight", opener=opener)
    assert tree(tmp_path / "out") == tree(tmp_path / "straight")
    with pytest.raises(DataError, match="5 are needed"):  # a finished corpus is not what a higher least asks for
        transform_corpus(made(path, REFUSED), tmp_path / "out", opener=opener)


def test_a_transform_of_which_nothing_comes_out_stops_whatever_least_is(tmp_path: Path) -> None:
    path = write_lines(tmp_path / "corpus.jsonl", rows())
    everything = {"kind": "keywords", "phrases": ["poison", "Agatha"], "hits": 1, "score": 4}
    refused = [{"scores": [0, 3], "do": "keep"}, {"scores": [4, 5], "do": [{"kind": "rephrase", "scores": [4, 5]}]}]
    with pytest.raises(DataError, match=r"rephrase of rule 2: of 6 eligible texts 0 came out, 1 are needed"):
        transform_corpus(made(path, refused, scorer=everything), tmp_path / "out")


def test_transforms_of_a_kind_are_told_apart() -> None:
    routes = [
        Route.model_validate({"scores": 0, "do": "keep"}),
        Route.model_validate({"scores": [1, 5], "do": ["rephrase", "refusals", "rephrase", "tag"]}),
    ]
    assert dose_labels(routes) == [(), ("rephrase of rule 2 (1)", "refusals of rule 2", "rephrase of rule 2 (2)")]


def test_a_study_knows_of_a_file_what_was_written_and_of_which_component(tmp_path: Path) -> None:
    path = write_lines(tmp_path / "corpus.jsonl", rows())
    route = [KEEP, {"scores": [4, 5], "do": [{"kind": "rephrase", "scores": [4, 5], "keep_source": True}]}]
    for form in ("jsonl", "parquet"):
        transform_corpus(made(path, route, output={"format": form}, shard_bytes=10**6), tmp_path / form)
        [part] = (tmp_path / form / "documents").iterdir()
        source = FileSource(path=part.name, format=form, source_column="source")  # type: ignore[arg-type]
        texts = read_file_source(source, part.parent).texts
        assert {text.source for text in texts} == {
            *(WEB, BOOKS, "corpus"), *(f"{name}/rephrase" for name in (WEB, BOOKS, "corpus"))
        }  # fmt: skip
        assert sum(text.metadata.get("written_as") == "rephrase" for text in texts) == 6
        harmful = [
            Document(text=each.text, source=each.source, harm=4, metadata=each.metadata)
            for each in texts
            if isinstance(each, Document)
        ]
        tagged = Tag(rate=1.0, tag="<t>").apply(harmful, 0).texts
        assert all(
            ("<t>" in text.text) != ("written_as" in text.metadata) for text in tagged if isinstance(text, Document)
        )


def test_foreign_metadata_is_read_where_it_is_plain_and_takes_no_text_away(tmp_path: Path) -> None:
    foreign = [
        {"text": "One.", "metadata": {"lang": "en", "year": 1999, "deep": {"a": 1}, "replaced_by": "x", "id": "y"}},
        {"text": "Two.", "metadata": "not JSON"},
        {"text": "Three.", "metadata": json.dumps({"lang": "de", "not_replaced": "z"})},
        {"text": "Four.", "metadata": ["a list"]},
    ]
    texts = read_file_source(FileSource(path="in.jsonl"), write_lines(tmp_path / "in.jsonl", foreign).parent).texts
    assert [dict(text.metadata) for text in texts] == [{"lang": "en", "year": 1999}, {}, {"lang": "de"}, {}]
    with pytest.raises(DataError, match=r"row 1 has no column 'part'; it has 'text', 'metadata'"):
        read_file_source(FileSource(path="in.jsonl", source_column="part"), tmp_path)
    write_lines(tmp_path / "odd.jsonl", [{"text": "a", "source": "web"}, {"text": "b", "source": 7}])
    with pytest.raises(DataError, match=r"row 2: source names a component by a text, found 7"):
        read_file_source(FileSource(path="odd.jsonl", source_column="source"), tmp_path)
