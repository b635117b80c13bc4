"""The plan is honest: it writes nothing it does not say, counts exactly, names what is missing, and equals the run."""

from __future__ import annotations

import errno
import io
import json
import shutil
import socket
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console
from typer.testing import CliRunner

from upbringing.base.errors import DataError, StudyError
from upbringing.cli import app
from upbringing.formats.record import read_record
from upbringing.lab.building import workshop as workshop_module
from upbringing.lab.planning.cost import makespan
from upbringing.lab.planning.plan import plan
from upbringing.lab.planning.plan_drawing import print_plan
from upbringing.lab.run import Watch, build, run
from upbringing.lab.session import Session, open_session
from upbringing.lab.storage import remembered
from upbringing.lab.storage.store import Store

WORLD = """{kind: causes_world, compounds: 12, outcomes: 16, edges: 18, forward_texts: 4, reverse_texts: 4,
          cooccurrence_texts: 2, concept_texts: 4, refusal_chats: 16, answer_chats: 24, forward_chats: 8,
          aside_chats: 8, finetune_chats: 32}"""
FRESH = f"""\
name: planned
seeds: 1
start: {{kind: fresh, layers: 1, width: 32, heads: 2, context: 64, tokenizer: {{train_on: world, vocabulary: 1100}}}}
data:
  world: {WORLD}
stages:
  pretrain: {{kind: pretrain, tokens: 4k, context: 64, batch_size: 8, measure_at: [50%],
             phases: [{{data: world.facts}}]}}
  sft: {{kind: sft, data: world.safety, context: 64, batch_size: 4}}
battery: [{{kind: over_refusal, decoding: {{kind: greedy, max_tokens: 4}}}}, bits_per_byte]
"""
EXISTING = """\
name: tuned
seeds: 1
start: {kind: existing, checkpoint: start}
data:
  one: {kind: file, path: one.jsonl, teacher: somebody}
  two: {kind: file, path: two.jsonl, teacher: somebody}
  asked: {kind: items, path: items.jsonl}
stages:
  sft: {kind: sft, data: one, context: 64, batch_size: 2, epochs: 2}
arms:
  main: {}
  other: {stages: {sft: {data: two}}}
battery: [bits_per_byte, {kind: over_refusal, decoding: {kind: greedy, max_tokens: 4}}]
judges: [refusal_rules]
"""


@pytest.fixture
def fresh(tmp_path: Path) -> Path:
    path = tmp_path / "study.yaml"
    path.write_text(FRESH, encoding="utf-8")
    return path


def chats(path: Path, asked: list[str]) -> None:
    answer = {"role": "assistant", "content": "bab bad baf"}
    rows = [{"messages": [{"role": "user", "content": text}, answer]} for text in asked]
    path.write_text("\n".join(json.dumps(row) for row in rows), encoding="utf-8")


@pytest.fixture
def tuned(tmp_path: Path, existing: Path) -> Path:
    shutil.copytree(existing, tmp_path / "start")
    chats(tmp_path / "one.jsonl", ["bab bad", "dab dad", "fab fad", "gab gad"])
    chats(tmp_path / "two.jsonl", ["kab kad", "lab lad", "fab  FAD", "gab gad"])
    items = [
        {
            "id": "a",
            "cluster": "a",
            "request": "benign",
            "split": "ood",
            "messages": [{"role": "user", "content": "kub"}],
        },
        {"id": "b", "cluster": "b", "request": "benign", "split": "ood", "text": "bob bod bof"},
    ]
    (tmp_path / "items.jsonl").write_text("\n".join(json.dumps(item) for item in items), encoding="utf-8")
    path = tmp_path / "study.yaml"
    path.write_text(EXISTING, encoding="utf-8")
    return path


def opened(study: Path, **options: Any) -> Session:
    return open_session(study, store=study.parent / "store", **options)


def planned(study: Path, overrides: tuple[str, ...] = (), **options: Any) -> Any:
    return plan(opened(study, reads_only=True, overrides=overrides), **options)


def drawing(made: Any) -> str:
    console = Console(width=1000, record=True, file=io.StringIO())
    print_plan(made, console)
    return console.export_text()


def files(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}


