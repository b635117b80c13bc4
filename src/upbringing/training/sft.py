"""``sft``: supervised fine-tuning on chats; only the assistant's words are learned."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from upbringing.training.settings import DataReference, Replay, TrainedStage


class Sft(TrainedStage):
    """Train ``epochs`` passes over the chats of ``data``, assistant turns only.

    The realised supervision is verified by decoding what carries a loss.
    """

    kind: Literal["sft"] = "sft"
    data: DataReference
    epochs: float = Field(default=1.0, gt=0)
    replay: Replay | None = None
