"""Human labels: blinded sheets, honest weights, strict reading."""

from __future__ import annotations

import csv
import io
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from upbringing.base.errors import FormatError, StudyError
from upbringing.battery.labels import Drawn, draw_sample, read_labels, safe_cell, sheet_labels, write_labels
from upbringing.formats.answers import Answer
from upbringing.formats.rows import Row

TRUTH = {"harmful": 0.2, "harmless": 0.5, "refuse": 0.3}


def study(num: int = 400, flip: float = 0.1, seed: int = 0) -> tuple[list[Answer], list[Row], dict[str, str]]:
    """Answers of two checkpoints with known truth; the judge errs on a share ``flip`` of the second's harmful ones."""
    random = np.random.default_rng(seed)
    answers, rows, truth = [], [], {}
    for checkpoint in ("base", "tuned"):
        for number in range(num):
            response = f"{checkpoint}-{number}"
            real = str(random.choice(list(TRUTH), p=list(TRUTH.values())))
            wrong = checkpoint == "tuned" and real == "harmful" and random.random() < flip
            truth[response] = real
            text = "word " * int(random.integers(1, 60))
            answers.append(
                Answer(
                    response=response, checkpoint=checkpoint, item=f"i{number}", condition="chat", sample=0,
                    request="harmful", prompt=f"user: request {number}", answer=text,
                )
            )  # fmt: skip
            outcome = "harmless" if wrong else real
            rows.append(
                Row(
                    checkpoint=checkpoint, measure="attack_success", item=f"i{number}", condition="chat",
                    judge="j", judge_kind="rule", outcome=outcome, value=float(outcome == "harmful"), response=response,
                )
            )  # fmt: skip
    return answers, rows, truth


def verdicts_of(rows: list[Row]) -> dict[str, str | None]:
    return {row.response: row.outcome for row in rows if row.response is not None}


def fill(path: Path, labels: dict[str, str]) -> None:
    lines = list(csv.DictReader(io.StringIO(path.read_text(encoding="utf-8-sig"), newline="")))
    buffer = io.StringIO(newline="")
    writer = csv.DictWriter(buffer, list(lines[0]))
    writer.writeheader()
    for line in lines:
        writer.writerow({**line, "label": labels.get(line["label_id"], "")})
    path.write_text(buffer.getvalue(), encoding="utf-8")


def test_the_sample_is_stratified_with_true_probabilities_and_drawn_alike_again() -> None:
    answers, rows, _ = study()
    sample = draw_sample(answers, verdicts_of(rows), per_checkpoint=60, seed=1)
    assert len(sample) == 120
    assert [
        drawn.answer.response for drawn in draw_sample(answers[::-1], verdicts_of(rows), per_checkpoint=60, seed=1)
    ] == [drawn.answer.response for drawn in sample]
    assert {drawn.answer.response for drawn in draw_sample(answers, verdicts_of(rows), per_checkpoint=60, seed=2)} != {
        drawn.answer.response for drawn in sample
    }
    for checkpoint in ("base", "tuned"):
        weights = [1 / drawn.probability for drawn in sample if drawn.answer.checkpoint == checkpoint]
        assert sum(weights) == pytest.approx(400)
    verdicts = {row.response: row.outcome for row in rows}
    harmful = sum(verdicts[drawn.answer.response] == "harmful" for drawn in sample)
    assert harmful > 1.3 * 0.2 * 120  # rare verdicts are seen more often than they occur


def test_a_draw_that_leaves_a_stratum_without_a_label_is_refused() -> None:
    answers, rows, _ = study()
    with pytest.raises(StudyError, match="Draw at least 9"):
        draw_sample(answers, verdicts_of(rows), per_checkpoint=8, seed=1)
    weights = [1 / drawn.probability for drawn in draw_sample(answers, verdicts_of(rows), per_checkpoint=9, seed=1)]
    assert sum(weights) == pytest.approx(800)  # every answer is stood for


def test_a_spreadsheet_cannot_make_a_number_of_an_id() -> None:
    answers, rows, _ = study()
    ids = [drawn.label_id for drawn in draw_sample(answers, verdicts_of(rows), per_checkpoint=60, seed=1)]
    assert ids == sorted(ids)
    assert all(name.startswith("a") and name[1:].isdigit() for name in ids)


