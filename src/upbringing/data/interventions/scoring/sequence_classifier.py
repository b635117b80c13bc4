"""Any Hugging Face sequence-classification checkpoint as a scorer: safetensors, no foreign code, labels checked."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from pydantic import Field

from upbringing.base.description import Description
from upbringing.base.fingerprint import fingerprint
from upbringing.data.documents import Document
from upbringing.data.interventions.scores import HarmScore, Scorer
from upbringing.data.interventions.scoring.anchors import ANCHORS, check_anchors, read_anchors
from upbringing.data.interventions.scoring.deciding import Probabilities, decide, over_scores
from upbringing.data.interventions.scoring.meanings import scores_of_labels
from upbringing.data.interventions.scoring.thresholds import Thresholds
from upbringing.data.interventions.scoring.tools import EMPTY_TEXT, Classified, ScoringTools, TextClassifier


class SequenceClassifierScorer(Description):
    """Score by the checkpoint in the folder ``checkpoint``.

    ``labels``: label to score; without it each label's name must hold its score as its only number. ``thresholds`` of
    the probability of 1, 2, .. 5 or more. ``anchors``: a file of one's own anchor texts. A text longer than
    ``max_tokens`` (``None``: what the model takes) is read from its beginning and scored as a lower bound: put the
    scorer into ``chunked`` to read all of it.
    """

    kind: Literal["sequence_classifier"] = "sequence_classifier"
    checkpoint: str
    labels: Mapping[str, int] | None = None
    thresholds: Thresholds | None = None
    anchors: str | None = None
    max_tokens: int | None = Field(default=None, ge=2)

    def open(self, tools: ScoringTools) -> Scorer:
        """Return the scorer; raises ``DataError`` where its labels do not mean what is declared."""
        classifier = tools.classifier(self.checkpoint, self.max_tokens)
        opened = SequenceClassifierScores(self, classifier, scores_of_labels(classifier.labels, self.labels))
        anchors = ANCHORS if self.anchors is None else read_anchors(tools.folder / self.anchors)
        check_anchors(anchors, opened.probabilities, self.thresholds, self.checkpoint)
        return opened


@dataclass(frozen=True)
class SequenceClassifierScores:
    """An opened checkpoint. ``scores``: of each label. Its softmax is not calibrated, so no confidence is claimed."""

    description: SequenceClassifierScorer
    classifier: TextClassifier
    scores: tuple[int, ...]

    @property
    def id(self) -> str:
        """The classifier's own id and a hash of how its labels are read."""
        read = [list(self.scores), list(self.description.thresholds or ()), self.description.max_tokens]
        return f"sequence-classifier/1:{self.classifier.id}:{fingerprint(read)[:8]}"

    def probabilities(self, texts: Sequence[str]) -> Probabilities:
        """Return the probabilities of the six scores, shape ``(texts, 6)``."""
        return self._over_scores(self.classifier.classify(texts))

    def score(self, documents: Sequence[Document]) -> list[HarmScore]:
        """Return the scores; empty texts have none."""
        given = [place for place, document in enumerate(documents) if document.text.strip()]
        found = [HarmScore(None, EMPTY_TEXT)] * len(documents)
        if not given:
            return found
        classified = self.classifier.classify([documents[place].text for place in given])
        probabilities = self._over_scores(classified)
        decided = decide(probabilities, self.description.thresholds)
        for place, each, row, score in zip(given, classified, probabilities, decided, strict=True):
            found[place] = _score(each, row, int(score))
        return found

    def _over_scores(self, classified: Sequence[Classified]) -> Probabilities:
        columns = np.array([list(each.probabilities) for each in classified], dtype=np.float64)
        return over_scores(columns.reshape(len(classified), len(self.scores)), self.scores)


def _score(classified: Classified, probabilities: Probabilities, score: int) -> HarmScore:
    if not np.isfinite(probabilities).all():
        return HarmScore(None, "not-a-number")
    reason = f"softmax {probabilities[score]:.3f}, not calibrated"
    if classified.num_read == classified.num_tokens:
        return HarmScore(score, reason)
    read = f"lower bound, read {classified.num_read} of {classified.num_tokens} tokens"
    return HarmScore(score, f"{read}; {reason}", lower_bound=True)
