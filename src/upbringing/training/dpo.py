"""``dpo``: direct preference optimisation against the parent as reference."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from upbringing.training.settings import TrainedStage


class Dpo(TrainedStage):
    """Train ``epochs`` passes over chosen and rejected answers, the parent checkpoint being the reference.

    Source: Rafailov et al. 2023, equation 7. Departures: none. ``batch_size`` counts pairs.
    """

    kind: Literal["dpo"] = "dpo"
    data: str
    epochs: float = Field(default=1.0, gt=0)
    beta: float = Field(default=0.1, gt=0)
