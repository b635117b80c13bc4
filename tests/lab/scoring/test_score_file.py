"""Files of texts: every row comes out again, what cannot be scored is counted, what cannot be read is named."""

from __future__ import annotations

import json
from pathlib import Path
from types import ModuleType
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from upbringing.base.errors import DataError, EndpointError, StudyError
from upbringing.data.documents import Document
from upbringing.data.interventions.scoring.oracle import Oracle
from upbringing.data.interventions.scoring.report_card import card_markdown
from upbringing.data.interventions.scoring.scorers import KeywordScorer
from upbringing.data.interventions.scoring.tools import ScoringTools
from upbringing.data.rendering import open_tokenizer, render_documents
from upbringing.data.tokenizer import train_tokenizer
from upbringing.lab.scoring.opening import open_scorer_file
from upbringing.lab.scoring.report_card import report_card, write_card
from upbringing.lab.scoring.score_file import score_file
from upbringing.models.endpoint import Clock

STILL = Clock(now=lambda: 0.0, sleep=lambda seconds: None)
LISTED = KeywordScorer(phrases=("bomb",), hits=1, score=4).open(ScoringTools())


def write_rows(path: Path, rows: list[dict[str, Any]]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def read_rows(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def test_every_row_comes_out_with_its_score_and_its_own_columns(tmp_path: Path) -> None:
    rows = [
        {"text": "a bomb", "id": 1},
        {"text": "calm ünïcode", "id": 2},
        {"text": "", "id": 3},
        {"text": None, "id": 4},
    ]
    summary = score_file(write_rows(tmp_path / "in.jsonl", rows), LISTED, tmp_path / "out.jsonl")
    found = read_rows(tmp_path / "out.jsonl")
    assert [{"text": row["text"], "id": row["id"]} for row in found] == rows
    assert [row["harm_score"] for row in found] == [4, 0, None, None]
    assert summary.histogram == (1, 0, 0, 0, 1, 0)
    assert summary.unscored == {"empty-text": 2}
    assert json.loads((tmp_path / "out.jsonl.summary.json").read_text())["rows"] == 4
    again = score_file(tmp_path / "in.jsonl", LISTED, tmp_path / "again.jsonl")
    assert again == summary
    assert (tmp_path / "again.jsonl").read_bytes() == (tmp_path / "out.jsonl").read_bytes()


def test_half_a_character_in_a_column_that_is_carried_along_stays_as_it_came(tmp_path: Path) -> None:
    rows = [{"text": "calm ünïcode", "title": "half \ud800"}, {"text": "a bomb", "title": "é"}]
    score_file(write_rows(tmp_path / "in.jsonl", rows), LISTED, tmp_path / "out.jsonl")
    assert [row["title"] for row in read_rows(tmp_path / "out.jsonl")] == ["half \ud800", "é"]


def test_parquet_keeps_its_columns_and_types(tmp_path: Path) -> None:
    schema = pa.schema([("text", pa.string()), ("day", pa.date32()), ("harm", pa.int8())])
    rows = [{"text": f"text {number}", "day": None, "harm": number % 6} for number in range(3000)]
    pq.write_table(pa.Table.from_pylist(rows, schema=schema), tmp_path / "in.parquet")
    summary = score_file(tmp_path / "in.parquet", Oracle(), tmp_path / "out.parquet")
    table = pq.read_table(tmp_path / "out.parquet")
    assert table.schema.field("day").type == pa.date32()
    assert table.column("harm_score").to_pylist() == [number % 6 for number in range(3000)]
    assert table.column("text").to_pylist() == [row["text"] for row in rows]
    assert summary.histogram == (500,) * 6


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b'{"text": "fine"}\n{"text": "br\xffoken"}\n', r"in.jsonl row 2: byte 12 is not UTF-8"),
        (b'{"text": "fine"}\nnonsense\n', r"row 2 is not JSON"),
        (b'{"text": "fine"}\n[1]\n', r"row 2 is list"),
        (b'{"text": "fine"}\n{"body": "x"}\n', r"row 2 has no column 'text'; it has 'body'"),
        (b'{"text": 7}\n', r"row 1: text must be text, found int"),
        (b'{"text": "half \\ud800"}\n', r"row 1: text holds half a character"),
        (b'{"text": "x", "harm": 9}\n', r"row 1, harm: a score is a whole number"),
        (b'{"text": "x", "harm_score": 1}\n', r"row 1 has a column 'harm_score' already"),
        (b"", r"holds no rows"),
    ],
)
def test_what_cannot_be_read_is_named_by_row_and_nothing_is_left_behind(
    data: bytes, message: str, tmp_path: Path
) -> None:
    (tmp_path / "in.jsonl").write_bytes(data)
    with pytest.raises(DataError, match=message):
        score_file(tmp_path / "in.jsonl", LISTED, tmp_path / "out.jsonl")
    assert [path.name for path in tmp_path.iterdir()] == ["in.jsonl"]


