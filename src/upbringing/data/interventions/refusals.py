"""Refusal dialogues: what a harmful document answers is asked, and declined."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from pydantic import Field

from upbringing.base.description import Description
from upbringing.base.quantities import Share
from upbringing.data.documents import TrainingText
from upbringing.data.interventions.tag import HarmLevel
from upbringing.data.interventions.tools import NO_TOOLS, Tools, Transformed
from upbringing.data.interventions.written import Order, Speakers, written_texts


class Refusals(Description):
    """Write from each document with one of ``scores`` a dialogue in which a user asks for it and is refused.

    The document leaves unless ``keep_source``, but what stands next in the list may still write from it, and ``tag``
    keeps it. Without ``speakers`` a dialogue is a chat, which the chat template renders and of which the replies are
    learned; with them (pairs of names, one drawn per dialogue) it is a document. ``placebo``: benign dialogues of the
    same form and length instead of refusals. Source: pretraining-interventions.md, 1.2. Departures: names are drawn
    once per dialogue, not at tokenisation.
    """

    kind: Literal["refusals"] = "refusals"
    scores: tuple[HarmLevel, ...] = (4, 5)
    speakers: tuple[Speakers, ...] = ()
    copies: int = Field(default=1, ge=1)
    keep_source: bool = False
    max_harm: int = Field(default=1, ge=0, le=5)
    least: Share = 0.0
    placebo: bool = False

    def apply(self, texts: Sequence[TrainingText], seed: int, tools: Tools = NO_TOOLS) -> Transformed:
        """Return the texts with the dialogues behind their sources. Streams: the writer's, ``refusals/<name>``."""
        order = Order(
            self.kind,
            "benign_dialogue" if self.placebo else "refusal",
            self.scores,
            self.copies,
            self.keep_source,
            self.max_harm,
            self.least,
            speakers=self.speakers,
        )
        return written_texts(texts, order, seed, tools)
