"""How good a scorer is on labelled texts, recall first: what it misses at scores 1 and 3, and what it costs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from upbringing.attribution.statistics.levels import wilson
from upbringing.base.errors import DataError
from upbringing.base.streams import stream
from upbringing.data.interventions.scores import HarmScore
from upbringing.data.interventions.scoring.meanings import SCORES
from upbringing.lab.scoring.score_file import reason_code
from upbringing.lab.scoring.text_rows import SCORE, column, label_of, read_rows, score_of

LABEL = "label"
RECALL_FIRST = (1, 3)  # the thresholds of the source: anything harmful at all, and clearly harmful
DRAWS = 2000  # of the bootstrap


@dataclass(frozen=True)
class Rate:
    """``hits`` of ``num`` with Wilson's 95 % interval; without cases there is no rate."""

    hits: int
    num: int
    rate: float | None
    low: float | None
    high: float | None


def rate_of(hits: int, num: int) -> Rate:
    """Return the rate of ``hits`` among ``num`` with its interval."""
    if num == 0:
        return Rate(0, 0, None, None, None)
    low, high = wilson(hits / num, num)
    return Rate(hits, num, hits / num, low, high)


@dataclass(frozen=True)
class AtThreshold:
    """Texts labelled ``score`` or more against texts scored so.

    ``recall`` is among scored texts; ``recall_if_missed`` and ``recall_if_caught`` count unscored harmful texts as
    missed and as caught: the truth lies between.
    """

    score: int
    recall: Rate
    precision: Rate
    recall_if_missed: float | None
    recall_if_caught: float | None


@dataclass(frozen=True)
class ThresholdReport:
    """``confusion[label][score]``; ``unscored_by_label`` beside it. ``f1``: of each score, ``None`` where it occurs
    neither as label nor as score; ``macro_f1`` is their mean, with a bootstrap interval over texts.
    """

    rows: int
    labelled: int
    unlabelled: int
    unscored: Mapping[str, int]
    lower_bounds: int
    thresholds: tuple[AtThreshold, ...]
    f1: tuple[float | None, ...]
    macro_f1: float | None
    macro_f1_low: float | None
    macro_f1_high: float | None
    confusion: tuple[tuple[int, ...], ...]
    unscored_by_label: tuple[int, ...]


def threshold_report(path: Path, *, label_column: str = LABEL, score_column: str = SCORE) -> ThresholdReport:
    """Return the report on a file with labels and scores; a row whose label is null counts as unlabelled."""

    def pairs() -> Iterable[tuple[int | None, HarmScore]]:
        for row in read_rows(path, (label_column, score_column)):
            column(row, label_column)  # raises where there is none
            yield label_of(row, label_column), score_of(row, score_column)

    return report_thresholds(pairs())


def report_thresholds(pairs: Iterable[tuple[int | None, HarmScore]]) -> ThresholdReport:
    """Return the report on pairs of label and score; raises ``DataError`` where nothing is labelled.

    Stream of the bootstrap: ``threshold-report`` of seed 0.
    """
    confusion = np.zeros((len(SCORES), len(SCORES)), dtype=np.int64)
    missing = np.zeros(len(SCORES), dtype=np.int64)
    unscored: Counter[str] = Counter()
    rows = unlabelled = lower_bounds = 0
    for label, score in pairs:
        rows += 1
        lower_bounds += score.lower_bound
        if label is None:
            unlabelled += 1
        elif score.score is None:
            missing[label] += 1
            unscored[reason_code(score)] += 1
        else:
            confusion[label, score.score] += 1
    if rows == unlabelled:
        raise DataError(f"none of {rows} rows is labelled: nothing can be compared")
    f1 = f1_of(confusion[None])[0]
    low, high = _f1_interval(confusion)
    return ThresholdReport(
        rows=rows,
        labelled=rows - unlabelled,
        unlabelled=unlabelled,
        unscored=dict(sorted(unscored.items())),
        lower_bounds=lower_bounds,
        thresholds=tuple(_at(score, confusion, missing) for score in SCORES[1:]),
        f1=tuple(None if np.isnan(each) else float(each) for each in f1),
        macro_f1=None if np.isnan(f1).all() else float(np.nanmean(f1)),
        macro_f1_low=low,
        macro_f1_high=high,
        confusion=tuple(tuple(int(each) for each in row) for row in confusion),
        unscored_by_label=tuple(int(each) for each in missing),
    )


def _at(score: int, confusion: NDArray[np.int64], missing: NDArray[np.int64]) -> AtThreshold:
    caught, harmful = int(confusion[score:, score:].sum()), int(confusion[score:].sum())
    lost = int(missing[score:].sum())
    every = harmful + lost
    return AtThreshold(
        score=score,
        recall=rate_of(caught, harmful),
        precision=rate_of(caught, int(confusion[:, score:].sum())),
        recall_if_missed=caught / every if every else None,
        recall_if_caught=(caught + lost) / every if every else None,
    )


def f1_of(confusions: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return F1 of each score, shape ``(tables, 6)``; NaN for a score that is neither label nor score of any text."""
    right = np.diagonal(confusions, axis1=1, axis2=2).astype(np.float64)
    either = confusions.sum(axis=1) + confusions.sum(axis=2)
    return np.where(either > 0, 2 * right / np.where(either > 0, either, 1), np.nan)


def _f1_interval(confusion: NDArray[np.int64]) -> tuple[float | None, float | None]:
    """Return the 95 % percentile interval of macro F1 over resampled texts; the mean is over the same scores."""
    num = int(confusion.sum())
    if num == 0:
        return None, None
    draws = stream(0, "threshold-report").multinomial(num, confusion.ravel() / num, size=DRAWS)
    occurs = ~np.isnan(f1_of(confusion[None])[0])
    drawn = np.nan_to_num(f1_of(draws.reshape(DRAWS, *confusion.shape))[:, occurs]).mean(axis=1)
    low, high = np.quantile(drawn, [0.025, 0.975])
    return float(low), float(high)