def test_files_that_do_not_fit_are_refused(tmp_path: Path) -> None:
    path = write_rows(tmp_path / "in.jsonl", [{"text": "x"}])
    for output, message in (("out.parquet", "different formats"), ("out.csv", "ends in"), ("in.jsonl", "exists")):
        with pytest.raises(DataError, match=message):
            score_file(path, LISTED, tmp_path / output)
    with pytest.raises(DataError, match="there is no file"):
        score_file(tmp_path / "gone.jsonl", LISTED, tmp_path / "out.jsonl")
    (tmp_path / "torn.parquet").write_bytes(b"PAR1 torn")
    with pytest.raises(DataError, match="not a readable Parquet file"):
        score_file(tmp_path / "torn.parquet", LISTED, tmp_path / "out.parquet")


def scorer_file(folder: Path, base_url: str, options: str = "") -> Path:
    path = folder / "scorer.yaml"
    path.write_text(
        "scorer: {kind: ensemble, members: [{kind: rubric, endpoint: rater}, "
        "{kind: keywords, phrases: [bomb], hits: 1, score: 4}]}\n"
        f"endpoints: {{rater: {{base_url: '{base_url}', model: m{options}}}}}\n",
        encoding="utf-8",
    )
    return path


def test_a_real_server_that_answers_nonsense_is_counted(faulty: ModuleType, tmp_path: Path) -> None:
    replies = {
        "one": faulty.completion('{"score": 1, "reason": "mild"}'),
        "prose": faulty.completion("This is quite harmful, I would say 4."),
        "beyond": faulty.completion('{"score": 11, "reason": "very bad"}'),
        "declined": faulty.completion(None, refusal="no"),
        "cut": faulty.completion('{"score": 3, "rea', "length"),
        "thinking": faulty.completion('<think>{"score": 5, "reason": "x"}</think>{"score": 2, "reason": "y"}'),
        "broken": faulty.Response(body="no json"),
    }

    def script(body: dict[str, Any], count: int) -> Any:
        asked = body["messages"][1]["content"]
        return next(reply for word, reply in replies.items() if f"\n{word} text" in asked)

    rows = write_rows(tmp_path / "in.jsonl", [{"text": f"{word} text"} for word in replies])
    with faulty.FaultyServer(script) as server:
        file = scorer_file(tmp_path, server.base_url)
        scorer = open_scorer_file(file, replies=tmp_path / "replies", clock=STILL)
        found = scorer.score([Document(text=row["text"], source="x") for row in read_rows(rows)])
        asked = len(server.requests)
        again = open_scorer_file(file, replies=tmp_path / "replies", clock=STILL)
        assert again.score([Document(text="one text", source="x")])[0] == found[0]
        assert len(server.requests) == asked  # the kept reply is not paid for twice
    told = dict(zip(replies, found, strict=True))
    assert (told["one"].score, told["one"].lower_bound) == (1, False)
    assert told["thinking"].score == 2
    for word, code in (
        ("prose", "rubric-not-json"),
        ("beyond", "rubric-off-menu"),
        ("declined", "rubric-provider-refusal"),
        ("cut", "rubric-length"),
        ("broken", "rubric-not-a-completion"),
    ):
        assert (told[word].score, told[word].lower_bound) == (0, True), word  # the list's 0 is only a lower bound
        assert f"({code})" in told[word].reason, word


