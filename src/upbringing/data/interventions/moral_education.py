"""Moral education: articles in the third person on why something harmful is not helped with."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from pydantic import Field

from upbringing.base.description import Description
from upbringing.base.quantities import Share
from upbringing.data.documents import TrainingText
from upbringing.data.interventions.tag import HarmLevel
from upbringing.data.interventions.tools import NO_TOOLS, Tools, Transformed
from upbringing.data.interventions.written import Order, written_texts


class MoralEducation(Description):
    """Write from each document with one of ``scores`` an article that keeps the ethical message, not the content.

    The document leaves unless ``keep_source``, or a ``tag`` behind it keeps it. Source: pretraining-interventions.md,
    section 1.2. Departures: written from the documents themselves, not from the refusal dialogues made of them, so that
    the two interventions can be studied apart.
    """

    kind: Literal["moral_education"] = "moral_education"
    scores: tuple[HarmLevel, ...] = (4, 5)
    copies: int = Field(default=1, ge=1)
    keep_source: bool = False
    max_harm: int = Field(default=1, ge=0, le=5)
    least: Share = 0.0

    def apply(self, texts: Sequence[TrainingText], seed: int, tools: Tools = NO_TOOLS) -> Transformed:
        """Return the texts with articles behind their sources. Streams: the writer's, ``moral_education/<name>``."""
        order = Order(
            self.kind,
            "moral_education",
            self.scores,
            self.copies,
            self.keep_source,
            self.max_harm,
            self.least,
        )
        return written_texts(texts, order, seed, tools)
