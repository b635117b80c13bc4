"""Train the n-gram classifier on a labelled file, and say on rows it never read how good and calibrated it is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from upbringing.base.errors import DataError
from upbringing.base.files import write_json_atomic
from upbringing.base.fingerprint import file_sha256, fingerprint
from upbringing.data.documents import Document
from upbringing.data.interventions.scoring.anchors import check_anchors, read_anchors
from upbringing.data.interventions.scoring.classifier import ClassifierScorer, ClassifierScores, refuse_reversed
from upbringing.data.interventions.scoring.deciding import Calibration, at_least, calibration
from upbringing.data.interventions.scoring.ngram_files import open_ngrams, save_ngrams
from upbringing.data.interventions.scoring.ngram_training import (
    ClassifierTraining,
    LabelledText,
    distinct,
    split,
    train_ngrams,
)
from upbringing.lab.scoring.text_rows import document_of, label_of, read_rows
from upbringing.lab.scoring.threshold_report import LABEL, RECALL_FIRST, ThresholdReport, report_thresholds

REPORT_NAME = "held-out.json"  # beside the classifier's folder, whose files are hashed
SHOWN_TERMS = 8


@dataclass(frozen=True)
class HeldOutReport:
    """What the classifier is worth on held-out rows.

    ``confidence``: of the score that was given. ``events``: of the probability of score 1 (3) or more.
    ``heaviest_terms``: what speaks most for each score, to be read by a person.
    """

    digest: str
    trained_on: int
    held_out: int
    unlabelled: int
    repeated: int
    thresholds: ThresholdReport
    confidence: Calibration | None
    events: Mapping[str, Calibration | None]
    heaviest_terms: Mapping[str, Sequence[str]]


def train_classifier(
    path: Path,
    output: Path,
    *,
    training: ClassifierTraining | None = None,
    label_column: str = LABEL,
    seed: int = 0,
    anchors: Path | None = None,
) -> HeldOutReport:
    """Train on the labelled rows of ``path``, save into the new folder ``output``, and report on held-out rows.

    The report also stands beside it, in ``OUTPUT.held-out.json``. Labels that are reversed raise ``DataError`` and
    nothing is saved: by ``anchors``, or by the built-in ones where what was learned says anything about them.
    """
    if output.exists():
        raise DataError(f"{output} exists: a classifier is never overwritten, name another folder")
    training = training or ClassifierTraining()
    labelled, unlabelled = _labelled(path, label_column)
    rows = distinct(labelled)
    kept, apart = split(rows, training.held_out, seed)
    if not apart:
        raise DataError(f"none of {len(rows)} labelled texts was held out: label more, or raise held_out")
    classifier = train_ngrams(kept, training, seed)
    if anchors is not None:
        check_anchors(read_anchors(anchors), lambda texts: classifier.rate(texts).weighted, None, path.name)
    else:
        refuse_reversed(classifier, path.name)
    facts: dict[str, Any] = {
        "training": fingerprint(training),
        "settings": training.model_dump(mode="json"),
        "labels_sha256": file_sha256(path),
        "seed": seed,
    }
    save_ngrams(classifier, output, facts)
    opened, digest = open_ngrams(output)  # what is reported on is what was saved
    report = _report(ClassifierScores(ClassifierScorer(folder=output.name), opened, digest), apart)
    made = HeldOutReport(
        digest,
        len(kept),
        len(apart),
        unlabelled,
        len(labelled) - len(rows),
        *report,
        _terms(opened.heaviest_terms(SHOWN_TERMS)),
    )
    write_json_atomic(output.with_name(f"{output.name}.{REPORT_NAME}"), asdict(made))
    return made


def _labelled(path: Path, label_column: str) -> tuple[list[LabelledText], int]:
    found, unlabelled = [], 0
    for row in read_rows(path, (label_column,)):
        if label_column not in row.content:
            raise DataError(f"{row.where} has no column {label_column!r}; it has {', '.join(map(repr, row.content))}")
        label, text = label_of(row, label_column), document_of(row, path.stem).text
        if label is None or not text.strip():
            unlabelled += 1
        else:
            found.append(LabelledText(text, label))
    return found, unlabelled


def _terms(terms: Mapping[int, Sequence[str]]) -> dict[str, Sequence[str]]:
    return {str(score): words for score, words in terms.items()}


def _report(
    scorer: ClassifierScores, apart: Sequence[LabelledText]
) -> tuple[ThresholdReport, Calibration | None, dict[str, Calibration | None]]:
    scores = scorer.score([Document(text=row.text, source="held-out") for row in apart])
    known = [place for place, score in enumerate(scores) if score.score is not None]
    labels = np.array([apart[place].score for place in known], dtype=np.int64)
    given = [scores[place] for place in known]
    confidence = calibration(
        [score.confidence or 0.0 for score in given],
        [score.score == label for score, label in zip(given, labels, strict=True)],
    )
    rated = at_least(scorer.classifier.rate([apart[place].text for place in known]).calibrated)
    events = {f"{least} or more": calibration(list(rated[:, least]), list(labels >= least)) for least in RECALL_FIRST}
    pairs = ((row.score, score) for row, score in zip(apart, scores, strict=True))
    return report_thresholds(pairs), confidence, events
