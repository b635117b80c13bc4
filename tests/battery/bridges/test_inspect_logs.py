"""Real Inspect logs, made by Inspect itself: run with its mock model, or written through its API."""

from __future__ import annotations

import zipfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

import upbringing
from upbringing.base.errors import FormatError
from upbringing.battery.bridges import inspect_logs
from upbringing.battery.bridges.foreign import ForeignSample
from upbringing.battery.bridges.inspect_logs import read_inspect_logs, score_of
from upbringing.battery.bridges.joining import joined

TREE = (
    "name: example\ncheckpoints:\n  base: {model: mockllm/base}\n  sft: {model: mockllm/sft, parent: base, seed: 1}\n"
)


def run_mock(
    folder: Path,
    name: str,
    answers: Sequence[str],
    *,
    num_samples: int | None = None,
    epochs: int = 1,
    scorers: Sequence[Any] = (),
    question: str = "What is",
    log_format: str = "eval",
) -> Path:
    """Run Inspect's own ``eval`` on its mock model; ``answers`` in the order of epochs, then samples."""
    from inspect_ai import Task
    from inspect_ai import eval as run_eval
    from inspect_ai.dataset import Sample
    from inspect_ai.model import ModelOutput, ModelUsage, get_model
    from inspect_ai.scorer import match

    outputs = [ModelOutput.from_content(f"mockllm/{name}", answer) for answer in answers]
    for output in outputs:
        output.usage = ModelUsage(input_tokens=1, output_tokens=1, total_tokens=2)  # else tokens are counted online
    data = [
        Sample(id=f"q{number}", input=f"{question} {number}? {'x' * 200}", target="1", metadata={"family": number // 2})
        for number in range(num_samples or len(answers))
    ]
    (log,) = run_eval(
        Task(dataset=data, scorer=list(scorers) or [match()], name="sums"),
        model=get_model(f"mockllm/{name}", custom_outputs=outputs, memoize=False),
        epochs=epochs,
        log_dir=str(folder),
        log_format=log_format,
        display="none",
        fail_on_error=False,
        max_samples=1,
        max_connections=1,
    )
    return Path(log.location)


@pytest.fixture
def rewrite() -> Callable[[Path, Callable[[Any], None]], None]:
    """Change a log through Inspect's API and write it again."""
    from inspect_ai.log import read_eval_log, write_eval_log

    def change(path: Path, edit: Callable[[Any], None]) -> None:
        log = read_eval_log(str(path))
        edit(log)
        path.unlink()
        write_eval_log(log, str(path))

    return change


def values(samples: Sequence[ForeignSample], measure: str) -> dict[tuple[str, int], float | str | None]:
    """The value of each sample, or its reason."""
    found: dict[tuple[str, int], float | str | None] = {}
    for sample in samples:
        score = sample.scores.get(measure)
        key = (sample.item.removeprefix("sums/"), sample.sample)
        found[key] = sample.reason_code if score is None else score.reason_code if score.value is None else score.value
    return found


@pytest.mark.parametrize("log_format", ["eval", "json"])
def test_the_hand_computed_example_comes_out_exactly(
    log_format: str, tmp_path: Path, example: tuple[tuple[int, ...], tuple[int, ...]]
) -> None:
    for name, right in zip(("base", "sft"), example, strict=True):
        run_mock(tmp_path / "logs", name, [str(value) for value in right], log_format=log_format)
    tree = tmp_path / "tree.yaml"
    tree.write_text(TREE + "margins: {sums/match: 0.2}\n")
    imported = upbringing.import_logs(tree, inspect=tmp_path / "logs", output=tmp_path / "results")
    assert imported.warnings == ()
    (claim,) = upbringing.attribute(imported.folder).claims
    assert claim.estimate == pytest.approx(2 / 12, abs=1e-12)
    assert claim.low == pytest.approx(-0.16918159842442987, abs=1e-9)  # by hand: see test_foreign_logs.py
    assert claim.high == pytest.approx(0.45256548643255956, abs=1e-9)
    assert claim.p == pytest.approx(0.375, abs=1e-12)
    assert claim.flips is not None
    assert (claim.flips.rose, claim.flips.fell, claim.flips.kept) == (3, 1, 8)
    (row, *_) = pq.read_table(imported.folder / "rows.parquet").to_pylist()
    assert (row["item"], row["judge"], row["measure"]) == ("sums/q0", "match", "sums/match")


def test_epochs_are_samples_of_one_item(tmp_path: Path) -> None:
    run_mock(tmp_path, "base", ["1", "0", "1", "1"], num_samples=2, epochs=2)
    (log,) = read_inspect_logs(tmp_path)
    found = values(log.samples, "sums/match")
    assert set(found) == {("q0", 0), ("q0", 1), ("q1", 0), ("q1", 1)}
    assert sorted(value for value in found.values() if isinstance(value, float)) == [0.0, 1.0, 1.0, 1.0]
    rows = joined([log]).rows
    assert sorted((row.item, row.sample) for row in rows) == [
        ("sums/q0", 0),
        ("sums/q0", 1),
        ("sums/q1", 0),
        ("sums/q1", 1),
    ]
    assert [item.cluster for item in joined([log]).items] == ["sums/q0", "sums/q1"]


def test_a_sample_whose_scorer_failed_has_no_value_at_all(tmp_path: Path) -> None:
    from inspect_ai.scorer import Score, accuracy, match, mean, scorer

    @scorer(metrics=[mean()])
    def fragile() -> Any:
        async def score(state: Any, target: Any) -> Any:
            if state.sample_id == "q1":
                raise RuntimeError("the scorer failed")
            return Score(value=0.25)

        return score

    @scorer(metrics={"tone": [mean()], "harm": [accuracy()]})
    def several() -> Any:
        async def score(state: Any, target: Any) -> Any:
            return Score(value={"tone": 3, "harm": None})

        return score

    run_mock(tmp_path, "base", ["1", "1", "0"], scorers=[match(), fragile(), several()])
    (log,) = read_inspect_logs(tmp_path)
    assert values(log.samples, "sums/match") == {("q0", 0): 1.0, ("q1", 0): "sample-error", ("q2", 0): 0.0}
    assert values(log.samples, "sums/fragile") == {("q0", 0): 0.25, ("q1", 0): "sample-error", ("q2", 0): 0.25}
    assert values(log.samples, "sums/several/tone") == {("q0", 0): 3.0, ("q1", 0): "sample-error", ("q2", 0): 3.0}
    assert values(log.samples, "sums/several/harm") == {
        ("q0", 0): "no-score",
        ("q1", 0): "sample-error",
        ("q2", 0): "no-score",
    }
    assert len(joined([log]).rows) == 12


def test_nan_and_failed_graders_are_unscored(tmp_path: Path, rewrite: Any) -> None:
    path = run_mock(tmp_path, "base", ["1"] * 4)

    def edit(log: Any) -> None:
        first, second, third, _ = (sample.scores["match"] for sample in log.samples)
        first.value = float("nan")
        second.value, second.reason = float("nan"), "no_response"
        third.value, third.reason = "I", "grader_failed"

    rewrite(path, edit)
    (log,) = read_inspect_logs(tmp_path)
    assert list(values(log.samples, "sums/match").values()) == ["not-a-number", "no-response", "grader-failed", 1.0]


def test_samples_that_were_not_run_and_invalid_ones_are_kept(tmp_path: Path, rewrite: Any) -> None:
    from inspect_ai.log import ProvenanceData

    path = run_mock(tmp_path, "base", ["1"] * 3)

    def edit(log: Any) -> None:
        del log.samples[1]
        log.samples[1].invalidation = ProvenanceData(author="somebody", reason="wrong")
        log.status = "error"

    rewrite(path, edit)
    (log,) = read_inspect_logs(tmp_path)
    assert values(log.samples, "sums/match") == {("q0", 0): 1.0, ("q1", 0): "not-run", ("q2", 0): "invalidated"}
    assert "status 'error'" in log.warnings[0]
    assert "1 samples were not run" in log.warnings[1]


def test_values_are_read_as_inspect_reads_them() -> None:
    from inspect_ai.scorer import value_to_float

    theirs = value_to_float()
    for value in ("C", "I", "P", "N", "yes", "No", "TRUE", "false", "0.5", "-2", "1e-3", True, False, 3, 0.25):
        assert score_of(value, {}).value == theirs(value), value
    for value in ("A", "c", "refused", "nan", "inf", "", "1_000", "0x10"):
        assert score_of(value, {}).value is None, value
    assert score_of("refused", {"refused": 1.0}).value == 1.0
    assert score_of("C", {"C": 0.25}).value == 0.25
    assert score_of([1, 2], {}).reason_code == "not-one-number"
    assert score_of("9" * 400, {}).reason_code == "not-a-number"


def test_texts_count_where_the_tree_says_what_they_are_worth(tmp_path: Path, rewrite: Any) -> None:
    def edit(log: Any) -> None:
        for sample, verdict in zip(log.samples, ("refused", "complied", "unsure"), strict=True):
            sample.scores["match"].value = verdict

    for name in ("base", "sft"):
        rewrite(run_mock(tmp_path / "logs", name, ["1"] * 3), edit)
    tree = tmp_path / "tree.yaml"
    tree.write_text(TREE + "values: {sums/match: {refused: 1, complied: 0}}\n")
    imported = upbringing.import_logs(tree, inspect=tmp_path / "logs", output=tmp_path / "results")
    rows = pq.read_table(imported.folder / "rows.parquet").to_pylist()
    assert [(row["value"], row["reason_code"]) for row in rows if row["checkpoint"] == "base"] == [
        (1.0, None),
        (0.0, None),
        (None, "unreadable-value"),
    ]


def test_models_that_were_asked_other_text_are_found_out(tmp_path: Path, rewrite: Any) -> None:
    def edit(log: Any) -> None:
        log.samples[1].messages[0].content = "Something else"

    run_mock(tmp_path / "a", "base", ["1", "1"])
    path = run_mock(tmp_path / "a", "sft", ["1", "1"])
    rewrite(path, edit)
    with pytest.raises(FormatError, match=r"different text under the same ids: sums/q1;"):
        joined(read_inspect_logs(tmp_path / "a"))
    run_mock(tmp_path / "b", "base", ["1", "1"])
    run_mock(tmp_path / "b", "sft", ["1", "1"], question="Who is")
    with pytest.raises(FormatError, match=r"same questions under the same ids: sums/q0, sums/q1"):
        joined(read_inspect_logs(tmp_path / "b"), may_prompts_differ=True)


def test_the_same_prompts_have_the_same_hashes_in_both_formats(tmp_path: Path) -> None:
    run_mock(tmp_path / "a", "base", ["1", "1"])
    run_mock(tmp_path / "b", "base", ["1", "1"], log_format="json")
    (packed,), (plain,) = read_inspect_logs(tmp_path / "a"), read_inspect_logs(tmp_path / "b")
    assert packed.samples == plain.samples
    assert all(sample.prompt_sha256 and sample.question_sha256 for sample in packed.samples)


def test_two_runs_of_one_model_that_disagree_are_an_error(tmp_path: Path) -> None:
    run_mock(tmp_path, "base", ["1", "1"])
    run_mock(tmp_path, "base", ["1", "0"])
    with pytest.raises(FormatError, match=r"another log of 'mockllm/base' on 'sums' disagree about 'sums/q1'"):
        joined(read_inspect_logs(tmp_path))


def test_the_cluster_is_a_key_of_the_metadata(tmp_path: Path) -> None:
    run_mock(tmp_path, "base", ["1"] * 4)
    (log,) = read_inspect_logs(tmp_path, cluster="family")
    assert [sample.cluster for sample in log.samples] == ["0", "0", "1", "1"]
    with pytest.raises(FormatError, match="has no 'kind' to cluster by"):
        read_inspect_logs(tmp_path, cluster="kind")


def test_an_id_that_stands_twice_or_is_missing_is_an_error(tmp_path: Path, rewrite: Any) -> None:
    path = run_mock(tmp_path / "a", "base", ["1", "1"], log_format="json")

    def twice(log: Any) -> None:
        log.samples.append(log.samples[0].model_copy(deep=True))

    rewrite(path, twice)
    with pytest.raises(FormatError, match=r"the sample 'sums/q0' \(epoch 1\) stands twice"):
        joined(read_inspect_logs(path))
    path.write_text(path.read_text().replace('"id": "q1"', '"id": ""'))
    with pytest.raises(FormatError, match="the id of a sample must be"):
        read_inspect_logs(path)
    path.write_text(path.read_text().replace('"id": "",', ""))
    with pytest.raises(FormatError, match="is not a readable Inspect log"):
        read_inspect_logs(path)


@pytest.mark.parametrize("log_format", ["eval", "json"])
def test_a_torn_log_is_our_error_at_every_length(log_format: str, tmp_path: Path) -> None:
    path = run_mock(tmp_path, "base", ["1", "1"], log_format=log_format)
    whole = path.read_bytes()
    for length in range(0, len(whole), len(whole) // 20):
        path.write_bytes(whole[:length])
        with pytest.raises(FormatError, match=r"is not a (readable|whole) Inspect log"):
            read_inspect_logs(tmp_path)


def test_a_flipped_bit_is_found(tmp_path: Path) -> None:
    path = run_mock(tmp_path, "base", ["1", "1"])
    whole = bytearray(path.read_bytes())
    with zipfile.ZipFile(path) as archive:
        places = [entry.header_offset + 30 + len(entry.filename) + 40 for entry in archive.infolist()]
    for place in places:
        flipped = bytearray(whole)
        flipped[place] ^= 1
        path.write_bytes(flipped)
        with pytest.raises(FormatError, match="is not a whole Inspect log"):
            read_inspect_logs(tmp_path)


def test_a_log_that_unpacks_to_too_much_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "bomb.eval"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("header.json", b" " * 2_000_000)
    monkeypatch.setattr(inspect_logs, "MAX_UNPACKED_BYTES", 1_000_000)
    with pytest.raises(FormatError, match="unpacks to 2000000 bytes, at most 1000000"):
        read_inspect_logs(tmp_path)


def test_other_json_files_are_not_taken_for_logs(tmp_path: Path) -> None:
    run_mock(tmp_path, "base", ["1"])
    (tmp_path / "logs.json").write_text("{}")
    (tmp_path / "notes.json").write_text("{}")
    empty = tmp_path / "empty"
    empty.mkdir()
    (log,) = read_inspect_logs(tmp_path)
    assert log.warnings == ("not named like Inspect logs and not read: notes.json; name such a file by itself",)
    with pytest.raises(FormatError, match="is not a readable Inspect log"):
        read_inspect_logs(tmp_path / "notes.json")
    with pytest.raises(FormatError, match="holds no Inspect log"):
        read_inspect_logs(empty)


def test_epochs_beyond_reason_are_refused(tmp_path: Path, rewrite: Any) -> None:
    path = run_mock(tmp_path, "base", ["1"], log_format="json")
    rewrite(path, lambda log: setattr(log.eval.config, "epochs", 10**12))
    with pytest.raises(FormatError, match="in 1000000000000 epochs, at most"):
        read_inspect_logs(tmp_path)
    rewrite(path, lambda log: setattr(log.samples[0], "epoch", 10**12))
    with pytest.raises(FormatError, match="is of epoch 1000000000000"):
        read_inspect_logs(tmp_path)


def test_a_log_without_samples_is_an_error(tmp_path: Path, rewrite: Any) -> None:
    path = run_mock(tmp_path, "base", ["1"], log_format="json")
    rewrite(path, lambda log: setattr(log, "samples", None))
    with pytest.raises(FormatError, match="holds no samples"):
        read_inspect_logs(tmp_path)


def test_a_scorer_that_asks_a_model_is_a_judge_of_that_kind_whose_word_alone_decides_nothing(tmp_path: Path) -> None:
    from inspect_ai.model import ModelOutput, ModelUsage, get_model
    from inspect_ai.scorer import match, model_graded_qa

    for name, answers in (("base", ["1"] * 8), ("sft", ["0"] * 8)):
        verdict = "GRADE: C" if name == "sft" else "GRADE: I"
        graded = [ModelOutput.from_content("mockllm/grader", verdict) for _ in answers]
        for output in graded:
            output.usage = ModelUsage(input_tokens=1, output_tokens=1, total_tokens=2)  # else tokens are counted online
        grader = model_graded_qa(model=get_model("mockllm/grader", custom_outputs=graded, memoize=False))
        run_mock(tmp_path / "logs", name, answers, scorers=[match(), grader])
    tree = tmp_path / "tree.yaml"
    tree.write_text(TREE + "margins: {sums/model_graded_qa: 0.1, sums/match: 0.1}\n", encoding="utf-8")
    imported = upbringing.import_logs(tree, inspect=tmp_path / "logs", output=tmp_path / "results")
    kinds = {row["judge"]: row["judge_kind"] for row in pq.read_table(imported.folder / "rows.parquet").to_pylist()}
    assert kinds == {"match": None, "model_graded_qa": "llm"}
    claims = {claim.measure: claim for claim in upbringing.attribute(imported.folder).claims if claim.kind == "path"}
    assert claims["sums/match"].verdict == "changed"
    graded_claim = claims["sums/model_graded_qa"]
    assert (graded_claim.estimate, graded_claim.verdict, graded_claim.calibration) == (
        1.0,
        "inconclusive",
        "uncalibrated",
    )
