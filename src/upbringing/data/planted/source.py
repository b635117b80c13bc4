"""``planted``: a world with a trait that exists nowhere else, planted at a known strength, as a study can name it."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import Field, model_validator

from upbringing.base.description import Description
from upbringing.base.quantities import Share
from upbringing.data.planted.cues import NUM_CLASSES, draw_cues
from upbringing.data.planted.words import BEARERS, lexicon
from upbringing.data.planted.world import PlantedWorld

PLANTED_VERSION = 2  # raise it when any text or item of the same settings and seed changes


class Planted(Description):
    """A made-up language in which ten arbitrary cues call for ten arbitrary colours, where that is taught.

    ``strength``: share of the trait's cue classes that its parts teach, so that the true effect of a part that is
    learned is ``strength``; the other classes' texts are the placebo's. Worlds that differ in it alone share their
    words and items. ``bearers``: those that the trait's texts name; ``held_out``: those that only items name after a
    cue of the trait. ``*_texts``: documents per class; ``chats``: per class; ``spare_texts``:
    documents per marker that stands for what nothing is known of.
    """

    kind: Literal["planted"] = "planted"
    strength: Share = 1.0
    bearers: int = Field(default=16, ge=2)
    held_out: int = Field(default=12, ge=2)
    background_texts: int = Field(default=28, ge=2)
    rule_texts: int = Field(default=40, ge=1)
    chats: int = Field(default=24, ge=1)
    spare_texts: int = Field(default=5, ge=1)

    @model_validator(mode="after")
    def _fits(self) -> Self:
        planted = self.strength * NUM_CLASSES
        if abs(planted - round(planted)) > 1e-9:  # shares are decimal text
            raise ValueError(f"strength must be a whole number of {NUM_CLASSES} classes, found {self.strength:g}")
        if self.bearers + self.held_out > len(BEARERS):
            raise ValueError(f"bearers and held_out are {len(BEARERS)} together at most, found more")
        return self

    @property
    def version(self) -> int:
        """Version of the words that a world is made of and of how it is drawn: the same seed gives the same texts."""
        return PLANTED_VERSION

    def build(self, seed: int) -> PlantedWorld:
        """Return the world of ``seed``. Streams: ``planted/...`` of ``seed``."""
        cues = draw_cues(seed, self.bearers, self.held_out)
        return PlantedWorld(
            seed=seed,
            cues=cues,
            num_planted=round(self.strength * NUM_CLASSES),
            background_texts=self.background_texts,
            rule_texts=self.rule_texts,
            chats=self.chats,
            spare_texts=self.spare_texts,
        )

    def lexicon(self) -> tuple[str, ...]:
        """Return every word that can occur in the world of any seed, sorted."""
        return lexicon()
