"""What every trained stage can be told: phases, mixtures, weights to train, optimiser, batches."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Annotated, Any, Literal, Self

from pydantic import ConfigDict, Discriminator, Field, Tag, model_validator

from upbringing.base.description import Description
from upbringing.base.kinds import BareWord
from upbringing.base.quantities import Place, Share
from upbringing.training.schedules import Schedule, WarmupStableDecay

SHARE_TOLERANCE = 1e-9  # shares are decimal text; more is a mistake, not rounding


class Mixture(Description):
    """Several data sets in fixed shares of the tokens. Shares must sum to 1.

    ``max_repetition``: a source may be read at most this many times over; planning fails if the shares
    need more. ``None`` = no cap.
    """

    mix: dict[str, Share] = Field(min_length=1)
    max_repetition: float | None = Field(default=None, gt=0)

    @model_validator(mode="after")
    def _shares_sum_to_one(self) -> Self:
        _require_whole(self.mix, "mixture shares")
        return self

    def __hash__(self) -> int:
        """Return the hash of the shares, whatever their order: plans remember what they know of a stage."""
        return hash((frozenset(self.mix.items()), self.max_repetition))


def _require_whole(shares: Mapping[str, float], what: str) -> None:
    """Raise ``ValueError`` unless ``shares`` sum to 1."""
    total = math.fsum(shares.values())
    if abs(total - 1.0) > SHARE_TOLERANCE:
        listed = ", ".join(f"{name} {share:g}" for name, share in shares.items())
        raise ValueError(f"{what} must sum to 1, got {total:g} ({listed}): change them by {1 - total:+g}")


DataReference = str | Mixture
"""The name of a data set or of one of its parts (``world.facts``), or a mixture of such names."""


class Anneal(Description):
    """A mixture whose shares move in a straight line, over a whole phase, from those of ``from`` to those of ``to``.

    Both must sum to 1; a source that one of them leaves out has no share there. ``max_repetition`` as in a mixture.
    Source: the anneal of grammars in Jain et al. 2024, "What Makes and Breaks Safety Fine-tuning". Departures: none.
    """

    model_config = ConfigDict(serialize_by_alias=True)

    start: dict[str, Share] = Field(alias="from", min_length=1)
    to: dict[str, Share] = Field(min_length=1)
    max_repetition: float | None = Field(default=None, gt=0)

    @model_validator(mode="after")
    def _both_ends_sum_to_one(self) -> Self:
        _require_whole(self.start, "the shares of from")
        _require_whole(self.to, "the shares of to")
        return self

    @property
    def shares(self) -> dict[str, tuple[float, float]]:
        """The shares of every source at the beginning and at the end; sources that are never read are left out."""
        names = dict.fromkeys((*self.start, *self.to))
        found = {name: (self.start.get(name, 0.0), self.to.get(name, 0.0)) for name in names}
        return {name: ends for name, ends in found.items() if any(ends)}

    def __hash__(self) -> int:
        """Return the hash of the shares, whatever their order."""
        return hash((frozenset(self.shares.items()), self.max_repetition))


def _form(data: Any) -> str:
    """Return which form of data a phase was given, so that an error speaks of that form alone."""
    if isinstance(data, Mapping):
        return "anneal" if "from" in data or "to" in data else "mixture"
    return "anneal" if isinstance(data, Anneal) else "mixture" if isinstance(data, Mixture) else "name"


PhaseData = Annotated[
    Annotated[str, Tag("name")] | Annotated[Mixture, Tag("mixture")] | Annotated[Anneal, Tag("anneal")],
    Discriminator(_form),
]


class Phase(Description):
    """A stretch of a stage with one data set, mixture or anneal. ``until``: where it ends, as a share of the stage's
    tokens or as tokens from its start; ``None`` = the end of the stage. ``continues``: go on in each data set where
    earlier phases stopped in it; else every phase reads its data from the beginning.
    """

    data: PhaseData
    until: Place | None = None
    continues: bool = Field(default=False, exclude_if=lambda value: not value)  # recipes without keep their ids


class Replay(Description):
    """Text mixed into another stage so that the model does not forget: ``share`` of the stage's windows."""

    data: str
    share: Share


class FullWeights(Description):
    """All weights are trained."""

    kind: Literal["full"] = "full"


class Lora(Description):
    """Low-rank adapters are trained and merged in fp32 for the published checkpoint.

    Source: Hu et al. 2021. Departures: none. ``targets`` ``all-linear`` = every linear layer but the head.
    """

    kind: Literal["lora"] = "lora"
    rank: int = Field(default=8, ge=1)
    alpha: float = Field(default=16.0, gt=0)
    dropout: Share = 0.0
    targets: Literal["all-linear"] | tuple[str, ...] = "all-linear"


Weights = Annotated[Annotated[FullWeights | Lora, Field(discriminator="kind")], BareWord()]


class TrainedStage(Description):
    """The fields every trained stage shares.

    ``context``: tokens per window. ``batch_size``: windows per optimiser update. ``accumulate``: micro-batches an
    update is split into; it moves the last bits, so it is part of the recipe. ``learning_rate``: the peak rate.
    ``measure_at``: places inside the stage whose checkpoint is kept and measured. ``identity``: the stage is
    declared to change nothing, and then it must not.
    """

    learning_rate: float = Field(default=1e-3, ge=0)
    schedule: Schedule = WarmupStableDecay()
    weight_decay: float = Field(default=0.0, ge=0)
    beta1: float = Field(default=0.9, ge=0, lt=1)
    beta2: float = Field(default=0.95, ge=0, lt=1)
    epsilon: float = Field(default=1e-8, gt=0)
    max_gradient_norm: float = Field(default=1.0, gt=0)
    context: int = Field(default=512, ge=2)
    batch_size: int = Field(default=32, ge=1)
    accumulate: int = Field(default=1, ge=1)
    weights: Weights = FullWeights()
    measure_at: tuple[Place, ...] = ()
    identity: bool = False

    @model_validator(mode="after")
    def _batches_split_evenly(self) -> Self:
        if self.batch_size % self.accumulate:
            raise ValueError(
                f"batch_size {self.batch_size} cannot be split into accumulate {self.accumulate} equal micro-batches"
            )
        return self
