"""Inspect logs: Inspect opens them, our own importer finds the same scores in them, and no text in them acts."""

from __future__ import annotations

import io
import math
import sys
import time
import zipfile
from pathlib import Path

import pytest
from report_fixture import write_results
from report_hostile import HOSTILE

from upbringing.base.errors import FormatError, MissingExtraError
from upbringing.battery.bridges.inspect_logs import read_inspect_logs
from upbringing.battery.bridges.joining import joined
from upbringing.formats.answers import Answer, read_answers, write_answers
from upbringing.formats.rows import Row, rows_table, write_rows
from upbringing.formats.tree import Checkpoint, StudyInfo, Tree
from upbringing.reporting.exports.folder import export_results
from upbringing.reporting.exports.inspect_logs import PLAIN_ID, write_inspect_logs
from upbringing.reporting.exports.timeless import without_times
from upbringing.reporting.inputs import read_inputs

pytest.importorskip("inspect_ai")

Key = tuple[str, str, str, str, int]  # checkpoint, condition, measure, item, sample


def small(folder: Path, rows: list[Row], answers: list[Answer]) -> Path:
    """Write a results folder of one or two checkpoints."""
    (folder / "answers").mkdir(parents=True)
    names = dict.fromkeys(row.checkpoint for row in rows)
    tree = Tree(study=StudyInfo(name="small"), checkpoints=tuple(Checkpoint(id=name) for name in names))
    (folder / "tree.json").write_text(tree.model_dump_json(), encoding="utf-8")
    write_rows(rows_table(rows), folder / "rows.parquet")
    write_answers(answers, folder / "answers" / "all.parquet")
    return folder


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two checkpoints; two judges of one measure, likelihoods in bytes, two samples, answers without a score."""
    rows, answers = [], []
    for number, name in enumerate(("base", "sft")):
        for item in ("harm/0", "harm/1"):
            for sample in (0, 1):
                response = f"{name}/{item}/{sample}"
                unscored = (item, sample) == ("harm/1", 1)
                more = {"condition": "chat", "item": item, "sample": sample, "response": response, "checkpoint": name}
                score = {"value": None, "status": "truncated", "reason_code": "no-response"} if unscored else {
                    "value": float(number), "outcome": "harmful" if number else "refuse"}  # fmt: skip
                rows.append(Row(measure="asr", judge="rules/1", judge_kind="rule", **more, **score))  # type: ignore[arg-type]
                rows.append(Row(measure="asr", judge="grader", judge_kind="llm", value=0.25, **more))  # type: ignore[arg-type]
                answers.append(Answer(response=response, checkpoint=name, item=item, condition="chat", sample=sample,
                                      request="harmful", prompt="user: how?", answer=f"answer of {response}",
                                      finish="length" if unscored else "stop", thought="hm",
                                      reasons=(("grader", "because"),)))  # fmt: skip
        rows.append(Row(checkpoint=name, measure="bits", item="text", value=80.0, weight=100.0))
    return small(tmp_path_factory.mktemp("study") / "results", rows, answers)


def test_inspect_opens_every_log(study: Path, tmp_path: Path) -> None:
    from inspect_ai.log import list_eval_logs, read_eval_log

    paths = [path for path in export_results(study, tmp_path, inspect=True) if path.suffix == ".eval"]
    assert [path.name for path in paths] == ["base-chat.eval", "base-default.eval", "sft-chat.eval", "sft-default.eval"]
    assert len(list_eval_logs(str(tmp_path / "inspect"))) == 4
    log = read_eval_log(str(paths[2]))
    assert (log.status, log.eval.model, log.eval.task, log.eval.config.epochs) == ("success", "sft", "chat", 2)
    assert log.samples is not None
    sample = next(each for each in log.samples if (each.id, each.epoch) == ("harm/1", 2))
    assert sample.input == "user: how?"
    assert [message.text for message in sample.messages] == ["user: how?", "answer of sft/harm/1/1"]
    assert (sample.output.completion, sample.output.stop_reason) == ("answer of sft/harm/1/1", "max_tokens")
    assert sample.scores is not None
    assert math.isnan(sample.scores["asr:rules/1"].value)  # type: ignore[arg-type]
    assert sample.scores["asr:rules/1"].reason == "no_response"
    assert sample.scores["asr:grader"].explanation == "because"
    assert sample.metadata["thought"] == "hm"
    assert log.results is not None
    found = {each.name: (each.scored_samples, each.unscored_samples, each.metrics["mean"].value)
             for each in log.results.scores}  # fmt: skip
    assert found == {"asr:grader": (4, 0, 0.25), "asr:rules/1": (3, 1, 1.0)}
    bits = read_eval_log(str(paths[1])).results
    assert bits is not None
    assert bits.scores[0].metrics["mean"].value == 0.8  # bits per byte, not bits per text


def scores_of(logs: Path) -> dict[Key, float | None]:
    """What our importer makes of the logs: tasks begin with the condition's name."""
    found = {}
    for row in joined(read_inspect_logs(logs)).rows:
        task, _, measure = row.measure.partition("/")
        item = row.item.removeprefix(f"{task}/")
        found[row.checkpoint, task.partition(" ")[0], measure, item, row.sample] = row.value
    return found


