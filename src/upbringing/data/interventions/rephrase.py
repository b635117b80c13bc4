"""Rephrase mildly harmful documents so that every sentence is safe by itself and the facts stay."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, get_args

from pydantic import Field

from upbringing.base.description import Description
from upbringing.base.quantities import Share
from upbringing.data.documents import TrainingText
from upbringing.data.interventions.tag import HarmLevel
from upbringing.data.interventions.tools import NO_TOOLS, Tools, Transformed
from upbringing.data.interventions.written import Order, written_texts

Style = Literal[
    "podcast", "textbook_chapter", "teacher_script", "ted_talk", "parent_and_child", "two_friends", "kids_video"
]
STYLES: tuple[Style, ...] = get_args(Style)


class Rephrase(Description):
    """Write each document with one of ``scores`` anew, in one of ``styles`` drawn for it; the document leaves.

    A written text whose score, or one of whose sentences' scores, is above ``max_harm`` is rejected, and so is one that
    lost the facts. ``least``: share of the eligible documents of which something must come out. ``keep_source`` leaves
    the document beside it. Source: pretraining-interventions.md, section 1.2. Departures: the paper names seven styles
    in its appendix and twelve in its introduction; these are the seven.
    """

    kind: Literal["rephrase"] = "rephrase"
    scores: tuple[HarmLevel, ...] = (1, 2, 3)
    styles: tuple[Style, ...] = Field(default=STYLES, min_length=1)
    copies: int = Field(default=1, ge=1)
    keep_source: bool = False
    max_harm: int = Field(default=1, ge=0, le=5)
    least: Share = 0.0

    def apply(self, texts: Sequence[TrainingText], seed: int, tools: Tools = NO_TOOLS) -> Transformed:
        """Return the texts, rephrased where they are eligible. Streams: the writer's, and ``rephrase/<name>``."""
        order = Order(
            self.kind,
            "rephrase",
            self.scores,
            self.copies,
            self.keep_source,
            self.max_harm,
            self.least,
            styles=self.styles,
        )
        return written_texts(texts, order, seed, tools)
