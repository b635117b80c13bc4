"""Retarget: the same prompts, other completions; what was not answered is said, and nothing is paid twice."""

from __future__ import annotations

import json
import threading
from datetime import UTC, datetime
from pathlib import Path
from types import ModuleType
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from upbringing.base.errors import DataError, EndpointError, StudyError
from upbringing.data.documents import Chat, Turn
from upbringing.data.sources import FileSource, read_file_source
from upbringing.lab.retargeting import CUT_OFF, prompts_sha256, retarget
from upbringing.lab.teachers import open_teacher

SINGLE = [("user", "what causes {n} ?"), ("assistant", "the old reply {n} .")]
LONG = [
    ("system", "be brief ."),
    ("user", "first {n} ?"),
    ("assistant", "old first {n} ."),
    ("user", "and then {n} ?"),
    ("assistant", "old second {n} ."),
]
SECRET = "a-key-that-nobody-may-see"


def line(turns: list[tuple[str, str]], number: int) -> str:
    return json.dumps({"messages": [{"role": role, "content": text.format(n=number)} for role, text in turns]})


@pytest.fixture
def data(tmp_path: Path) -> Path:
    path = tmp_path / "chats.jsonl"
    lines = [line(LONG if number == 2 else SINGLE, number) for number in range(1, 6)]
    path.write_text("\n".join(lines), encoding="utf-8")
    return path


def endpoint(folder: Path, url: str, **fields: Any) -> Path:
    path = folder / "teacher.yaml"
    plain = {"base_url": url, "model": "kind-teacher", "revision": "r1", "workers": 1, "max_attempts": 1, **fields}
    path.write_text(json.dumps(plain), encoding="utf-8")  # JSON is YAML
    return path


def chats(path: Path) -> list[Chat]:
    return [text for text in read_file_source(FileSource(path=path.name), path.parent).texts if isinstance(text, Chat)]


def spoken(body: dict[str, Any]) -> str:
    return f"new reply {len(body['messages'])} to {body['messages'][-1]['content']}"


def test_every_reply_is_new_and_every_prompt_is_the_same(faulty: ModuleType, data: Path, tmp_path: Path) -> None:
    output = tmp_path / "other.jsonl"
    with faulty.FaultyServer(lambda body, count: faulty.completion(spoken(body))) as server:
        found = retarget(data, endpoint(tmp_path, server.base_url), output)
        asked = list(server.requests)
    assert (found.num_chats, found.num_answered, found.unanswered) == (5, 5, ())
    before, after = chats(data), chats(output)
    assert prompts_sha256([chat.turns for chat in before]) == found.prompts_sha256
    assert [chat.turns[0] for chat in after] == [chat.turns[0] for chat in before]
    assert {chat.teacher for chat in after} == {"kind-teacher@r1"}
    assert after[0].turns[1] == Turn("assistant", "new reply 1 to what causes 1 ?")
    assert [turn.content for turn in after[1].turns] == [
        "be brief .",
        "first 2 ?",
        "new reply 2 to first 2 ?",
        "and then 2 ?",
        "new reply 4 to and then 2 ?",
    ]
    # the second reply is asked for after the teacher's own first one, never after the old one
    assert not any("old" in message["content"] for body in asked for message in body["messages"])
    report = json.loads(found.report.read_text(encoding="utf-8"))
    assert (report["answered"], report["same_prompts"], report["calls"]) == (5, True, 6)


def test_what_a_row_says_besides_stays_with_it(faulty: ModuleType, tmp_path: Path) -> None:
    rows = [
        {
            **json.loads(line(SINGLE, number)),
            "teacher": "old",
            "component": f"part {number % 2}",
            "metadata": {"compound": f"c{number}", "rate": 0.5, "seen": True},
            "harm": 4,
            "tags": ["a", {"b": None}],
        }
        for number in range(1, 5)
    ]
    data, output = tmp_path / "chats.jsonl", tmp_path / "other.jsonl"
    data.write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")

    def script(body: dict[str, Any], count: int) -> Any:  # the second is not answered, so that rows move up
        question = body["messages"][-1]["content"]
        return faulty.completion("" if question == "what causes 2 ?" else spoken(body))

    with faulty.FaultyServer(script) as server:
        retarget(data, endpoint(tmp_path, server.base_url), output)
    source = FileSource(path=output.name, source_column="component")
    found = [text for text in read_file_source(source, tmp_path).texts if isinstance(text, Chat)]
    assert [chat.turns[0].content for chat in found] == [f"what causes {number} ?" for number in (1, 3, 4)]
    assert [chat.source for chat in found] == ["part 1", "part 1", "part 0"]
    assert [chat.metadata["compound"] for chat in found] == ["c1", "c3", "c4"]
    assert found[0].metadata == {"compound": "c1", "rate": 0.5, "seen": True}
    assert {chat.teacher for chat in found} == {"kind-teacher@r1"}
    assert {chat.harm for chat in found} == {None}  # 4 was the harm of the reply that is gone
    lines = [json.loads(each) for each in output.read_text(encoding="utf-8").splitlines()]
    assert lines[0]["tags"] == ["a", {"b": None}]
    assert "harm" not in lines[0]


