"""Where scorers and transforms meet the runner: everything it knows about their kinds stands in this file."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Literal

from pydantic import Field

from upbringing.base.description import Description
from upbringing.base.streams import derived_seed, stream
from upbringing.data.documents import TrainingText
from upbringing.data.interventions.scores import Scorer
from upbringing.data.interventions.word_scores import WordScorer
from upbringing.data.transforms import Sample, Transform, Transformed


class WordScores(Description):
    """Scores by a list: lower-cased word or phrase to score; a text has the score of its worst word, else 0."""

    kind: Literal["words"] = "words"
    words: dict[str, Annotated[int, Field(ge=0, le=5)]] = Field(min_length=1)


Scoring = WordScores


@dataclass(frozen=True)
class Tools:
    """What a run computes with. ``paid``: calls cost money or time of others, so each result is written down at once,
    and no more than the recipe's ``concurrency`` run at the same time, in one process, which alone has the keys.
    """

    scorer: Scorer | None = None
    paid: bool = False


def open_tools(scoring: Scoring | None, transforms: Sequence[Transform]) -> Tools:
    """Return the tools that a recipe's scorer and transforms need. Loads what they compute with."""
    return Tools(scorer=None if scoring is None else WordScorer(scoring.words))


def reserved_strings(transforms: Sequence[Transform]) -> tuple[str, ...]:
    """Return the strings that ``transforms`` insert as marks, and that may therefore not occur in the corpus."""
    return ()


def apply_to_document(
    text: TrainingText, name: str, transforms: Sequence[Transform], tools: Tools, seed: int
) -> Transformed:
    """Apply ``transforms`` in order to one document; all that is drawn follows from ``seed`` and ``name`` alone.

    A corpus is never held at once, so a ``sample`` keeps each document by its own draw, not an exact share of all.
    """
    own_seed = derived_seed(seed, "document", name)
    current = Transformed((text,), ())
    for place, transform in enumerate(transforms):
        if isinstance(transform, Sample):
            kept = stream(own_seed, "sample", place).random() < transform.share
            step = Transformed(current.texts if kept else (), () if kept else _unsampled(current.texts))
        else:
            step = transform.apply(current.texts, derived_seed(own_seed, "transform", place))
        current = Transformed(step.texts, (*current.rejects, *step.rejects))
    return current


def _unsampled(texts: Sequence[TrainingText]) -> tuple[tuple[TrainingText, str], ...]:
    return tuple((text, "not sampled") for text in texts)