def test_our_importer_finds_the_scores_that_were_exported(study: Path, tmp_path: Path) -> None:
    for number, folder in enumerate((study, write_results(tmp_path / "own", num_seeds=1))):
        out = tmp_path / str(number)
        inputs = read_inputs(folder)
        paths = list(write_inspect_logs(inputs, out))
        assert inputs.rows is not None
        rows = inputs.rows.to_pylist()
        judges = {measure: len({row["judge"] for row in rows if row["measure"] == measure})
                  for measure in {row["measure"] for row in rows}}  # fmt: skip
        expected = {}
        for row in rows:
            scorer = row["measure"] if judges[row["measure"]] == 1 else f"{row['measure']}:{row['judge']}"
            expected[row["checkpoint"], row["condition"], scorer, row["item"], row["sample"]] = row["value"]
        assert scores_of(out) == expected
        assert len(expected) == len(rows)
        assert len(paths) > len({row["checkpoint"] for row in rows})


def test_reasons_for_no_score_come_back(study: Path, tmp_path: Path) -> None:
    list(write_inspect_logs(read_inputs(study), tmp_path))
    codes = {row.reason_code for row in joined(read_inspect_logs(tmp_path)).rows if row.value is None}
    assert codes == {"no-response"}


def test_hostile_text_comes_back_as_it_was(hostile: Path, tmp_path: Path) -> None:
    from inspect_ai.log import read_eval_log

    paths = list(write_inspect_logs(read_inputs(hostile), tmp_path))
    logs = [read_eval_log(str(path), resolve_attachments=True) for path in paths]
    samples = [sample for log in logs for sample in log.samples or ()]
    assert {sample.input for sample in samples} == {f"prompt {text}" for text in HOSTILE}
    assert {sample.output.completion for sample in samples} == {f"answer {text}" for text in HOSTILE}
    assert {sample.metadata["item"] for sample in samples} == {f"item {text}" for text in HOSTILE}
    assert {log.eval.model for log in logs} == {f"checkpoint {text}" for text in HOSTILE}
    assert len(scores_of(tmp_path)) == len(HOSTILE)
    assert all(path.parent == tmp_path for path in paths)


LONG = "attachment://0123456789abcdef0123456789abcdef " + "long </script> \x00 \ud7ff " * 400
TRAVELLING = ("../../escape", "/etc/passwd", "a/../../b", "nul\x00byte", "back\\slash", "x" * 400, "..", "line\nbreak")


def test_long_answers_and_travelling_ids_are_data(tmp_path: Path) -> None:
    from inspect_ai.log import read_eval_log

    rows = [Row(checkpoint="c", measure="m", item=item, value=1.0, condition="chat") for item in TRAVELLING]
    answers = [Answer(response=str(number), checkpoint="c", item=item, condition="chat", sample=0, request="benign",
                      prompt=LONG, answer=LONG) for number, item in enumerate(TRAVELLING)]  # fmt: skip
    (path,) = write_inspect_logs(read_inputs(small(tmp_path / "results", rows, answers)), tmp_path / "out")
    with zipfile.ZipFile(path) as archive:
        names = archive.namelist()
    assert not [name for name in names if ".." in name or name.startswith("/") or "\\" in name]
    samples = read_eval_log(str(path), resolve_attachments=True).samples or []
    assert {sample.metadata["item"] for sample in samples} == set(TRAVELLING)
    assert {sample.output.completion for sample in samples} == {LONG}
    assert len({sample.id for sample in samples}) == len(TRAVELLING)
    assert PLAIN_ID.fullmatch("world-a88d970b/held-out-family/harmful/0/0")


def test_the_same_results_give_the_same_logs(study: Path, tmp_path: Path) -> None:
    one = list(write_inspect_logs(read_inputs(study), tmp_path / "one"))
    time.sleep(2.1)  # archives date their entries to two seconds
    two = list(write_inspect_logs(read_inputs(study), tmp_path / "two"))
    assert [path.read_bytes() for path in one] == [path.read_bytes() for path in two]


def test_archives_lose_their_times_and_nothing_else() -> None:
    written = io.BytesIO()
    with zipfile.ZipFile(written, "w", zipfile.ZIP_DEFLATED) as archive:
        for name in ("a", "b"):
            archive.writestr(zipfile.ZipInfo(name, (2026, 11, 25, 20, 15, 2)), f"contents of {name}" * 9)
    with zipfile.ZipFile(io.BytesIO(without_times(written.getvalue()))) as archive:
        assert {entry.date_time for entry in archive.infolist()} == {(1980, 1, 1, 0, 0, 0)}
        assert archive.testzip() is None
        assert archive.read("b") == b"contents of b" * 9


def test_logs_need_inspect_and_rows(study: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    bare = tmp_path / "bare"
    bare.mkdir()
    (bare / "tree.json").write_bytes((study / "tree.json").read_bytes())
    with pytest.raises(FormatError, match=r"no rows\.parquet"):
        export_results(bare, tmp_path / "out", inspect=True)
    monkeypatch.setitem(sys.modules, "inspect_ai.log", None)
    with pytest.raises(MissingExtraError, match=r"pip install 'upbringing\[inspect\]'"):
        export_results(study, tmp_path / "other", inspect=True)
    assert not (tmp_path / "other").exists()
    assert read_answers(study / "answers").num_rows == 8
