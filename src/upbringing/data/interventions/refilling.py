"""Further copies of kept texts in the place of filtered ones, so that a filter does not make a corpus smaller.

Source: O'Brien et al. 2025, Deep Ignorance (filtered documents are replaced by escalated-but-approved ones).
Departures: the replacements are texts of the same corpus once more, because there is no larger one to draw from;
amounts are words.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

from upbringing.base.errors import DataError
from upbringing.base.streams import stream
from upbringing.data.documents import TrainingText
from upbringing.data.interventions.random_drop import num_words
from upbringing.data.interventions.scores import ESCALATED
from upbringing.data.interventions.tools import ID, SOURCE_ID, text_name

Pool = Literal["approved", "any"]
"""Kept texts that a blocklist had escalated, or all kept ones, which is the control."""

_ADVICE = {
    "approved": "Texts are approved whose reason says that a blocklist escalated them (upbringing data score with a "
    "keywords scorer that has escalate_to); allow more copies, or take refill: any",
    "any": "Allow more copies, or filter less",
}


@dataclass(frozen=True)
class Refill:
    """``copies`` of kept texts. ``wanted``, ``words``: of what was filtered, and of the copies."""

    copies: tuple[TrainingText, ...]
    wanted: int
    words: int

    def counts(self) -> tuple[tuple[str, int], ...]:
        """Return the account."""
        return (("filtered words", self.wanted), ("refilled words", self.words), ("copies", len(self.copies)))


def refilled(
    kept: Sequence[TrainingText], filtered: Sequence[TrainingText], pool: Pool, most_copies: int, seed: int
) -> Refill:
    """Return copies of ``kept`` texts of the ``pool`` that have as many words as the ``filtered`` texts.

    Every text of the pool is taken once before any is taken again; the last copy is taken only if that comes nearer.
    Stream: ``refill/<round>/<name>``. Raises ``DataError`` where ``most_copies`` of each are not enough.
    """
    wanted = sum(map(num_words, filtered))
    eligible = [text for text in kept if pool == "any" or text.metadata.get(ESCALATED) is True]
    held = sum(map(num_words, eligible))
    if wanted > held * most_copies:
        raise DataError(
            f"filter: {wanted} words were left out, and the {len(eligible)} texts of refill: {pool} hold {held}: with "
            f"at most {most_copies} copies of each they are not replaced. {_ADVICE[pool]}"
        )
    copies: list[TrainingText] = []
    words = 0
    for number in range(1, most_copies + 1):
        drawn = [(float(stream(seed, "refill", number, text_name(text)).random()), text) for text in eligible]
        for _, text in sorted(drawn, key=lambda pair: pair[0]):
            size = num_words(text)
            if words >= wanted or words + size - wanted > wanted - words:
                return Refill(tuple(copies), wanted, words)
            copies.append(_copy(text, number))
            words += size
    return Refill(tuple(copies), wanted, words)


def _copy(text: TrainingText, number: int) -> TrainingText:
    name = text_name(text)
    return replace(text, metadata={**text.metadata, ID: f"{name}/again-{number}", SOURCE_ID: name})
