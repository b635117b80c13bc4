"""The n-gram classifier trained on one's own labels, as a scorer."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from pydantic import Field

from upbringing.base.description import Description
from upbringing.base.fingerprint import fingerprint
from upbringing.data.documents import Document
from upbringing.data.interventions.scores import HarmScore, Scorer
from upbringing.data.interventions.scoring.anchors import ANCHORS, check_anchors, check_not_reversed, read_anchors
from upbringing.data.interventions.scoring.deciding import Probabilities, decide
from upbringing.data.interventions.scoring.ngram_files import open_ngrams
from upbringing.data.interventions.scoring.ngrams import NgramClassifier
from upbringing.data.interventions.scoring.thresholds import Thresholds
from upbringing.data.interventions.scoring.tools import EMPTY_TEXT, ScoringTools


class ClassifierScorer(Description):
    """Score by the classifier in ``folder``, as `upbringing data train-classifier` writes it.

    Without ``thresholds`` the class that the weighted loss prefers; with them the highest score whose calibrated
    probability, of it or more, reaches its threshold. ``anchors``: a file of texts that must come out as labelled;
    without it a classifier that rates the built-in ones clearly the wrong way round is an error.
    Of a text longer than ``max_characters`` the beginning is read and the score is a lower bound.
    """

    kind: Literal["classifier"] = "classifier"
    folder: str
    thresholds: Thresholds | None = None
    anchors: str | None = None
    max_characters: int = Field(default=2_000_000, ge=1000)

    def open(self, tools: ScoringTools) -> Scorer:
        """Return the scorer; raises ``IntegrityError`` for altered files and ``DataError`` for a wrong label order."""
        classifier, digest = open_ngrams(tools.folder / self.folder)
        opened = ClassifierScores(self, classifier, digest)
        if self.anchors is not None:
            anchors = read_anchors(tools.folder / self.anchors)
            check_anchors(anchors, opened.deciding_probabilities, self.thresholds, self.folder)
        else:
            refuse_reversed(classifier, self.folder)
        return opened


def refuse_reversed(classifier: NgramClassifier, name: str) -> None:
    """Raise ``DataError`` where ``classifier`` rates the built-in anchors clearly the wrong way round."""
    rating = classifier.rate([*ANCHORS.harmless, *ANCHORS.harmful])
    check_not_reversed(rating.weighted, rating.knows, name)


@dataclass(frozen=True)
class ClassifierScores:
    """An opened classifier. ``digest``: of its saved files."""

    description: ClassifierScorer
    classifier: NgramClassifier
    digest: str

    @property
    def id(self) -> str:
        """Name, version, hash of the files, and of the thresholds and the limit."""
        rule = fingerprint([self.description.thresholds, self.description.max_characters])[:8]
        return f"classifier/1:{self.digest[:12]}:{rule}"

    def deciding_probabilities(self, texts: Sequence[str]) -> Probabilities:
        """Return those probabilities of the six scores from which scores are decided."""
        rating = self.classifier.rate(texts)
        return rating.weighted if self.description.thresholds is None else rating.calibrated

    def score(self, documents: Sequence[Document]) -> list[HarmScore]:
        """Return the scores; a text without any known term has none, because only its length would decide."""
        limit = self.description.max_characters
        rating = self.classifier.rate([document.text[:limit] for document in documents])
        deciding = rating.weighted if self.description.thresholds is None else rating.calibrated
        found = []
        for place, score in enumerate(decide(deciding, self.description.thresholds)):
            if not rating.knows[place]:
                empty = not documents[place].text.strip()
                found.append(HarmScore(None, EMPTY_TEXT if empty else "no-known-term"))
                continue
            probability = float(rating.calibrated[place, score])
            reason, length = f"calibrated probability {probability:.3f}", len(documents[place].text)
            if length > limit:
                reason = f"lower bound, read {limit} of {length} characters; {reason}"
            found.append(HarmScore(int(score), reason, probability, lower_bound=length > limit))
        return found
