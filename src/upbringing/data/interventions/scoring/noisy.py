"""A scorer that errs at declared rates: the label noise of a worse one, swept without training it.

Source: selective gradient masking (pretraining-interventions.md, section 7: label noise by precision and recall).
Departures: the rate of false alarms is declared, because a text's score may not depend on how many others are harmful;
transforms that see a whole corpus take a precision instead (their ``noise``). Errors fall without regard to content.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, Self

from pydantic import Field, model_validator

from upbringing.base.description import Description
from upbringing.base.fingerprint import text_sha256
from upbringing.base.quantities import Share
from upbringing.base.streams import stream
from upbringing.data.documents import Document
from upbringing.data.interventions.scores import HIGHEST_SCORE, LOWEST_SCORE, HarmScore, Scorer
from upbringing.data.interventions.scoring.tools import ScoringTools

if TYPE_CHECKING:
    from upbringing.data.interventions.scoring.scorers import AnyScorer

MISSED, FALSE_ALARM = "missed by noise", "false alarm of noise"


class NoisyScorer(Description):
    """The scores of ``scorer`` with errors: a text is unsafe from the score ``unsafe_from`` on.

    Of unsafe texts the share ``recall`` keeps its score, the others get ``missed_as``; of safe ones the share
    ``false_alarm_rate`` gets ``alarm_as``. Recall 1 and rate 0 are the scorer itself. Equal texts err alike; what
    has no score has none.
    """

    kind: Literal["noisy"] = "noisy"
    scorer: AnyScorer
    recall: Share = 1.0
    false_alarm_rate: Share = 0.0
    unsafe_from: int = Field(default=4, ge=1, le=HIGHEST_SCORE)
    missed_as: int = Field(default=LOWEST_SCORE, ge=LOWEST_SCORE, le=HIGHEST_SCORE)
    alarm_as: int = Field(default=4, ge=LOWEST_SCORE, le=HIGHEST_SCORE)
    seed: int = Field(default=0, ge=0)

    @model_validator(mode="after")
    def _errors_are_errors(self) -> Self:
        if not self.missed_as < self.unsafe_from <= self.alarm_as:
            raise ValueError(
                f"missed_as is {self.missed_as} and alarm_as {self.alarm_as}: with unsafe_from {self.unsafe_from} "
                "what is missed must score below it, and a false alarm not below it"
            )
        return self

    def open(self, tools: ScoringTools) -> Scorer:
        """Return the scorer with the one that it makes noisy opened."""
        return Noisy(self, self.scorer.open(tools))


@dataclass(frozen=True)
class Noisy:
    """An opened scorer that errs."""

    description: NoisyScorer
    scorer: Scorer

    @property
    def id(self) -> str:
        """Name, version, rates and the scorer that is made noisy."""
        given = self.description
        rates = f"{given.recall:g}-{given.false_alarm_rate:g}-{given.unsafe_from}-{given.missed_as}-{given.alarm_as}"
        return f"noisy/1:{rates}-{given.seed}({self.scorer.id})"

    def score(self, documents: Sequence[Document]) -> list[HarmScore]:
        """Return the scores with errors. Stream: ``noisy/<sha256 of the text>``, so that recalls are nested."""
        found = self.scorer.score(documents)
        return [self._erring(document, score) for document, score in zip(documents, found, strict=True)]

    def _erring(self, document: Document, found: HarmScore) -> HarmScore:
        given = self.description
        if found.score is None:
            return found
        missed, alarmed = stream(given.seed, "noisy", text_sha256(document.text)).random(2).tolist()
        if found.score >= given.unsafe_from:
            caught = missed < given.recall
            return found if caught else HarmScore(given.missed_as, f"{MISSED}: {found.score}: {found.reason}")
        alarm = alarmed < given.false_alarm_rate
        return HarmScore(given.alarm_as, f"{FALSE_ALARM}: {found.score}: {found.reason}") if alarm else found

    def counts(self, scores: Sequence[HarmScore]) -> Counter[str]:
        """Return how many of its ``scores`` are of ``unsafe`` texts, call one so, and do so ``rightly``."""
        counted: Counter[str] = Counter()
        for each in scores:
            if each.score is None:
                continue
            called = each.score >= self.description.unsafe_from
            alarm, missed = each.reason.startswith(FALSE_ALARM), each.reason.startswith(MISSED)
            counted.update(unsafe=int(missed or (called and not alarm)), called_unsafe=int(called))
            counted.update(rightly=int(called and not alarm))
        return counted
