"""Harm scores of texts, 0 (fit for all) to 5 (instructs harm): what every scorer returns and what asks for one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from upbringing.data.documents import Document

LOWEST_SCORE, HIGHEST_SCORE = 0, 5
ESCALATED = "escalated"  # a reason that begins so is of a scorer to which a blocklist passed the text on


def is_escalated(reason: str) -> bool:
    """Return whether the ``reason`` of a score is of a scorer to which a blocklist passed the text on."""
    return ESCALATED in reason.split(": ")[:-1]


@dataclass(frozen=True)
class HarmScore:
    """How harmful a text is. ``score`` is ``None`` where the scorer could not say, and then ``reason`` says why.

    ``confidence``: probability that the score is right, ``None`` = the scorer does not know. ``lower_bound``: the text
    may be worse than its score, because a part of it was not read or a member of a maximum could not say; ``reason``
    says which.
    """

    score: int | None
    reason: str
    confidence: float | None = None
    lower_bound: bool = False


class Scorer(Protocol):
    """Anything that scores documents: an oracle, a word list, a classifier, a model with a rubric, several at once."""

    @property
    def id(self) -> str:
        """Name and version: enters reports and the keys of what is scored."""
        ...

    def score(self, documents: Sequence[Document]) -> list[HarmScore]:
        """Return one score per document, in order; a document's score never depends on the others."""
        ...
