"""Transforms of texts that a study can name: texts in, texts and rejects out, nothing dropped silently."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Literal

from pydantic import Field

from upbringing.base.description import Description
from upbringing.base.errors import DataError
from upbringing.base.quantities import Share
from upbringing.base.streams import stream
from upbringing.data.documents import Preference, TrainingText


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


class Sample(Description):
    """Keep a random share of the texts: the random-drop control of a filter."""

    kind: Literal["sample"] = "sample"
    share: Share = 1.0

    def apply(self, texts: Sequence[TrainingText], seed: int) -> Transformed:
        """Return the kept texts in order; draws from the stream ``sample``."""
        chosen = set(stream(seed, "sample").permutation(len(texts))[: round(self.share * len(texts))].tolist())
        kept = tuple(text for index, text in enumerate(texts) if index in chosen)
        rejects = tuple((text, "not sampled") for index, text in enumerate(texts) if index not in chosen)
        return Transformed(kept, rejects)


Transform = Annotated[FilterByHarm | Sample, Field(discriminator="kind")]


def apply_transforms(texts: Sequence[TrainingText], transforms: Sequence[Transform], *, seed: int) -> Transformed:
    """Apply ``transforms`` in order and collect every reject."""
    current = Transformed(tuple(texts), ())
    for transform in transforms:
        step = transform.apply(current.texts, seed)
        current = Transformed(step.texts, (*current.rejects, *step.rejects))
    return current
