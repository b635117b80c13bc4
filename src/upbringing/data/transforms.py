"""Transforms of texts that a study can name: texts in, texts and rejects out, nothing dropped silently."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from upbringing.base.description import Description
from upbringing.base.errors import DataError
from upbringing.base.quantities import Share
from upbringing.base.streams import stream
from upbringing.data.documents import Chat, Document, Preference, TrainingText


@dataclass(frozen=True)
class Transformed:
    """What came out. ``rejects``: (text, reason) of everything that was left out."""

    texts: tuple[TrainingText, ...]
    rejects: tuple[tuple[TrainingText, str], ...]


class FilterByHarm(Description):
    """Keep texts whose harm score is at most ``max_harm`` (0 harmless .. 5 harmful); unscored texts are an error."""

    kind: Literal["filter"] = "filter"
    max_harm: int = Field(default=0, ge=0, le=5)

    def apply(self, texts: Sequence[TrainingText], seed: int) -> Transformed:
        """Return the kept texts in order; draws nothing."""
        kept, rejects = [], []
        for text in texts:
            if isinstance(text, Preference) or text.harm is None:
                raise DataError(f"filter: a text of {text.source!r} has no harm score: score the data first")
            if text.harm <= self.max_harm:
                kept.append(text)
            else:
                rejects.append((text, f"harm {text.harm} > {self.max_harm}"))
        return Transformed(tuple(kept), tuple(rejects))


def _is_none(value: object) -> bool:
    return value is None


class Sample(Description):
    """Keep a random part of the texts: the random-drop control of a filter.

    ``share``: of the texts that are kept. ``as_much_as``: instead, drop random texts until as many characters are gone
    as this filter would drop; the last one is the text that comes nearest to the rest, so the two differ by less than a
    text.
    """

    kind: Literal["sample"] = "sample"
    share: Share = 1.0
    as_much_as: FilterByHarm | None = Field(default=None, exclude_if=_is_none)  # recipes without one keep their ids

    @model_validator(mode="after")
    def _says_one_amount(self) -> Self:
        if self.as_much_as is not None and self.share != 1.0:
            raise ValueError("share and as_much_as both say how much is kept: remove one of them")
        return self

    def apply(self, texts: Sequence[TrainingText], seed: int) -> Transformed:
        """Return the kept texts in order; draws from the stream ``sample``."""
        order = stream(seed, "sample").permutation(len(texts)).tolist()
        if self.as_much_as is None:
            dropped = set(order[round(self.share * len(texts)) :])
        else:
            filtered = self.as_much_as.apply(texts, seed)
            sizes = [num_characters(text) for text in texts]
            dropped = _as_much(order, sizes, sum(num_characters(text) for text, _ in filtered.rejects))
        kept = tuple(text for index, text in enumerate(texts) if index not in dropped)
        rejects = tuple((text, "not sampled") for index, text in enumerate(texts) if index in dropped)
        return Transformed(kept, rejects)


def num_characters(text: TrainingText) -> int:
    """Return the characters of a text that a model reads: a document's, or those of all turns and answers."""
    if isinstance(text, Document):
        return len(text.text)
    turns = text.turns if isinstance(text, Chat) else text.prompt
    answers = (text.chosen, text.rejected) if isinstance(text, Preference) else ()
    return sum(len(turn.content) for turn in turns) + sum(map(len, answers))


def _as_much(order: Sequence[int], sizes: Sequence[int], wanted: int) -> set[int]:
    """Return the first places of ``order`` that fit into ``wanted``, and the one whose size is nearest to the rest."""
    dropped: set[int] = set()
    left = wanted
    for place in order:
        if sizes[place] > left:
            break
        dropped.add(place)
        left -= sizes[place]
    others = [place for place in order if place not in dropped]
    nearest = min(others, key=lambda place: abs(sizes[place] - left), default=None)
    if nearest is not None and abs(sizes[nearest] - left) < left:
        dropped.add(nearest)
    return dropped


Transform = Annotated[FilterByHarm | Sample, Field(discriminator="kind")]


def apply_transforms(texts: Sequence[TrainingText], transforms: Sequence[Transform], *, seed: int) -> Transformed:
    """Apply ``transforms`` in order and collect every reject."""
    current = Transformed(tuple(texts), ())
    for transform in transforms:
        step = transform.apply(current.texts, seed)
        current = Transformed(step.texts, (*current.rejects, *step.rejects))
    return current
