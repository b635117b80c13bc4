"""Where a lineage begins: random weights with a seed, or an existing checkpoint."""

from __future__ import annotations

from typing import Annotated, Any, Literal, Self

from pydantic import BeforeValidator, Field, model_validator

from upbringing.base.description import Description
from upbringing.training.existing import Existing


class TokenizerRecipe(Description):
    """A byte-level BPE tokenizer trained on the lexicon or texts of a data set.

    One tokenizer serves a whole study and holds every special token any arm may use, so that adding an
    unused arm changes no weight. ``train_on``: the name of a data set.
    """

    train_on: str
    vocabulary: int = Field(default=2048, ge=300)  # 256 bytes + special tokens must fit
    special_tokens: tuple[str, ...] = ()
    chat_template: str | None = None


class FreshStart(Description):
    """A Llama-architecture model with random weights; each parameter has its own named random stream."""

    kind: Literal["fresh"] = "fresh"
    layers: int = Field(default=4, ge=1)
    width: int = Field(default=128, ge=8)
    heads: int = Field(default=4, ge=1)
    feed_forward: int | None = Field(default=None, ge=8)  # None: 8/3 of the width, rounded up to 32
    context: int = Field(default=512, ge=8)
    tie_embeddings: bool = True
    initial_deviation: float = Field(default=0.02, gt=0)  # GPT-2's standard deviation
    tokenizer: TokenizerRecipe

    @model_validator(mode="after")
    def _heads_divide_width(self) -> Self:
        if self.width % (2 * self.heads):
            raise ValueError(f"width {self.width} must be an even multiple of heads {self.heads} (rotary positions)")
        return self


def _not_a_word(value: Any) -> Any:
    """Neither kind of start has defaults for all that it needs, so that a bare word cannot be one."""
    if isinstance(value, str):
        raise ValueError(
            "a start is a mapping: {kind: fresh, tokenizer: {train_on: NAME}}, where NAME is a data set of the study, "
            "or {kind: existing, checkpoint: FOLDER or ORG/NAME@REVISION}"
        )
    return value


Start = Annotated[Annotated[FreshStart | Existing, Field(discriminator="kind")], BeforeValidator(_not_a_word)]
