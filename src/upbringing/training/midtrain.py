"""``midtrain``: continued next-token training on documents after pretraining, with replay."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import Field, model_validator

from upbringing.base.quantities import Count
from upbringing.data.rendering import Learn
from upbringing.training.detachable_modules import DetachableModules
from upbringing.training.gradient_masking import GradientMasking
from upbringing.training.masking import require_one_masking
from upbringing.training.settings import Phase, Replay, TrainedStage


class Midtrain(TrainedStage):
    """Train on ``tokens`` tokens of packed documents, a share of them replayed from earlier data.

    ``learn``, ``matched``, ``masking`` and ``routing``: as in pretraining; replayed text is learned as it stands.
    """

    kind: Literal["midtrain"] = "midtrain"
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