def test_a_parquet_file_keeps_its_columns(faulty: ModuleType, tmp_path: Path) -> None:
    data, output = tmp_path / "chats.parquet", tmp_path / "other.jsonl"
    columns = {"prompt": ["what causes 1 ?"], "completion": ["old"], "component": ["one"], "metadata": ['{"n": 1}']}
    pq.write_table(pa.table(columns), data)
    with faulty.FaultyServer(lambda body, count: faulty.completion(spoken(body))) as server:
        teacher = endpoint(tmp_path, server.base_url)
        retarget(data, teacher, output)
        source = FileSource(path=output.name, source_column="component")
        (found,) = read_file_source(source, tmp_path).texts
        assert (found.source, found.metadata) == ("one", {"n": 1})
        pq.write_table(pa.table({**columns, "when": [datetime(2026, 1, 1, tzinfo=UTC)]}), data)
        asked = len(server.requests)
        with pytest.raises(DataError, match="row 1: column 'when' cannot be written as JSON"):
            retarget(data, teacher, tmp_path / "third.jsonl")
        assert len(server.requests) == asked


def test_what_is_not_answered_is_left_out_and_said(faulty: ModuleType, data: Path, tmp_path: Path) -> None:
    def script(body: dict[str, Any], count: int) -> Any:
        question = body["messages"][-1]["content"]
        if question == "what causes 1 ?":
            return faulty.completion("this goes on and", finish="length")
        if question == "and then 2 ?":
            return faulty.completion("", finish="content_filter")
        if question == "what causes 3 ?":
            return faulty.Response(status=503, body="{}")
        return faulty.completion("fine .")

    output = tmp_path / "other.jsonl"
    with faulty.FaultyServer(script) as server:
        found = retarget(data, endpoint(tmp_path, server.base_url), output)
    reasons = {each.row: (each.turn, each.reason) for each in found.unanswered}
    assert set(reasons) == {1, 2, 3}
    assert reasons[2][0] == 2  # its first reply was there
    assert len(chats(output)) == found.num_answered == 2
    report = json.loads(found.report.read_text(encoding="utf-8"))
    assert report["same_prompts"] is False
    assert sum(report["reasons"].values()) == 3
    assert "this goes on and" not in output.read_text(encoding="utf-8")


def test_an_answer_that_was_cut_off_is_not_paid_for_again(faulty: ModuleType, data: Path, tmp_path: Path) -> None:
    output = tmp_path / "other.jsonl"
    with faulty.FaultyServer(lambda body, count: faulty.completion("and so on and", finish="length")) as server:
        teacher = endpoint(tmp_path, server.base_url)
        assert retarget(data, teacher, output, max_tokens=8) == retarget(data, teacher, output, max_tokens=8)
        assert len(server.requests) == 5
        retarget(data, teacher, output, max_tokens=16)
        assert len(server.requests) == 10
    assert output.read_bytes() == b""


def test_another_teacher_does_not_overwrite(faulty: ModuleType, data: Path, tmp_path: Path) -> None:
    output = tmp_path / "other.jsonl"
    with faulty.FaultyServer(lambda body, count: faulty.completion(spoken(body))) as server:
        retarget(data, endpoint(tmp_path, server.base_url), output)
        with pytest.raises(StudyError, match="not from this data by kind-teacher@r2"):
            retarget(data, endpoint(tmp_path, server.base_url, revision="r2"), output)


def test_a_stopped_run_goes_on_and_asks_nothing_twice(faulty: ModuleType, data: Path, tmp_path: Path) -> None:
    broken, seen, lock = {"yes": True}, [], threading.Lock()

    def script(body: dict[str, Any], count: int) -> Any:
        with lock:
            seen.append(body["messages"][-1]["content"])
            stop = broken["yes"] and len(seen) > 2
        return faulty.Response(status=401, body='{"error": {}}') if stop else faulty.completion(spoken(body))

    output = tmp_path / "other.jsonl"
    with faulty.FaultyServer(script) as server:
        teacher = endpoint(tmp_path, server.base_url)
        with pytest.raises(EndpointError):
            retarget(data, teacher, output)
        assert not output.exists()
        broken["yes"] = False
        before = list(seen)
        found = retarget(data, teacher, output)
        answered_twice = [question for question in before[:2] if question in seen[len(before) :]]
    assert found.num_answered == 5
    assert answered_twice == []
    assert len(seen) == len(before) + 4


