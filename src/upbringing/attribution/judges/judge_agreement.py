"""How far judges agree on the answers that both scored: Cohen's kappa of every pair."""

from __future__ import annotations

from itertools import combinations
from typing import Any

import numpy as np
from numpy.typing import NDArray

from upbringing.attribution.evidence.columns import MISSING, Columns
from upbringing.attribution.evidence.scores import KEY_LIMIT
from upbringing.attribution.judges.calibration import kappa
from upbringing.formats.rows import OUTCOMES

Keys = NDArray[np.int64]


def judge_agreement(columns: Columns) -> list[dict[str, Any]]:
    """Return the kappa matrix of the judges as one line per pair that scored the same answers.

    An answer is a checkpoint's to an item under a condition, by turn and sample; which measures count it plays no part.
    ``kappa`` is ``None`` where both judges used one and the same word throughout.
    """
    outcome = columns.outcome
    if outcome is None or len(columns.judge.labels) < 2:
        return []
    spoken = np.flatnonzero(outcome != MISSING)
    answer = _answers(columns, spoken)
    by_judge: dict[str, tuple[Keys, NDArray[np.int32]]] = {}
    for code, judge in enumerate(columns.judge.labels):
        own = columns.judge.codes[spoken] == code
        keys, first = np.unique(answer[own], return_index=True)
        if len(keys):
            by_judge[judge] = keys, outcome[spoken][own][first]
    lines = []
    for one, other in combinations(sorted(by_judge), 2):
        shared, left, right = np.intersect1d(by_judge[one][0], by_judge[other][0], True, return_indices=True)
        if len(shared):
            words = by_judge[one][1][left].astype(np.int64) * len(OUTCOMES) + by_judge[other][1][right]
            counts = np.bincount(words, minlength=len(OUTCOMES) ** 2).reshape(len(OUTCOMES), -1)
            lines.append(_line(one, other, counts))
    return lines


def _answers(columns: Columns, lines: Keys) -> Keys:
    """Return one number per answer: its place among the combinations of what names it."""
    parts = [columns.checkpoint.codes, columns.condition.codes, columns.item.codes, columns.turn, columns.sample]
    number, size = np.zeros(len(lines), dtype=np.int64), 1
    for part in parts:
        width = int(part.max(initial=0)) + 1
        if size * width > KEY_LIMIT:
            distinct, number = np.unique(number, return_inverse=True)
            size = len(distinct)
        number = number.astype(np.int64) * width + part[lines]
        size *= width
    return number


def _line(one: str, other: str, counts: Keys) -> dict[str, Any]:
    pairs = [
        (OUTCOMES[row], OUTCOMES[column], float(counts[row, column]))
        for row in range(len(OUTCOMES))
        for column in range(len(OUTCOMES))
        if counts[row, column]
    ]
    agreement, found = kappa(pairs)
    return {"judges": [one, other], "answers": int(counts.sum()), "agreement": agreement, "kappa": found}
