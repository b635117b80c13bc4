"""Long texts in pieces: a text is as harmful as its most harmful piece."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal, Self

from pydantic import Field, model_validator

from upbringing.base.description import Description
from upbringing.data.documents import Document
from upbringing.data.interventions.scores import HarmScore, Scorer
from upbringing.data.interventions.scoring.highest import highest
from upbringing.data.interventions.scoring.tools import EMPTY_TEXT, ScoringTools

if TYPE_CHECKING:
    from upbringing.data.interventions.scoring.scorers import AnyScorer

SPACED = re.compile(r"\S+")
CHUNKS_AT_ONCE = 512  # bounds the memory that a text of many megabytes takes


class ChunkedScorer(Description):
    """Score chunks of ``words`` words, each sharing ``overlap`` words with the one before, and take the maximum."""

    kind: Literal["chunked"] = "chunked"
    scorer: AnyScorer
    words: int = Field(default=512, ge=1)
    overlap: int = Field(default=64, ge=0)

    @model_validator(mode="after")
    def _chunks_advance(self) -> Self:
        if self.overlap >= self.words:
            raise ValueError(f"overlap is {self.overlap} of {self.words} words: chunks would not move on")
        return self

    def open(self, tools: ScoringTools) -> Scorer:
        """Return the scorer with the scorer of its chunks opened."""
        return Chunked(self, self.scorer.open(tools))


@dataclass(frozen=True)
class Chunked:
    """An opened scorer of chunks."""

    description: ChunkedScorer
    scorer: Scorer

    @property
    def id(self) -> str:
        """Name, version, sizes and the scorer of the chunks."""
        return f"chunked/1:{self.description.words}-{self.description.overlap}({self.scorer.id})"

    def score(self, documents: Sequence[Document]) -> list[HarmScore]:
        """Return the maximum over each document's chunks; chunks of many documents are scored at once."""
        found: list[list[HarmScore]] = [[] for _ in documents]
        places: list[int] = []
        pieces: list[Document] = []
        for place, document in enumerate(documents):
            for chunk in chunks_of(document.text, self.description.words, self.description.overlap):
                places.append(place)
                pieces.append(replace(document, text=chunk))
                if len(pieces) == CHUNKS_AT_ONCE:
                    self._add(found, places, pieces)
                    places, pieces = [], []
        self._add(found, places, pieces)
        return [_over_chunks(scores) for scores in found]

    def _add(self, found: list[list[HarmScore]], places: Sequence[int], pieces: Sequence[Document]) -> None:
        for place, score in zip(places, self.scorer.score(pieces), strict=True):
            found[place].append(score)


def chunks_of(text: str, words: int, overlap: int) -> Iterator[str]:
    """Yield pieces of ``text``, with its own spacing, that cover every word; a text of few words is one piece."""
    spans: list[tuple[int, int]] = []
    num_known = 0  # of the spans, how many the chunk before has shown
    for match in SPACED.finditer(text):
        spans.append(match.span())
        if len(spans) == words:
            yield text[spans[0][0] : spans[-1][1]]
            spans = spans[words - overlap :]
            num_known = overlap
    if len(spans) > num_known:
        yield text[spans[0][0] : spans[-1][1]]


def _over_chunks(scores: Sequence[HarmScore]) -> HarmScore:
    if not scores:
        return HarmScore(None, EMPTY_TEXT)
    if len(scores) == 1:
        return scores[0]
    return highest(scores, [f"chunk {number} of {len(scores)}" for number in range(1, len(scores) + 1)])
