"""The threshold report and training by hand-computed cases, and against scikit-learn's own numbers."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from upbringing.attribution.statistics.levels import wilson
from upbringing.base.errors import DataError
from upbringing.base.streams import stream
from upbringing.data.interventions.scores import HarmScore
from upbringing.data.interventions.scoring.anchors import ANCHORS, check_not_reversed
from upbringing.data.interventions.scoring.classifier import ClassifierScorer
from upbringing.data.interventions.scoring.ngram_training import ClassifierTraining
from upbringing.data.interventions.scoring.tools import ScoringTools
from upbringing.lab.scoring.threshold_report import ThresholdReport, report_thresholds, threshold_report
from upbringing.lab.scoring.training import train_classifier


def report(*pairs: tuple[int | None, int | None]) -> ThresholdReport:
    return report_thresholds((label, HarmScore(score, "code: more")) for label, score in pairs)


def test_a_report_by_hand() -> None:
    found = report((0, 0), (0, 1), (1, 0), (3, 1), (5, 4), (5, 5), (4, None), (0, None), (None, 2))
    assert (found.rows, found.labelled, found.unlabelled, found.unscored) == (9, 8, 1, {"code": 2})
    first, third = found.thresholds[0], found.thresholds[2]
    assert (first.recall.hits, first.recall.num) == (3, 4)
    assert (first.recall.low, first.recall.high) == pytest.approx(wilson(0.75, 4))
    assert (first.precision.hits, first.precision.num) == (3, 4)
    assert (first.recall_if_missed, first.recall_if_caught) == (3 / 5, 4 / 5)
    assert (third.recall.hits, third.recall.num, third.precision.rate) == (2, 3, 1.0)
    assert found.confusion[5] == (0, 0, 0, 0, 1, 1)
    assert found.unscored_by_label == (1, 0, 0, 0, 1, 0)
    # F1: 0 -> 2*1/(2+2), 1 -> 0, 3 -> 0, 4 -> 0, 5 -> 2*1/(2+1); 2 occurs nowhere
    assert found.f1 == pytest.approx((0.5, 0, None, 0, 0, 2 / 3))
    assert found.macro_f1 == pytest.approx((0.5 + 2 / 3) / 5)


def test_it_agrees_with_scikit_learn_and_its_interval_covers() -> None:
    from sklearn.metrics import confusion_matrix, f1_score

    random = stream(0, "pairs")
    labels = random.integers(0, 6, size=500)
    scores = np.where(random.random(500) < 0.6, labels, random.integers(0, 6, size=500))
    found = report(*zip(labels.tolist(), scores.tolist(), strict=True))
    assert found.macro_f1 == pytest.approx(f1_score(labels, scores, average="macro"))
    assert np.array_equal(np.array(found.confusion), confusion_matrix(labels, scores))
    assert found.macro_f1_low is not None
    assert found.macro_f1_high is not None
    assert found.macro_f1_low < found.macro_f1 < found.macro_f1_high
    assert 0.05 < found.macro_f1_high - found.macro_f1_low < 0.12  # about 4 x sqrt(.6 x .4 / 500) = .088


def test_nothing_scored_is_no_rate_and_nothing_labelled_an_error() -> None:
    found = report((0, None), (5, None))
    assert found.macro_f1 is None
    assert found.thresholds[0].recall.rate is None
    assert (found.thresholds[0].recall_if_missed, found.thresholds[0].recall_if_caught) == (0.0, 1.0)
    with pytest.raises(DataError, match="none of 1 rows is labelled"):
        report((None, 0))


def test_a_file_with_labels_is_read_strictly(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_text('{"label": 5, "harm_score": 4}\n{"label": null, "harm_score": 0}\n', encoding="utf-8")
    assert threshold_report(path).labelled == 1
    for row, message in (
        ('{"harm_score": 0}', "no column 'label'"),
        ('{"label": 0}', "no column 'harm_score'"),
        ('{"label": "5", "harm_score": 0}', "whole number from 0 to 5"),
        ('{"label": 0, "harm_score": 2.5}', "whole number from 0 to 5"),
    ):
        path.write_text(row + "\n", encoding="utf-8")
        with pytest.raises(DataError, match=message):
            threshold_report(path)


def labelled_file(path: Path, num: int) -> Path:
    random = stream(1, "labelled file")
    rows = []
    for number in range(num):
        label = int(random.integers(2)) * 4
        words = [f"w{int(each)}" for each in random.integers(0, 40, size=10)]
        rows.append({"text": f"{' '.join(words)} {'venom' if label else 'meadow'} n{number}", "label": label})
    rows += [rows[0], {"text": "unlabelled", "label": None}, {"text": "", "label": 0}]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def test_training_reports_on_rows_it_never_read(tmp_path: Path) -> None:
    path = labelled_file(tmp_path / "labels.jsonl", 300)
    made = train_classifier(path, tmp_path / "classifier", seed=3)
    assert made.trained_on + made.held_out == 300
    assert (made.unlabelled, made.repeated) == (2, 1)
    assert made.thresholds.labelled == made.held_out
    assert made.thresholds.thresholds[0].recall.rate == 1.0
    assert made.heaviest_terms["4"][0] == "venom"
    assert made.confidence is not None
    assert made.confidence.error < 0.1
    assert json.loads((tmp_path / "classifier.held-out.json").read_text())["digest"] == made.digest
    with pytest.raises(DataError, match="never overwritten"):
        train_classifier(path, tmp_path / "classifier")


def test_reversed_labels_do_not_pass_ones_own_anchors(tmp_path: Path) -> None:
    path = labelled_file(tmp_path / "labels.jsonl", 200)
    anchors = tmp_path / "anchors.jsonl"
    rows = [{"text": f"meadow w{number}", "harm": 0} for number in range(3)]
    rows += [{"text": f"venom w{number}", "harm": 4} for number in range(3)]
    anchors.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    train_classifier(path, tmp_path / "right", anchors=anchors, training=ClassifierTraining(class_weight=2.0))
    turned = tmp_path / "turned.jsonl"
    swapped = [json.loads(line) for line in path.read_text().splitlines()]
    turned.write_text(
        "".join(json.dumps({**row, "label": {0: 4, 4: 0, None: None}[row["label"]]}) + "\n" for row in swapped)
    )
    with pytest.raises(DataError, match="The labels are reversed"):
        train_classifier(turned, tmp_path / "wrong", anchors=anchors)
    assert not (tmp_path / "wrong").exists()


HARM = ["bomb", "kill", "poison", "murder", "hate", "vermin", "killed", "murdered", "beaten"]
HARMLESS = ["bread", "river", "library", "flour", "scarf", "sunflowers", "fractions", "class", "fence"]


def plain_file(path: Path, *, harmful: int, harmless: int) -> Path:
    """Write texts of plain harmful and harmless words with these labels."""
    random = stream(2, "plain file")
    rows = []
    for number in range(120):
        words, label = (HARM, harmful) if number % 2 else (HARMLESS, harmless)
        text = " ".join(words[int(each)] for each in random.integers(0, len(words), size=6))
        rows.append(json.dumps({"text": f"{text} n{number}", "label": label}) + "\n")
    path.write_text("".join(rows), encoding="utf-8")
    return path


def test_labels_that_are_plainly_reversed_are_an_error_without_anchors(tmp_path: Path) -> None:
    right = plain_file(tmp_path / "right.jsonl", harmful=5, harmless=0)
    train_classifier(right, tmp_path / "right")
    tools = ScoringTools(folder=tmp_path)
    ClassifierScorer(folder="right").open(tools)
    turned = plain_file(tmp_path / "turned.jsonl", harmful=0, harmless=5)
    with pytest.raises(DataError, match=r"turned\.jsonl: .* the labels are probably reversed"):
        train_classifier(turned, tmp_path / "wrong")
    assert not (tmp_path / "wrong").exists()
    own = tmp_path / "own.jsonl"  # whoever means it that way round says so
    rows = [{"text": word, "harm": 0} for word in HARM[:3]] + [{"text": word, "harm": 4} for word in HARMLESS[:3]]
    own.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    train_classifier(turned, tmp_path / "meant", anchors=own)
    with pytest.raises(DataError, match=r"meant: .* the labels are probably reversed"):
        ClassifierScorer(folder="meant").open(tools)
    ClassifierScorer(folder="meant", anchors="own.jsonl").open(tools)


def test_where_too_few_anchors_are_known_nothing_is_said(tmp_path: Path) -> None:
    """Two of either side: by hand, ratings the wrong way round and a classifier that knows too little."""
    num = len(ANCHORS.harmless)
    wrong = np.zeros((num + len(ANCHORS.harmful), 6))
    wrong[:num, 5] = wrong[num:, 0] = 1.0
    knows = np.zeros(len(wrong), dtype=np.bool_)
    knows[[0, 1, 2, num, num + 1]] = True
    check_not_reversed(wrong, knows, "x")
    knows[num + 2] = True
    with pytest.raises(DataError, match="rated higher in only 0% of all pairs"):
        check_not_reversed(wrong, knows, "x")
    check_not_reversed(wrong[::-1], knows[::-1], "x")
