"""How answers are drawn from a model, as descriptions that enter the measurement key."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from upbringing.base.description import Description
from upbringing.base.quantities import Share


class Greedy(Description):
    """The most likely token at each step."""

    kind: Literal["greedy"] = "greedy"
    max_tokens: int = Field(default=64, ge=1)

    @property
    def samples(self) -> int:
        """Greedy answers do not differ: one suffices."""
        return 1


class Sampled(Description):
    """``samples`` answers per prompt; each (item, sample) has its own random stream."""

    kind: Literal["sampled"] = "sampled"
    max_tokens: int = Field(default=64, ge=1)
    temperature: float = Field(default=1.0, gt=0)
    top_p: Share = 1.0
    samples: int = Field(default=1, ge=1)


Decoding = Annotated[Greedy | Sampled, Field(discriminator="kind")]
