"""Train the n-gram classifier on one's own labels, with misses costing more than false alarms, and calibrate it.

Source: Maini et al. 2025 (six-class cross-entropy, the loss on scores above 0 weighted by lambda = 100). Departures:
n-grams in place of an embedding; lambda is 10 by default, so that a text counts as harmful from a chance of about 1 in
11. At 100 it does from 1 in 101, and of the texts that the source's classifier scored 5, 2.7 % were confirmed severe
(Minder et al. 2026).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from upbringing.base.description import Description
from upbringing.base.errors import DataError, MissingExtraError, TrainingError
from upbringing.base.fingerprint import text_sha256
from upbringing.base.streams import SEED_BITS, derived_seed
from upbringing.data.interventions.scoring.meanings import check_score
from upbringing.data.interventions.scoring.ngrams import (
    Calibrated,
    Floats,
    NgramClassifier,
    NgramFeatures,
    open_counter,
    rarities,
    softmax,
    weigh,
)

LEAST_PER_SCORE = 2  # one to learn from and one to calibrate on
START_NOISE, MOST_NOISE = 0.1, 0.95  # share of labels that no text explains
OFFSET_PENALTY = 1e-3  # keeps the offset of a class that is never confused finite


class ClassifierTraining(Description):
    """``class_weight``: how much more the loss of a text of score 1 or more counts. ``penalty``: inverse strength of
    the quadratic penalty on weights. ``folds``: parts of the calibration's cross-validation. ``held_out``: share of the
    texts that are kept apart for the report.
    """

    features: NgramFeatures = NgramFeatures()
    class_weight: float = Field(default=10.0, gt=0)
    penalty: float = Field(default=3.0, gt=0)
    folds: int = Field(default=5, ge=2)
    held_out: float = Field(default=0.2, gt=0, lt=1)
    max_iterations: int = Field(default=1000, ge=1)


@dataclass(frozen=True)
class LabelledText:
    """A text and the score a person, or a better judge, gave it."""

    text: str
    score: int


def distinct(rows: Sequence[LabelledText]) -> list[LabelledText]:
    """Return ``rows`` without repeated texts, which would stand on both sides of a split.

    Raises ``DataError`` where one text has two scores, or a score is none.
    """
    seen: dict[str, int] = {}
    kept: list[LabelledText] = []
    for number, row in enumerate(rows, start=1):
        score = check_score(row.score, f"labelled text {number}")
        known = seen.setdefault(row.text, score)
        if known != score:
            raise DataError(f"labelled text {number} has the score {score}, an equal text before it {known}: keep one")
        if len(seen) > len(kept):
            kept.append(row)
    return kept


def split(rows: Sequence[LabelledText], held_out: float, seed: int) -> tuple[list[LabelledText], list[LabelledText]]:
    """Return the rows to train on and those held out, by a hash of each text: adding rows moves no other.

    Stream: ``classifier/held-out/<hash>``.
    """
    kept: list[LabelledText] = []
    apart: list[LabelledText] = []
    for row in rows:
        drawn = derived_seed(seed, "classifier", "held-out", text_sha256(row.text)) / 2**SEED_BITS
        (apart if drawn < held_out else kept).append(row)
    return kept, apart


def train_ngrams(rows: Sequence[LabelledText], training: ClassifierTraining, seed: int) -> NgramClassifier:
    """Return a classifier of ``rows``; the order of its classes is that of the scores.

    Raises ``DataError`` for too few labels and ``TrainingError`` where it did not converge. Stream:
    ``classifier/folds``.
    """
    rows = distinct(rows)
    sizes = Counter(row.score for row in rows)
    if len(sizes) < 2:
        raise DataError(f"the labels hold the scores {sorted(sizes)}: two are needed to learn a difference")
    if rare := [f"{score} (x {num})" for score, num in sorted(sizes.items()) if num < LEAST_PER_SCORE]:
        raise DataError(f"of the scores {', '.join(rare)} there are fewer than {LEAST_PER_SCORE} texts: label more")
    counter = open_counter(training.features)
    try:
        counts = counter.fit_transform([row.text for row in rows])
    except ValueError as error:
        raise DataError(
            f"no term stands in {training.features.min_documents} texts: label more, or lower min_documents ({error})"
        ) from None
    rarity = rarities(counts)
    inputs, labels = weigh(counts, rarity), np.array([row.score for row in rows])
    calibrated = _calibrate(inputs, labels, training, seed)
    scores, weights, biases = _fit(inputs, labels, training)
    terms = tuple(str(term) for term in counter.get_feature_names_out())
    return NgramClassifier(training.features, terms, rarity, scores, weights, tuple(biases.tolist()), calibrated)


def _fit(
    inputs: Any, labels: NDArray[np.int64], training: ClassifierTraining
) -> tuple[tuple[int, ...], Floats, Floats]:
    """Return classes, weights and biases of a weighted multinomial logistic regression."""
    import warnings

    try:
        from sklearn.exceptions import ConvergenceWarning
        from sklearn.linear_model import LogisticRegression
    except ImportError:
        raise MissingExtraError("training needs scikit-learn: install upbringing with the extra `classify`") from None
    model = LogisticRegression(C=training.penalty, max_iter=training.max_iterations)
    with warnings.catch_warnings():
        warnings.simplefilter("error", ConvergenceWarning)
        try:
            model.fit(inputs, labels, sample_weight=np.where(labels > 0, training.class_weight, 1.0))
        except ConvergenceWarning:
            raise TrainingError(
                f"the classifier did not converge in {training.max_iterations} iterations: raise max_iterations or "
                "lower penalty"
            ) from None
    scores = tuple(int(each) for each in model.classes_)
    weights, biases = np.asarray(model.coef_, dtype=np.float64), np.asarray(model.intercept_, dtype=np.float64)
    if len(scores) == 2:  # one logit, of the second class; the first one's is 0
        weights, biases = np.vstack([np.zeros_like(weights), weights]), np.concatenate([np.zeros(1), biases])
    return scores, weights, biases


def _calibrate(inputs: Any, labels: NDArray[np.int64], training: ClassifierTraining, seed: int) -> Calibrated:
    """Return the calibration under which unseen folds are most likely, every text counting once."""
    from sklearn.model_selection import StratifiedKFold

    classes, sizes = np.unique(labels, return_counts=True)
    folds = min(training.folds, int(sizes.min()))
    state = derived_seed(seed, "classifier", "folds") % 2**32
    logits = np.zeros((len(labels), len(classes)))
    for known, unseen in StratifiedKFold(folds, shuffle=True, random_state=state).split(inputs, labels):
        _, weights, biases = _fit(inputs[known], labels[known], training)
        logits[unseen] = inputs[unseen] @ weights.T + biases
    return fit_calibration(logits, np.searchsorted(classes, labels))


def fit_calibration(logits: Floats, classes: NDArray[np.int64]) -> Calibrated:
    """Return what maximises the likelihood of ``classes`` (column numbers): temperature, offsets and label noise.

    Source: Guo et al. 2017, temperature scaling. Departures: an offset per class but the first, because the weights of
    the loss shift the logits by about their logarithm, and a share of labels that is drawn from the base rates,
    because a softmax alone states near certainty that noisy labels never reach.
    """
    from scipy.optimize import minimize

    rows, num = np.arange(len(classes)), logits.shape[1]
    base = np.bincount(classes, minlength=num) / len(classes)
    wanted = np.zeros_like(logits)
    wanted[rows, classes] = 1.0

    def loss(values: Floats) -> tuple[float, Floats]:
        noise, offsets = values[-1], np.concatenate([np.zeros(1), values[1:-1]])
        scaled = logits * np.exp(-values[0])
        explained = softmax(scaled + offsets)
        right = explained[rows, classes]
        stated = np.maximum((1.0 - noise) * right + noise * base[classes], 1e-300)
        surplus = ((1.0 - noise) * right / stated / len(classes))[:, None] * (explained - wanted)
        gradient = np.concatenate(
            [
                [-(surplus * scaled).sum()],
                surplus.sum(axis=0)[1:] + OFFSET_PENALTY * offsets[1:],
                [((right - base[classes]) / stated).mean()],
            ]
        )
        return float(-np.log(stated).mean() + OFFSET_PENALTY / 2 * (offsets @ offsets)), gradient

    def best(start: Floats, most_noise: float) -> Any:
        bounds = [(-5.0, 5.0), *([(None, None)] * (num - 1)), (0.0, most_noise)]
        return minimize(loss, start, jac=True, method="L-BFGS-B", bounds=bounds)

    plain = best(np.zeros(num + 1), 0.0)  # has one optimum; with noise there may be several, so two starts
    starts = (np.append(plain.x[:-1], START_NOISE), np.append(np.zeros(num), START_NOISE))
    results = [plain, *(best(start, MOST_NOISE) for start in starts)]
    found = [float(each) for each in min(results, key=lambda result: float(result.fun)).x]
    return Calibrated(float(np.exp(found[0])), (0.0, *found[1:-1]), found[-1], tuple(base.tolist()))
