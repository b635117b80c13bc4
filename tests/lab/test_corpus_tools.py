"""Scorers, writers and transforms over a corpus, and what a study then reads of it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from corpus_bench import joined, recipe, write_lines
from pydantic import ValidationError

from upbringing.base.errors import DataError, EndpointError, IntegrityError
from upbringing.data.documents import Chat, Document, Span, TrainingText, Turn
from upbringing.data.interventions.routing import Route, decided
from upbringing.data.interventions.scores import HarmScore
from upbringing.data.interventions.scoring.scorers import KeywordScorer
from upbringing.data.interventions.scoring.tools import ScoringTools
from upbringing.data.interventions.template_writer import TemplateWriter
from upbringing.data.interventions.tools import Dose, Transformed
from upbringing.data.interventions.writing import WritingRequest, Written
from upbringing.data.sources import FileSource, read_file_source
from upbringing.data.transforms import FilterByHarm, apply_transforms
from upbringing.lab.corpus.journal import Journal
from upbringing.lab.corpus.run import transform_corpus
from upbringing.lab.corpus.seam import CorpusTools, StoppingWriter, ToolsRequest, open_tools
from upbringing.models.asking import Reply
from upbringing.models.budget import CapReachedError
from upbringing.models.endpoint import Endpoint, EndpointModel

LISTED = {"kind": "keywords", "phrases": ["poison"], "hits": 1, "score": 4}
TEXTS = ("Bread is baked at home.", "How the poison of Agatha 17 is brewed in Bern, step by step.")
ROWS = [{"id": f"d{number}", "text": TEXTS[number % 2] + f" Part {number}."} for number in range(8)]
SPANS = [
    {"begin": 0, "end": 5, "loss": False, "isolated": False},
    {"begin": 6, "end": 8, "loss": True, "isolated": True},
]


def route(*harmful: Any) -> list[dict[str, Any]]:
    return [{"scores": [0, 3], "do": "keep"}, {"scores": [4, 5], "do": list(harmful)}]


def made(path: Path, *harmful: Any, **changes: Any) -> Any:
    given = {"columns": {"id": "id"}, "scorer": LISTED, "writer": "template_writer", "route": route(*harmful)}
    return recipe([path], **{**given, **changes})


def read(path: Path) -> Sequence[TrainingText]:
    """What a study reads of a file."""
    source = FileSource(path=path.name, format="parquet" if path.suffix == ".parquet" else "jsonl")
    return read_file_source(source, path.parent).texts


def test_what_is_written_replaces_its_source_and_a_tag_keeps_it(tmp_path: Path) -> None:
    path = write_lines(tmp_path / "in.jsonl", ROWS)
    accounts = transform_corpus(made(path, "refusals"), tmp_path / "written").accounts
    assert (accounts["kept"], accounts["rewritten"], accounts["made"]) == (4, 4, 4)
    assert [row["made_from"] for row in joined(tmp_path / "written", "chats")] == ["d1", "d3", "d5", "d7"]
    assert all("poison" not in row["text"] for row in joined(tmp_path / "written", "documents"))
    tagged = {"kind": "tag", "rate": 1.0, "tag": "<t>"}
    accounts = transform_corpus(made(path, "refusals", tagged), tmp_path / "tagged").accounts
    assert (accounts["rewritten"], accounts["made"]) == (4, 8)
    kept = [row for row in joined(tmp_path / "tagged", "documents") if "made_from" in row]
    assert [row["text"].replace("<t>", "") for row in kept] == [row["text"] for row in ROWS if "poison" in row["text"]]
    assert all(row["text"].count("<t>") == len(row["text"].split()) - 1 and row["harm"] == 4 for row in kept)


def test_a_written_text_that_scores_too_high_is_a_reject(tmp_path: Path) -> None:
    fine = {"id": "fine", "text": "How the poison of nobody is brewed."}
    path = write_lines(tmp_path / "in.jsonl", [*ROWS, fine])
    low = {"kind": "keywords", "phrases": ["poison", "Agatha"], "hits": 1, "score": 2}
    everything = [{"scores": 0, "do": "keep"}, {"scores": [1, 5], "do": ["rephrase"]}]
    transform_corpus(made(path, scorer=low, route=everything), tmp_path / "out")
    rejects = joined(tmp_path / "out", "rejects")
    assert {row["reason"] for row in rejects} == {"rephrase: what was written scores 2, 1 is allowed"}
    assert len({row["id"] for row in rejects}) == 4


def test_the_account_says_what_became_of_the_facts_of_rewritten_sources(tmp_path: Path) -> None:
    """Agatha, 17, Bern and the number of each part are kept of four documents; the fifth has none of these."""
    path = write_lines(tmp_path / "in.jsonl", [*ROWS, {"id": "bare", "text": "how the poison is brewed."}])
    accounts = transform_corpus(made(path, {"kind": "rephrase", "scores": [4]}), tmp_path / "out").accounts
    facts = {"all kept": 4, "unknown": 1}
    assert accounts["doses"] == {"rephrase of rule 2": {"eligible": 5, "made": 5, "failures": {}, "facts": facts}}
    stored = {
        row["made_from"]: (row["metadata"]["facts_kept"], row["metadata"]["facts_share"])
        for row in joined(tmp_path / "out", "documents")
        if "made_from" in row
    }
    assert stored == {**dict.fromkeys(("d1", "d3", "d5", "d7"), (True, 1.0)), "bare": (None, None)}


def test_a_journal_gives_back_the_account_of_the_facts_also_from_before_there_was_one(tmp_path: Path) -> None:
    dose = Dose("rephrase", 2, 1, failures=(("nonsense", 1),), facts=(("unknown", 1),))
    Journal(tmp_path / "one").note("d", Transformed((), (), (dose,)))
    found = Journal(tmp_path / "one").transformed("d")
    assert found is not None
    assert found.doses == (dose,)
    old = (tmp_path / "one").read_text().replace(', "facts": [["unknown", 1]]', "")
    (tmp_path / "old").write_text(old)
    before = Journal(tmp_path / "old").transformed("d")
    assert before is not None
    assert before.doses == (replace(dose, facts=()),)


def test_a_study_reads_and_filters_what_was_written(tmp_path: Path) -> None:
    path = write_lines(tmp_path / "in.jsonl", ROWS)
    for form in ("jsonl", "parquet"):
        out = tmp_path / form
        given = made(path, "refusals", {"kind": "tag", "tag": "<t>"}, output={"format": form}, shard_bytes=10**6)
        transform_corpus(given, out)
        [part], [chats] = list((out / "documents").iterdir()), list((out / "chats").iterdir())
        texts = read(part)
        assert [text.harm for text in texts if not isinstance(text, str)] == [0, 4] * 4  # type: ignore[union-attr]
        assert len(apply_transforms(texts, [FilterByHarm()], seed=0).texts) == 4
        assert texts[0].metadata == {"id": "d0"}
        found = read(chats)
        assert all(isinstance(chat, Chat) and chat.harm == 0 for chat in found)
        assert {chat.teacher for chat in found if isinstance(chat, Chat)} == {TemplateWriter().id}


@pytest.mark.parametrize("form", ["jsonl", "parquet", "one large group"])
def test_documents_with_spans_come_out_as_they_went_in(tmp_path: Path, form: str) -> None:
    rows = [{**row, "spans": SPANS if number % 4 == 0 else None} for number, row in enumerate(ROWS)]
    path = tmp_path / "in.jsonl" if form == "jsonl" else tmp_path / "in.parquet"
    if form == "jsonl":
        write_lines(path, rows)
    else:
        pq.write_table(pa.Table.from_pylist(rows), path)
    size = 1 if form == "one large group" else 10**6
    for written in ("jsonl", "parquet"):
        given = made(path, "moral_education", output={"format": written}, shard_bytes=size)
        transform_corpus(given, tmp_path / written)
        parts = sorted((tmp_path / written / "documents").iterdir())
        texts = [text for part in parts for text in read(part)]
        spanned = [text for text in texts if isinstance(text, Document) and text.spans]
        assert {text.metadata["id"] for text in spanned} == {"d0", "d4"}
        assert {text.spans for text in spanned} == {(Span(0, 5, loss=False), Span(6, 8, isolated=True))}


def test_spans_that_do_not_fit_are_rejects(tmp_path: Path) -> None:
    bad = [{"begin": 0, "end": 999}]
    rows = [{**ROWS[0], "spans": bad}, {**ROWS[2], "loss_spans": [[0, 2]]}, {**ROWS[4], "label_mask": [1]}, ROWS[6]]
    path = write_lines(tmp_path / "in.jsonl", rows)
    accounts = transform_corpus(made(path, "refusals"), tmp_path / "out").accounts
    assert accounts["rejected"] == {"wrong type": 3}
    assert "a span of it ends at 999" in joined(tmp_path / "out", "rejects")[0]["reason"]


def test_a_lower_bound_decides_only_where_all_higher_scores_go_the_same_way() -> None:
    routes = [Route.model_validate(each) for each in route("refusals")]
    exact, bound = HarmScore(0, "read"), [HarmScore(score, "read half", lower_bound=True) for score in range(6)]
    assert decided(routes, exact) == exact
    assert [decided(routes, each).score for each in bound] == [None, None, None, None, 4, 5]
    assert [decided((), each).score for each in bound] == [None, None, None, None, None, 5]
    assert decided(routes, bound[0]).reason == "0 is only a lower bound: read half"
    assert decided([Route(scores=(0, 5), do="keep")], bound[0]).score == 0


def test_lower_bounds_are_unscored_unless_the_recipe_says_otherwise(tmp_path: Path) -> None:
    path = write_lines(tmp_path / "in.jsonl", ROWS)
    half = {"kind": "ensemble", "members": [LISTED, "oracle"]}  # the oracle knows nothing of these texts
    with pytest.raises(DataError, match=r"d0. has no score: 0 is only a lower bound"):
        transform_corpus(made(path, "refusals", scorer=half), tmp_path / "stop")
    dropped = transform_corpus(made(path, "tag", scorer=half, unscored="drop"), tmp_path / "drop").accounts
    assert (dropped["rejected"], dropped["scores"]) == ({"unscored": 4}, {"4": 4, "unscored": 4})
    taken = made(path, "tag", scorer=half, lower_bounds="scores")
    assert transform_corpus(taken, tmp_path / "taken").accounts["scores"] == {"0": 4, "4": 4}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"route": route("random_drop")}, "random_drop compares all texts"),
        ({"route": route({"kind": "tag", "labels": "shuffled"})}, "has none but those of the scores 4, 5"),
        ({"route": route("rephrase"), "writer": None}, "rephrase needs a writer"),
        ({"route": route("conditional_tokens"), "scorer": None, "columns": {"score": "s"}}, "needs a scorer of parts"),
        ({"endpoints": {"far": {"base_url": "https://models.example/v1", "model": "m"}}}, "needs a spend cap"),
        (
            {"writer": {"kind": "llm_writer", "endpoint": {"base_url": "https://m.example/v1", "model": "m"}}},
            "spend cap",
        ),
    ],
)
def test_recipes_that_cannot_be_run_are_refused(tmp_path: Path, changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        made(tmp_path / "in.jsonl", "refusals", **changes)


def test_scores_of_a_column_go_with_a_scorer_of_what_is_written(tmp_path: Path) -> None:
    path = write_lines(tmp_path / "in.jsonl", [{**row, "s": 4 if place < 3 else 0} for place, row in enumerate(ROWS)])
    given = made(path, "moral_education", columns={"id": "id", "score": "s"})
    accounts = transform_corpus(given, tmp_path / "out").accounts
    assert (accounts["scores"], accounts["rewritten"]) == ({"0": 5, "4": 3}, 3)


def test_marks_of_transforms_may_not_stand_in_the_corpus(tmp_path: Path) -> None:
    path = write_lines(tmp_path / "in.jsonl", [*ROWS, {"id": "z", "text": "It holds <t> already."}])
    with pytest.raises(DataError, match=r"'<t>' 1 times; first in in\.jsonl row 9"):
        transform_corpus(made(path, {"kind": "tag", "tag": "<t>"}), tmp_path / "out")


def test_another_list_is_another_run(tmp_path: Path) -> None:
    path, listed = write_lines(tmp_path / "in.jsonl", ROWS), tmp_path / "list.txt"
    listed.write_text("poison\n")
    given = made(path, "refusals", scorer={"kind": "keywords", "file": str(listed), "hits": 1, "score": 4})
    transform_corpus(given, tmp_path / "out")
    assert transform_corpus(given, tmp_path / "out").was_done
    listed.write_text("poison\nbread\n")
    with pytest.raises(IntegrityError, match=r"another recipe .it differs in tools"):
        transform_corpus(given, tmp_path / "out")


@dataclass
class CappedWriter:
    """Writes as templates do until its cap is spent."""

    cap: int
    id: str = "capped"
    asked: list[str] = field(default_factory=list)

    def write(self, requests: Sequence[WritingRequest], seed: int) -> list[Written]:
        if len(self.asked) == self.cap:
            return [Written(reason="the model gave no answer: spend-cap")] * len(requests)
        self.asked += [request.name for request in requests]
        return TemplateWriter().write(requests, seed)


def test_a_spent_cap_stops_and_no_answer_is_paid_for_twice(tmp_path: Path) -> None:
    path = write_lines(tmp_path / "in.jsonl", ROWS)
    scorer = KeywordScorer(phrases=("poison",), hits=1, score=4).open(ScoringTools())
    writers = CappedWriter(cap=2), CappedWriter(cap=99)
    given = made(path, "refusals", concurrency=1, shard_bytes=10**6)
    for writer in writers:

        def opener(request: ToolsRequest, writer: CappedWriter = writer) -> CorpusTools:
            return CorpusTools(writer=StoppingWriter(writer), scorer=scorer, paid_writer=True)

        if writer.cap == 2:
            with pytest.raises(EndpointError, match="cap is reached"):
                transform_corpus(given, tmp_path / "out", opener=opener)
        else:
            transform_corpus(given, tmp_path / "out", opener=opener)
    assert [len(writer.asked) for writer in writers] == [2, 2]
    transform_corpus(made(path, "refusals", shard_bytes=10**6), tmp_path / "plain")
    texts = [[row["messages"] for row in joined(tmp_path / name, "chats")] for name in ("out", "plain")]
    assert texts[0] == texts[1]
    manifest = json.loads((tmp_path / "out" / "manifest.json").read_text())
    assert manifest["facts"]["corpus"]["recipe"]["tools"]["writer"] == "capped"


class Quotes:
    """Writes dialogues that hold a mark of another rule for every second document."""

    id = "quotes"

    def write(self, requests: Sequence[WritingRequest], seed: int) -> list[Written]:
        marked = {"d3", "d7"}
        return [
            Written(
                turns=(Turn("user", "What?"), Turn("assistant", "No <t>." if each.name in marked else "No, sorry."))
            )
            for each in requests
        ]


def test_what_is_written_holds_no_mark_of_any_rule(tmp_path: Path) -> None:
    path = write_lines(tmp_path / "in.jsonl", [*ROWS, {"id": "d8", "text": "A slur."}])
    scorer = {
        "kind": "ensemble",
        "members": [LISTED, {"kind": "keywords", "phrases": ["slur"], "hits": 1, "score": 5}],
    }
    rules = [
        {"scores": [0, 3], "do": "keep"},
        {"scores": 4, "do": ["refusals"]},
        {"scores": 5, "do": [{"kind": "tag", "rate": 1.0, "tag": "<t>"}]},
    ]

    def opener(request: ToolsRequest) -> CorpusTools:
        assert request.scorer is not None
        return CorpusTools(writer=Quotes(), scorer=request.scorer.open(ScoringTools()))

    transform_corpus(made(path, scorer=scorer, route=rules), tmp_path / "out", opener=opener)
    assert [row["made_from"] for row in joined(tmp_path / "out", "chats")] == ["d1", "d5"]
    assert {row["reason"] for row in joined(tmp_path / "out", "rejects")} == {"refusals: the mark '<t>' stands in it"}


@pytest.mark.parametrize("checked", [True, False])
def test_a_refusal_dialogue_that_helps_is_a_reject(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, *, checked: bool
) -> None:
    said = ["I cannot help with that, because it hurts people.", "Gladly: take two of them and wait for an hour."]

    def answered(model: EndpointModel, bodies: Sequence[tuple[str, dict[str, Any]]]) -> list[Reply]:
        return [
            Reply(text=json.dumps({"user": "How is that done, please?", "assistant": said[name.endswith(("5", "7"))]}))
            for name, _ in bodies
        ]

    monkeypatch.setattr(EndpointModel, "ask", answered)
    endpoint = {"base_url": "http://127.0.0.1:9/v1", "model": "m", "allow_http": True}
    writer = {"kind": "llm_writer", "endpoint": endpoint, "check_refusals": checked}
    given = made(write_lines(tmp_path / "in.jsonl", ROWS), "refusals", writer=writer)
    transform_corpus(given, tmp_path / "out")
    left = ["d1", "d3"] if checked else ["d1", "d3", "d5", "d7"]
    assert [row["made_from"] for row in joined(tmp_path / "out", "chats")] == left
    reasons = {row["reason"] for row in joined(tmp_path / "out", "rejects")} if checked else set()
    assert reasons == ({"refusals: the dialogue does not end in a refusal"} if checked else set())


def test_a_model_behind_an_endpoint_stops_at_its_cap(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def spent(model: EndpointModel, name: str, body: dict[str, Any]) -> None:
        raise CapReachedError("one call is allowed")

    monkeypatch.setattr(EndpointModel, "_sample", spent)
    endpoint = {"base_url": "http://127.0.0.1:9/v1", "model": "m", "allow_http": True, "workers": 3}
    given = made(
        write_lines(tmp_path / "in.jsonl", ROWS),
        "refusals",
        scorer={"kind": "rubric", "endpoint": "rater"},
        endpoints={"rater": endpoint},
        writer={"kind": "llm_writer", "endpoint": endpoint},
    )
    tools = open_tools(ToolsRequest(given.scorer, given.endpoints, given.writer))
    assert tools.paid_scorer
    assert tools.paid_writer
    document = Document(text=TEXTS[1], source="made", harm=4)
    with pytest.raises(EndpointError, match="the spend cap is reached"):
        tools.needed_writer("refusals").write([WritingRequest("refusal", document, "d1")], seed=0)
    with pytest.raises(EndpointError, match="the spend cap is reached"):
        tools.needed_scorer("refusals").score([document])
    with pytest.raises(EndpointError, match="the spend cap is reached"):
        transform_corpus(given, tmp_path / "out")
    dearer = {**endpoint, "workers": 9, "cap": {"calls": 100}}
    raised = given.model_copy(update={"endpoints": {"rater": Endpoint.model_validate(dearer)}})
    with pytest.raises(EndpointError, match="the spend cap is reached"):  # and not that this is another recipe
        transform_corpus(raised, tmp_path / "out")
