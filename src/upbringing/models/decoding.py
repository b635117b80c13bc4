"""How answers are drawn from a model, as descriptions that enter the measurement key."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from upbringing.base.description import Description
from upbringing.base.quantities import Share

DEFAULT_MAX_TOKENS = 64  # enough to see whether an answer refuses; harm is usually visible by then


class Greedy(Description):
    """The most likely token at each step."""

    kind: Literal["greedy"] = "greedy"
    max_tokens: int = Field(default=DEFAULT_MAX_TOKENS, ge=1)

    @property
    def samples(self) -> int:
        """Greedy answers do not differ: one suffices."""
        return 1

    @property
    def label(self) -> str:
        """Short name for conditions; says what differs from the default."""
        return "greedy" if self.max_tokens == DEFAULT_MAX_TOKENS else f"greedy-{self.max_tokens}"


class Sampled(Description):
    """``samples`` answers per prompt; each (prompt, sample) has its own random stream.

    ``top_k``: 0 = all tokens. ``top_k`` is applied before ``top_p``.
    """

    kind: Literal["sampled"] = "sampled"
    max_tokens: int = Field(default=DEFAULT_MAX_TOKENS, ge=1)
    temperature: float = Field(default=1.0, gt=0)
    top_k: int = Field(default=0, ge=0)
    top_p: Share = 1.0
    samples: int = Field(default=1, ge=1)

    @property
    def label(self) -> str:
        """Short name for conditions; says what differs from the default."""
        parts = [f"sampled-{self.temperature:g}"]
        if self.top_k:
            parts.append(f"k{self.top_k}")
        if self.top_p < 1.0:
            parts.append(f"p{self.top_p:g}")
        if self.max_tokens != DEFAULT_MAX_TOKENS:
            parts.append(str(self.max_tokens))
        if self.samples > 1:
            parts.append(f"x{self.samples}")
        return "-".join(parts)


Decoding = Annotated[Greedy | Sampled, Field(discriminator="kind")]