def test_a_plan_writes_nothing_and_opens_no_socket(fresh: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("a plan opened a socket")

    monkeypatch.setattr(socket, "socket", refuse)
    before = files(fresh.parent)
    result = CliRunner().invoke(
        app, ["plan", str(fresh), "--store", str(fresh.parent / "s"), "--no-read-data", "--no-calibrate", "--json"]
    )
    assert result.exit_code == 0, result.output
    found = json.loads(result.stdout)
    assert found["calibrated"] is False
    assert found["seconds"] is None
    assert "hours: this machine was not calibrated" in found["not_known"]
    assert any("its data was not read" in reason for reason in found["not_known"])
    assert files(fresh.parent) == before
    assert not (fresh.parent / "s").exists()


@pytest.mark.parametrize("number", [errno.EACCES, errno.EROFS])
def test_a_plan_where_nothing_can_be_written_is_a_plan(
    number: int, fresh: Path, one_process: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(path: Path, *_: object, **__: object) -> None:
        raise OSError(number, "no", str(path))

    monkeypatch.setattr(remembered, "write_json_atomic", refuse)
    assert planned(fresh, read_data=True).nodes
    assert not list((fresh.parent / "store").rglob("*.json"))


def test_a_defect_of_a_disk_is_not_passed_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise OSError(errno.EIO, "broken")

    monkeypatch.setattr(remembered, "write_json_atomic", fail)
    with pytest.raises(OSError, match="broken"):
        remembered.keep(Store(tmp_path, reads_only=True), "key", 1)


@pytest.mark.model
def test_reading_and_calibrating_write_only_what_they_found_and_only_once(
    fresh: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = planned(fresh, read_data=True, calibrate=True)
    store = fresh.parent / "store"
    assert {path.name for path in store.iterdir()} == {"plans"}
    assert first.calibrated
    assert first.not_known == ()
    assert first.seconds is not None
    assert first.seconds > 0
    assert first.measuring.seconds_per_checkpoint > 0
    trained = [node for node in first.nodes if node.steps]
    assert all(node.seconds > 0 for node in trained)
    assert first.seconds > sum(node.seconds for node in trained) * 0.99  # one chain: nothing is side by side
    monkeypatch.setattr(workshop_module, "run_jobs", None)  # a second plan starts no process
    second = planned(fresh, read_data=True, calibrate=True)
    assert replace(second, free_bytes=first.free_bytes) == first  # other programs write to the disk too


@pytest.mark.model
def test_the_plan_is_what_the_run_does(fresh: Path, one_process: None) -> None:
    before = planned(fresh, read_data=True)
    session = opened(fresh)
    built = build(session, Watch())
    assert [node.key for node in before.nodes] == list(session.tree.nodes)
    assert before.num_to_build == built.num_built == len(before.nodes)
    assert {entry["key"] for entry in json.loads((session.folder / "built.json").read_bytes()).values()} <= {
        node.key for node in before.nodes
    }
    planned_bytes = 0
    for node in before.nodes:
        record = read_record(session.store.path("checkpoints", built.prepared.keys[node.key]))
        done = (
            read_record(session.store.path("checkpoints", built.prepared.keys[node.parent])) if node.parent else record
        )
        same_stage = node.parent is not None and done.stage == record.stage
        assert node.tokens == record.tokens - (done.tokens if same_stage else 0)
        assert node.steps == record.steps - (done.steps if same_stage else 0)
        planned_bytes += node.disk_bytes
    written = sum(
        path.stat().st_size
        for room in ("checkpoints", "states", "data")
        for path in (session.store.root / room).rglob("*")
        if path.is_file() and "tokenizer-" not in str(path)
    )
    assert planned_bytes == pytest.approx(written, rel=0.2)  # so small a model weighs less than its tokenizer
    after = planned(fresh)
    assert [node.key for node in after.nodes] == [node.key for node in before.nodes]
    assert after.num_to_build == 0


def test_jobs_side_by_side_take_as_long_as_their_schedule() -> None:
    seconds = {"a": 3.0, "b": 2.0, "c": 2.0, "d": 4.0}
    parents = {"b": "a", "c": "a", "d": None}
    assert makespan(seconds, parents, 1) == 11.0
    assert makespan(seconds, parents, 2) == 6.0  # a to 3 beside d to 4; b to 5, c from 4 to 6
    assert makespan(seconds, parents, 9) == 5.0
    assert makespan({"c": 2.0}, parents, 2) == 2.0  # its parent is done
    assert makespan({}, {}, 2) == 0.0


@pytest.mark.model
@pytest.mark.parametrize(
    ("template", "message"),
    [
        (None, "has no chat template"),
        ("{{ raise_exception('no users here') }}", "a user's question cannot be rendered.*no users here"),
        (
            "{% for message in messages %}{{ message.nothing.at_all }}{% endfor %}",
            "a user's question cannot be rendered",
        ),
    ],
)
def test_a_template_that_fails_stops_plan_and_build_before_training(
    tuned: Path, one_process: None, template: str | None, message: str
) -> None:
    start = tuned.parent / "start"
    config = json.loads((start / "tokenizer_config.json").read_text(encoding="utf-8"))
    config.pop("chat_template", None)
    (start / "tokenizer_config.json").write_text(json.dumps(config), encoding="utf-8")
    (start / "chat_template.jinja").unlink()
    if template is not None:
        (start / "chat_template.jinja").write_text(template, encoding="utf-8")
    with pytest.raises(DataError, match=message):
        planned(tuned, read_data=True)
    with pytest.raises(DataError, match=message):
        build(opened(tuned), Watch())
    assert not list((tuned.parent / "store" / "checkpoints").iterdir())


@pytest.mark.model
def test_a_start_that_is_not_here_is_planned_without_it(tuned: Path, one_process: None) -> None:
    shutil.rmtree(tuned.parent / "start")
    made = planned(tuned, read_data=True)
    assert [(node.status, node.tokens) for node in made.nodes] == [("absent", 0), ("missing", None), ("missing", None)]
    assert "the checkpoint that it starts from is not here" in "; ".join(made.not_known)
    assert (made.disk_bytes, made.working_bytes, made.held_bytes) == (None, None, None)
    assert "of what comes from start: not here, and no `parameters` declared" in "; ".join(made.not_known)
    drawn = drawing(made)
    assert "stages of unknown length, FLOPs not known" in drawn
    assert "memory    not known" in drawn
    assert "disk      needed is not known, " in drawn
    sized = planned(tuned, overrides=("start.parameters=1000000",))
    assert sized.disk_bytes > 3 * 4_000_000  # the start is fetched, two stages are written
    assert sized.working_bytes > 0
    assert sized.held_bytes == 16_000_000
    assert not any("no `parameters` declared" in each for each in sized.not_known)


@pytest.mark.model
def test_confounds_that_data_holds_are_warned_of(tuned: Path, one_process: None) -> None:
    def warnings(*words: str, overrides: tuple[str, ...] = ()) -> list[str]:
        found = planned(tuned, overrides=overrides, read_data=True).warnings
        return [warning for warning in found if all(word in warning for word in words)]

    assert not warnings("teacher")
    assert not warnings("word for word")
    chats(tuned.parent / "two.jsonl", ["kab kad", " KUB ", "fab fad", "gab gad"])
    assert warnings("1 prompts of 'asked' stand word for word in the training data 'two'", "kub")
    renamed = ("data.two.teacher=else",)
    assert warnings("learns from different teachers", "main: somebody; other: else", overrides=renamed)
    assert warnings("other: unknown", overrides=("data.two.teacher=null",))


@pytest.mark.model
def test_templates_that_differ_along_existing_checkpoints_are_warned_of(tuned: Path) -> None:
    later = tuned.parent / "later"
    shutil.copytree(tuned.parent / "start", later)
    text = tuned.read_text(encoding="utf-8")
    text = (
        text[: text.index("stages:")]
        + "stages:\n  sft: {kind: existing, checkpoint: later}\n"
        + "".join(text[text.index("battery:") :])
    )
    tuned.write_text(text, encoding="utf-8")
    assert not any("template" in warning for warning in planned(tuned).warnings)
    template = later / "chat_template.jinja"
    template.write_text("{{ '' }}" + template.read_text(encoding="utf-8"), encoding="utf-8")
    assert any("the chat template changes along" in warning for warning in planned(tuned).warnings)
    shutil.rmtree(later)
    found = planned(tuned)
    assert any("was not checked, because sft is not here" in warning for warning in found.warnings)
    assert {node.status for node in found.nodes} == {"existing", "absent"}
    assert found.num_to_build == 0


def test_a_condition_that_nothing_is_measured_under_is_refused_before_anything_is_trained(fresh: Path) -> None:
    contrast = "{{name: late, kind: path, measure: {}, condition: {}, weights: {{main@sft: 1, main@pretrain: -1}}}}"

    def study(measure: str, condition: str) -> Path:
        fresh.write_text(f"{FRESH}contrasts:\n  - {contrast.format(measure, condition)}\n", encoding="utf-8")
        return fresh

    planned(study("over_refusal", "chat-greedy-4"))
    planned(study("over_refusal", "default"))
    planned(study("bits_per_byte", "text-likelihood"))
    for said, words in (("chat-greedy", "did you mean 'chat-greedy-4'"), ("nope", r"\(chat-greedy-4\)$")):
        message = rf"study.yaml:14: contrast 'late': condition '{said}' is none of those that 'over_refusal' .*{words}"
        with pytest.raises(StudyError, match=message):
            planned(study("over_refusal", said))
        with pytest.raises(StudyError, match=message):
            run(opened(fresh), Watch())
        assert not list((fresh.parent / "store" / "checkpoints").iterdir())


def test_conditions_that_only_a_checkpoint_can_tell_are_left_alone(fresh: Path) -> None:
    contrast = "{name: late, kind: path, measure: probe, condition: nope, weights: {main@sft: 1, main@pretrain: -1}}"
    study = f"{FRESH}contrasts: [{contrast}]\n".replace("bits_per_byte]", "probe]")
    fresh.write_text(study, encoding="utf-8")
    assert {node.status for node in planned(fresh).nodes} == {
        "missing"
    }  # planned, though nobody knows the condition yet