def test_an_endpoint_that_refuses_the_account_stops_and_keeps_what_was_paid(faulty: ModuleType, tmp_path: Path) -> None:
    def script(body: dict[str, Any], count: int) -> Any:
        if "second" in body["messages"][1]["content"]:
            return faulty.Response(status=401, body="bad key")
        return faulty.completion('{"score": 1, "reason": "mild"}')

    with faulty.FaultyServer(script) as server:
        file = scorer_file(tmp_path, server.base_url, ", workers: 1")
        scorer = open_scorer_file(file, replies=tmp_path / "replies", clock=STILL)
        with pytest.raises(EndpointError, match="refuses this account"):
            scorer.score([Document(text=text, source="x") for text in ("first", "second")])
    assert '\\"score\\": 1' in next((tmp_path / "replies").iterdir()).read_text()


def test_scorer_files_are_strict(tmp_path: Path) -> None:
    path = scorer_file(tmp_path, "https://api.example.org/v1")
    with pytest.raises(StudyError, match="needs a spend cap"):
        open_scorer_file(path)
    path.write_text("scorer: {kind: oracel}\n", encoding="utf-8")
    with pytest.raises(StudyError, match=r"scorer.yaml:1"):
        open_scorer_file(path)
    path.write_text("scorer: {kind: rubric, endpoint: gone}\n", encoding="utf-8")
    with pytest.raises(DataError, match="names the endpoint 'gone', declared are: none"):
        open_scorer_file(path)


def test_a_card_of_files_before_and_after(tmp_path: Path) -> None:
    before = write_rows(tmp_path / "raw.jsonl", [{"text": "a bomb", "part": "web"}, {"text": "calm", "part": "books"}])
    after = write_rows(tmp_path / "clean.jsonl", [{"text": "calm", "part": "web"}, {"text": "calm", "part": "books"}])
    card = report_card(before, after, scorer=LISTED, component_column="part")
    assert card.sides["before"]["web"].histogram == (0, 0, 0, 0, 1, 0)
    assert card.sides["after"]["web"].histogram == (1, 0, 0, 0, 0, 0)
    score_file(before, LISTED, tmp_path / "scored.jsonl")
    scored = report_card(tmp_path / "scored.jsonl", component_column="part")
    assert scored.sides["before"] == card.sides["before"]  # the same scores, read instead of made
    paths = write_card(card, tmp_path / "card")
    assert json.loads(paths[0].read_text())["sides"]["before"]["web"]["texts"] == 1
    assert "| web | before | 1 |" in paths[1].read_text()
    with pytest.raises(DataError, match="row 1 has no column 'harm_score'"):
        report_card(before)
    with pytest.raises(DataError, match="row 1 has no column 'gone'"):
        report_card(before, scorer=LISTED, component_column="gone")


@pytest.mark.model
def test_a_card_counts_the_tokens_of_a_tokenizer_on_both_sides(tmp_path: Path) -> None:
    (tmp_path / "tokenizer").mkdir()
    train_tokenizer(("a", "bomb", "calm"), vocabulary=300, special_tokens=("<t>",), chat_template=None,
                    folder=tmp_path / "tokenizer")  # fmt: skip
    opened = open_tokenizer(tmp_path / "tokenizer")
    texts = {"before": ["a bomb <t> calm", "calm"], "after": ["calm calm calm", "calm"]}
    paths = [write_rows(tmp_path / f"{side}.jsonl", [{"text": each} for each in texts[side]]) for side in texts]
    card = report_card(*paths, scorer=LISTED, tokenizer=tmp_path / "tokenizer")
    for side, cards in card.sides.items():
        (found,) = cards.values()
        rendered = render_documents([Document(text=text, source="x") for text in texts[side]], opened)
        assert found.tokens == sum(len(each.ids) - 1 for each in rendered)  # without the end of each text
    assert card.tokenizer is not None
    assert "per million tokens" in card_markdown(card)
    with pytest.raises(DataError, match=r"no tokenizer\.json"):
        report_card(paths[0], scorer=LISTED, tokenizer=tmp_path)
