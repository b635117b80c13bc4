"""A linear classifier over n-grams: counts of terms, damped and weighted by rarity, then one logit per score.

The features are computed here and not by a library's transformer, so that a saved classifier reads texts the same way
whatever version opens it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, model_validator

from upbringing.base.description import Description
from upbringing.base.errors import MissingExtraError
from upbringing.data.interventions.scoring.deciding import Probabilities, over_scores
from upbringing.data.interventions.scoring.phrases import words_of

TEXTS_AT_ONCE = 1000
Floats = NDArray[np.float64]


class NgramFeatures(Description):
    """Runs of ``shortest`` to ``longest`` words (or characters inside words); the ``max_terms`` most frequent count.

    ``min_documents``: a term in fewer texts is left out, because it can only be learned by heart.
    """

    unit: Literal["word", "character"] = "word"
    shortest: int = Field(default=1, ge=1, le=10)
    longest: int = Field(default=2, ge=1, le=10)
    max_terms: int = Field(default=50_000, ge=1)
    min_documents: int = Field(default=2, ge=1)

    @model_validator(mode="after")
    def _runs_grow(self) -> Self:
        if self.shortest > self.longest:
            raise ValueError(f"shortest is {self.shortest}, longest {self.longest}: swap them")
        return self


def open_counter(features: NgramFeatures, terms: Sequence[str] | None = None) -> Any:
    """Return scikit-learn's counter of n-grams; with ``terms`` it counts these and nothing else."""
    try:
        from sklearn.feature_extraction.text import CountVectorizer
    except ImportError:
        raise MissingExtraError(
            "the n-gram classifier needs scikit-learn: install upbringing with the extra `classify`"
        ) from None
    length = (features.shortest, features.longest)
    if terms is not None:
        places = {term: place for place, term in enumerate(terms)}
        limits: dict[str, Any] = {"vocabulary": places}
    else:
        limits = {"max_features": features.max_terms, "min_df": features.min_documents}
    if features.unit == "character":
        return CountVectorizer(analyzer="char_wb", lowercase=True, ngram_range=length, dtype=np.float64, **limits)
    return CountVectorizer(
        tokenizer=words_of, token_pattern=None, lowercase=False, ngram_range=length, dtype=np.float64, **limits
    )


def weigh(counts: Any, rarity: Floats) -> Any:
    """Return rows of length 1 from a sparse matrix of counts: ``(1 + ln count) x rarity``."""
    from scipy import sparse

    weighed = counts.tocsr(copy=True)
    weighed.data = (1.0 + np.log(weighed.data)) * rarity[weighed.indices]
    lengths = np.sqrt(np.asarray(weighed.multiply(weighed).sum(axis=1)).ravel())
    return sparse.diags(1.0 / np.where(lengths > 0, lengths, 1.0)) @ weighed


def rarities(counts: Any) -> Floats:
    """Return ``ln((1 + texts) / (1 + texts with the term)) + 1`` for each term."""
    present = np.asarray((counts > 0).sum(axis=0)).ravel()
    return np.asarray(np.log((1.0 + counts.shape[0]) / (1.0 + present)) + 1.0, dtype=np.float64)


@dataclass(frozen=True)
class Calibrated:
    """Probabilities are ``softmax(logits / temperature + offsets)``, and with the chance ``noise`` the ``base`` rates.

    The offsets undo the weights of the loss; the noise is that of the labels, which no text explains and which keeps
    every probability away from 0 and 1.
    """

    temperature: float
    offsets: tuple[float, ...]
    noise: float
    base: tuple[float, ...]

    def probabilities(self, logits: Floats) -> Floats:
        """Return calibrated probabilities, one row per text and one column per class."""
        explained = softmax(logits / self.temperature + np.array(self.offsets))
        return (1.0 - self.noise) * explained + self.noise * np.array(self.base)


def softmax(logits: Floats) -> Floats:
    """Return each row's exponentials over their sum."""
    powers = np.exp(logits - logits.max(axis=1, keepdims=True))
    return np.asarray(powers / powers.sum(axis=1, keepdims=True), dtype=np.float64)


@dataclass(frozen=True)
class Rating:
    """What the classifier makes of texts. ``weighted``: probabilities of the six scores as the weighted loss has them,
    whose highest is the recall-first choice. ``calibrated``: as they come true. ``knows``: a term of it is known.
    """

    weighted: Probabilities
    calibrated: Probabilities
    knows: NDArray[np.bool_]


@dataclass(frozen=True)
class NgramClassifier:
    """``scores``: of the classes, ascending. ``weights``: shape ``(classes, terms)``."""

    features: NgramFeatures
    terms: tuple[str, ...]
    rarity: Floats
    scores: tuple[int, ...]
    weights: Floats
    biases: tuple[float, ...]
    calibrated: Calibrated
    _counter: Any = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_counter", open_counter(self.features, self.terms))

    def rate(self, texts: Sequence[str]) -> Rating:
        """Return what it makes of ``texts``."""
        logits, knows = [np.zeros((0, len(self.scores)))], [np.zeros(0, dtype=bool)]
        for begin in range(0, len(texts), TEXTS_AT_ONCE):
            counts = self._counter.transform(texts[begin : begin + TEXTS_AT_ONCE])
            logits.append(np.asarray(weigh(counts, self.rarity) @ self.weights.T) + np.array(self.biases))
            knows.append(np.diff(counts.indptr) > 0)
        together = np.concatenate(logits)
        return Rating(
            weighted=over_scores(softmax(together), self.scores),
            calibrated=over_scores(self.calibrated.probabilities(together), self.scores),
            knows=np.concatenate(knows),
        )

    def heaviest_terms(self, num: int) -> dict[int, tuple[str, ...]]:
        """Return, for each score, the ``num`` terms that speak most for it against the mean of all scores."""
        relative = self.weights - self.weights.mean(axis=0)
        order = np.argsort(-relative, axis=1, kind="stable")[:, :num]
        return {score: tuple(self.terms[term] for term in row) for score, row in zip(self.scores, order, strict=True)}