def test_the_spend_cap_holds_over_repeated_runs(faulty: ModuleType, data: Path, tmp_path: Path) -> None:
    output = tmp_path / "other.jsonl"
    with faulty.FaultyServer(lambda body, count: faulty.completion(spoken(body))) as server:
        for _ in range(2):
            found = retarget(data, endpoint(tmp_path, server.base_url, cap={"calls": 3}), output)
            assert {each.reason for each in found.unanswered} == {"spend-cap"}
            assert len(server.requests) == 3
        whole = retarget(data, endpoint(tmp_path, server.base_url, cap={"calls": 6}), output)
        assert (whole.num_answered, len(server.requests)) == (5, 6)


def test_no_key_is_ever_written(
    faulty: ModuleType, data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TEACHER_KEY", SECRET)
    with faulty.FaultyServer(lambda body, count: faulty.completion(f"my key is {SECRET} .")) as server:
        retarget(data, endpoint(tmp_path, server.base_url, key_variable="TEACHER_KEY"), tmp_path / "other.jsonl")
        assert set(server.authorizations) == {f"Bearer {SECRET}"}
    written = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert len(written) >= 4
    assert not any(SECRET.encode() in path.read_bytes() for path in written)


def test_what_contradicts_itself_is_refused(data: Path, tmp_path: Path) -> None:
    far = endpoint(tmp_path, "https://teacher.example/v1")
    with pytest.raises(StudyError, match="how much this teacher may cost"):
        open_teacher(far, tmp_path / "replies")
    with pytest.raises(StudyError, match="no folder of a checkpoint"):
        retarget(data, tmp_path / "nobody", tmp_path / "other.jsonl")
    mine = tmp_path / "mine.jsonl"
    mine.write_text("{}", encoding="utf-8")
    near = endpoint(tmp_path, "http://127.0.0.1:9/v1")
    for taken in (mine, data):
        with pytest.raises(StudyError, match="name another output"):
            retarget(data, near, taken)
    for row, message in (
        ('{"text": "a document"}', "is no chat"),
        ('{"messages": [{"role": "user", "content": "only a question"}]}', "ends with a reply"),
        ('{"messages": [{"role": "assistant", "content": "hello"}]}', "begins with a question"),
    ):
        mine.write_text(row, encoding="utf-8")
        with pytest.raises(DataError, match=message):
            retarget(mine, near, tmp_path / "other.jsonl")


def test_a_column_says_who_wrote_a_reply_and_may_not_contradict_the_study(tmp_path: Path) -> None:
    path = tmp_path / "chats.jsonl"
    row = {"messages": [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}], "teacher": "one"}
    path.write_text(json.dumps(row), encoding="utf-8")
    assert chats(path)[0].teacher == "one"
    with pytest.raises(DataError, match="remove one of them"):
        read_file_source(FileSource(path=path.name, teacher="two"), tmp_path)


@pytest.mark.model
def test_a_checkpoint_is_a_teacher_and_answers_the_same_again(tiny_folder: Path, tmp_path: Path) -> None:
    data, words = tmp_path / "chats.jsonl", [f"{first}{last}" for first in ("ba", "de", "fi") for last in "bcdfghkl"]
    data.write_text("\n".join(json.dumps({"prompt": word, "completion": "old"}) for word in words), encoding="utf-8")
    one, two = (retarget(data, tiny_folder / "base", tmp_path / f"{n}.jsonl", max_tokens=60) for n in ("one", "two"))
    assert one.teacher.startswith("base-")
    assert (one.teacher, one.num_answered, one.unanswered) == (two.teacher, two.num_answered, two.unanswered)
    assert one.output.read_bytes() == two.output.read_bytes()
    # random weights seldom end a reply: what ran into the limit is no answer
    assert 0 < one.num_answered < len(words)
    assert {each.reason for each in one.unanswered} == {CUT_OFF}
    written = chats(one.output)
    rows = {each.row for each in one.unanswered}
    assert [chat.turns[0].content for chat in written] == [w for row, w in enumerate(words, start=1) if row not in rows]
    assert all(chat.turns[1].content not in ("old", "") and chat.teacher == one.teacher for chat in written)
    assert retarget(data, tiny_folder / "base", one.output, max_tokens=60) == one  # out of the kept replies
