"""A blocklist: texts with enough distinct hits go to another scorer, the others are passed.

Source: O'Brien et al. 2025, Deep Ignorance (two or more hits escalate to a classifier). Departures: the number of hits
and the scores are parameters, and a list may score by itself.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal, Self

from pydantic import Field, model_validator

from upbringing.base.description import Description
from upbringing.base.fingerprint import fingerprint
from upbringing.data.documents import Document
from upbringing.data.interventions.scores import ESCALATED, HIGHEST_SCORE, LOWEST_SCORE, HarmScore, Scorer
from upbringing.data.interventions.scoring.phrase_candidates import Hint, hints
from upbringing.data.interventions.scoring.phrases import PhraseMatcher, phrases_of, read_phrases
from upbringing.data.interventions.scoring.tools import EMPTY_TEXT, ScoringTools

if TYPE_CHECKING:
    from upbringing.data.interventions.scoring.scorers import AnyScorer

SHOWN_HITS = 5
NO_HIT = "no listed phrase"


class KeywordScorer(Description):
    """Count distinct phrases of a blocklist: ``phrases``, or a ``file`` with one a line.

    From ``hits`` on a text goes to ``escalate_to``, or without one gets ``score``; fewer give it ``otherwise``. Every
    text that is written without the listed words passes: a blocklist alone says little about recall.
    """

    kind: Literal["keywords"] = "keywords"
    phrases: tuple[str, ...] = ()
    file: str | None = None
    hits: int = Field(default=2, ge=1)
    escalate_to: AnyScorer | None = None
    score: int | None = Field(default=None, ge=LOWEST_SCORE, le=HIGHEST_SCORE)
    otherwise: int = Field(default=0, ge=LOWEST_SCORE, le=HIGHEST_SCORE)

    @model_validator(mode="after")
    def _is_one_list_with_one_outcome(self) -> Self:
        if bool(self.phrases) == (self.file is not None):
            raise ValueError("a blocklist is either phrases or a file: give one of them")
        if (self.escalate_to is None) == (self.score is None):
            raise ValueError("give escalate_to (a scorer of texts with enough hits) or score (what they get): one")
        return self

    def open(self, tools: ScoringTools) -> Scorer:
        """Return the scorer; raises ``DataError`` for a list that cannot be read or can never match."""
        phrases = phrases_of(self.phrases, "phrases") if self.file is None else read_phrases(tools.folder / self.file)
        escalated = None if self.escalate_to is None else self.escalate_to.open(tools)
        return Keywords(self, PhraseMatcher(phrases), escalated)


@dataclass(frozen=True)
class Keywords:
    """An opened blocklist."""

    description: KeywordScorer
    matcher: PhraseMatcher
    escalated: Scorer | None

    @property
    def id(self) -> str:
        """Name, version, hash of the list and its numbers, and whom it escalates to."""
        rule = [sorted(map(list, self.matcher.phrases)), self.description.hits, self.description.otherwise]
        ended = self.escalated.id if self.escalated is not None else str(self.description.score)
        return f"keywords/1:{fingerprint(rule)[:8]}>{ended}"

    def score(self, documents: Sequence[Document]) -> list[HarmScore]:
        """Return what the list says, and of texts with enough hits what the next scorer says, with ``escalated``."""
        may_hit = hints([document.text for document in documents], self.matcher.phrases)
        clean = HarmScore(self.description.otherwise, NO_HIT), 0
        found = [
            self._listed(document, hint) if hint.may_hit or not hint.has_words else clean
            for document, hint in zip(documents, may_hit, strict=True)
        ]
        places = [place for place, (_, num) in enumerate(found) if num >= self.description.hits]
        if self.escalated is not None and places:
            scores = self.escalated.score([documents[place] for place in places])
            for place, score in zip(places, scores, strict=True):
                told = score if score.score is None else replace(score, reason=f"{ESCALATED}: {score.reason}")
                found[place] = (told, found[place][1])
        return [score for score, _ in found]

    def _listed(self, document: Document, hint: Hint) -> tuple[HarmScore, int]:
        if not hint.has_words:
            return HarmScore(None, EMPTY_TEXT), 0
        found = self.matcher.count(document.text)
        if not found.num_words:
            return HarmScore(None, EMPTY_TEXT), 0
        hits = [" ".join(phrase) for phrase in sorted(found.counts)]
        shown = ", ".join(hits[:SHOWN_HITS]) + (", ..." if len(hits) > SHOWN_HITS else "")
        reason = f"{len(hits)} listed phrases: {shown}" if hits else NO_HIT
        enough = len(hits) >= self.description.hits
        return HarmScore(self.description.score if enough else self.description.otherwise, reason), len(hits)
