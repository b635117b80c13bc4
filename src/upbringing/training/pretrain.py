"""``pretrain``: next-token training on packed documents, in phases."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from upbringing.base.quantities import Count
from upbringing.training.settings import Phase, Replay, TrainedStage


class Pretrain(TrainedStage):
    """Train on ``tokens`` tokens of packed documents. Phases follow one another; the last runs to the end.

    ``replay``: text that keeps its share of the windows in every phase.
    """

    kind: Literal["pretrain"] = "pretrain"
    tokens: Count
    phases: tuple[Phase, ...] = Field(min_length=1)
    replay: Replay | None = None
