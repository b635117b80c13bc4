"""``pretrain``: next-token training on packed documents, in phases."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import Field, model_validator

from upbringing.base.quantities import Count
from upbringing.data.rendering import Learn
from upbringing.training.detachable_modules import DetachableModules
from upbringing.training.gradient_masking import GradientMasking
from upbringing.training.masking import require_one_masking
from upbringing.training.settings import Phase, Replay, TrainedStage


class Pretrain(TrainedStage):
    """Train on ``tokens`` tokens of packed documents. Phases follow one another; the last runs to the end.

    ``learn``: ``spans`` takes a loss on the spans of the phases' documents alone, so that an arm that adds annotations
    late learns from the tokens that another learned from early. ``matched``: data of which arms read one each; each
    text gets the room of its longest counterpart, so that the arms' windows differ in nothing else. ``replay``: text
    that keeps its share of the windows in every phase, and is learned as it stands. ``masking``: data to forget move a
    slice of the weights alone. ``routing``: each kind of data moves a module of its own.
    """

    kind: Literal["pretrain"] = "pretrain"
    tokens: Count
    phases: tuple[Phase, ...] = Field(min_length=1)
    learn: Learn = "all"
    matched: tuple[str, ...] = ()
    replay: Replay | None = None
    masking: GradientMasking | None = Field(default=None, exclude_if=lambda value: value is None)  # older ids stay
    routing: DetachableModules | None = Field(default=None, exclude_if=lambda value: value is None)

    @model_validator(mode="after")
    def _masks_in_one_way(self) -> Self:
        require_one_masking(self.masking, self.routing)
        return self
