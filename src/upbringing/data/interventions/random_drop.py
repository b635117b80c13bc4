"""The placebo of a filter: as much is dropped, whatever it says."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from pydantic import Field

from upbringing.base.description import Description
from upbringing.base.streams import stream
from upbringing.data.documents import Chat, Document, TrainingText
from upbringing.data.interventions.tools import NO_TOOLS, Tools, Transformed, harm_of, text_name


class RandomDrop(Description):
    """Drop as many words as a filter with this ``max_harm`` would, of texts drawn without regard to their score.

    The texts with the smallest draws go until the words of what the filter would drop are reached; the last one goes
    only if that comes nearer. It compares all texts: apply it to a whole corpus, not to parts of one.
    """

    kind: Literal["random_drop"] = "random_drop"
    max_harm: int = Field(default=0, ge=0, le=5)

    def apply(self, texts: Sequence[TrainingText], seed: int, tools: Tools = NO_TOOLS) -> Transformed:
        """Return the kept texts in order. Stream: ``random_drop/<name of the text>``."""
        target = sum(num_words(text) for text in texts if harm_of(text, self.kind) > self.max_harm)
        draws = [float(stream(seed, self.kind, text_name(text)).random()) for text in texts]
        dropped: set[int] = set()
        total = 0
        for place in sorted(range(len(texts)), key=lambda place: (draws[place], place)):
            words = num_words(texts[place])
            if total >= target or total + words - target > target - total:
                break
            dropped.add(place)
            total += words
        kept = tuple(text for place, text in enumerate(texts) if place not in dropped)
        rejects = tuple((texts[place], "dropped at random") for place in sorted(dropped))
        return Transformed(kept, rejects)


def num_words(text: TrainingText) -> int:
    """Return how many words a document or chat holds, marks that stand alone counted."""
    if isinstance(text, Document):
        return len(text.text.split())
    turns = text.turns if isinstance(text, Chat) else text.prompt
    return sum(len(turn.content.split()) for turn in turns)
