"""``emulate_tuning``: move what training changed onto other weights while they answer; trains nothing itself."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from upbringing.base.description import Description
from upbringing.training.edit_weights import Delta, EditWeights


class EmulateTuning(Description):
    """Move a delta onto the checkpoint before it in logit space: at every token of an answer or a likelihood
    log p = log p_before + ``strength`` (log p_to - log p_from), renormalised.

    Three checkpoints of one tokenizer answer together; they may differ in size. Nothing is written but a record, so it
    is the last stage of an arm. ``delta.random``: the control that moves the same change to other tokens, by a
    permutation of the vocabulary: as far at every token, and in no direction that was learned. Strength 0 answers and
    scores as the checkpoint before it, bit for bit.

    Source: Mitchell et al. 2023 (emulated fine-tuning). Departures: any two checkpoints and any strength; no filter
    keeps to the tokens that the checkpoint before it finds likely.
    """

    kind: Literal["emulate_tuning"] = "emulate_tuning"
    delta: Delta
    strength: Annotated[float, Field(allow_inf_nan=False)] = 1.0

    @property
    def identity(self) -> bool:
        """Whether it is declared to change nothing."""
        return self.strength == 0


DeltaStage = EditWeights | EmulateTuning
"""A stage that moves a delta and trains nothing: it may stand for a retrained cell, and is evidence L4."""
