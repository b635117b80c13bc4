"""``average_checkpoints``: the mean of the weights along the stage before it; trains nothing itself."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from upbringing.base.description import Description
from upbringing.base.quantities import Place


class AverageCheckpoints(Description):
    """Take the mean of the weights at places inside the stage before it and at that stage's end, each counted once.

    ``at``: the places, as shares of that stage or as tokens (an rl stage: updates) from its start; its end always
    counts. The stage is one whose length is given in tokens or steps. Sums are taken in fp64 and saved in the
    checkpoint's type, so equal weights in fp32 or less stay as they are, bit for bit.

    Source: Izmailov et al. 2018 (stochastic weight averaging); along pretraining as a stand-in for the decay of the
    learning rate: pretraining-interventions 2.6. Departures: all checkpoints weigh the same, and no statistics of
    layers are taken anew, because these networks keep none.
    """

    kind: Literal["average_checkpoints"] = "average_checkpoints"
    at: tuple[Annotated[Place, Field(gt=0)], ...] = Field(min_length=1)

    @property
    def identity(self) -> bool:
        """Whether the average is declared to change nothing: never."""
        return False