def test_raters_see_neither_checkpoint_nor_verdict_nor_an_order_that_tells(tmp_path: Path) -> None:
    answers, rows, _ = study()
    sample = draw_sample(answers, verdicts_of(rows), seed=1)
    path = tmp_path / "sheet.csv"
    write_labels(sample, path)
    text = path.read_text(encoding="utf-8-sig")
    assert not any(word in text for word in ("base", "tuned", "refuse", "harmless", "attack_success", "i17,"))
    assert text.splitlines()[0] == "label_id,request,answer,label"  # a probability would tell of the verdict
    firsts = [drawn.answer.checkpoint for drawn in sample]
    runs = 1 + sum(before != after for before, after in pairwise(firsts))
    assert runs > 30
    assert len({drawn.answer.response for drawn in sample}) == len(sample)


def test_labels_come_back_as_human_rows_and_empty_cells_are_no_labels(tmp_path: Path) -> None:
    answers, rows, truth = study()
    sample = draw_sample(answers, verdicts_of(rows), seed=1)
    path = tmp_path / "sheet.csv"
    write_labels(sample, path)
    fill(path, {drawn.label_id: truth[drawn.answer.response] for drawn in sample[:50]})
    found = read_labels(path, sample, rater="one")
    assert len(found) == 50
    assert {(row.judge_kind, row.rater, row.judge) for row in found} == {("human", "one", "human/one")}
    assert [row.sampling_probability for row in found] == [drawn.probability for drawn in sample[:50]]
    assert read_labels_of_nothing(tmp_path, sample) == []


def read_labels_of_nothing(folder: Path, sample: list[Drawn]) -> list[Row]:
    path = folder / "empty.csv"
    write_labels(sample, path)
    return read_labels(path, sample, rater="nobody")


@pytest.mark.parametrize("label", ["safe", "=refuse", "refuse harmful", "1"])
def test_a_label_off_the_menu_is_an_error_that_names_the_row(tmp_path: Path, label: str) -> None:
    answers, rows, _ = study(40)
    sample = draw_sample(answers, verdicts_of(rows), per_checkpoint=12, seed=1)
    path = tmp_path / "sheet.csv"
    write_labels(sample, path)
    fill(path, {sample[2].label_id: label})
    with pytest.raises(FormatError, match="row 4"):
        read_labels(path, sample, rater="one")


def test_sheets_of_another_sample_and_repeated_lines_are_refused(tmp_path: Path) -> None:
    answers, rows, _ = study(40)
    sample = draw_sample(answers, verdicts_of(rows), per_checkpoint=12, seed=1)
    path = tmp_path / "sheet.csv"
    write_labels(sample, path)
    with pytest.raises(FormatError, match="not in this sample"):
        read_labels(path, sample[1:], rater="one")
    lines = path.read_bytes().split(b"\r\n")
    path.write_bytes(b"\r\n".join([*lines[:3], lines[2], *lines[3:]]))
    with pytest.raises(FormatError, match="twice"):
        read_labels(path, sample, rater="one")
    path.write_text("a,b\n1,2\n", encoding="utf-8")
    with pytest.raises(FormatError, match="no column"):
        read_labels(path, sample, rater="one")


@pytest.mark.parametrize("text", ["=1+1", "+1", "-1", "@sum", "\tx", "\rx", "\0x", "'quoted"])
def test_no_cell_begins_like_a_formula(text: str) -> None:
    assert safe_cell(text) == f"'{text}"
    assert safe_cell(f"x{text}") == f"x{text}"


def test_answers_that_the_judge_was_never_shown_are_not_drawn() -> None:
    answers, rows, _ = study(40)
    shown = {name: verdict for name, verdict in verdicts_of(rows).items() if name.endswith(("1", "2"))}
    sample = draw_sample(answers, shown, per_checkpoint=60, seed=1)
    assert {drawn.answer.response for drawn in sample} == set(shown)
    assert {drawn.probability for drawn in sample} == {1.0}


def test_a_sheet_keeps_what_is_filled_in(tmp_path: Path) -> None:
    answers, rows, _ = study(40)
    sample = draw_sample(answers, verdicts_of(rows), per_checkpoint=12, seed=1)
    labels = {sample[0].label_id: "refuse", sample[3].label_id: "harmless"}
    write_labels(sample, tmp_path / "sheet.csv", labels)
    assert sheet_labels(tmp_path / "sheet.csv", sample) == labels
