"""Learning-rate schedules as descriptions, and the exact rate of every optimiser step.

A schedule is a pure function of the step and the stage's total steps, so that a branch which leaves a run
part-way can prove that it shared every learning rate up to there.
"""

from __future__ import annotations

from typing import Annotated, Literal, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, model_validator

from upbringing.base.description import Description
from upbringing.base.kinds import BareWord
from upbringing.base.quantities import Share

ROUNDING = 1e-9  # of a sum of shares that were written as decimals


class ConstantSchedule(Description):
    """Linear warm-up, then the peak rate. Cut points never change it, so any prefix can be shared."""

    kind: Literal["constant"] = "constant"
    warmup: Share = 0.0


class WarmupStableDecay(Description):
    """Linear warm-up, a stable plateau, then a linear decay to ``final`` times the peak.

    ``warmup`` and ``decay`` are shares of the stage's steps. Arms that branch before the decay share the
    plateau. Source: Hu et al. 2024 (MiniCPM), section 4. Departures: linear rather than exponential decay.
    """

    kind: Literal["wsd"] = "wsd"
    warmup: Share = 0.01
    decay: Share = 0.2
    final: Share = 0.0

    @model_validator(mode="after")
    def _decays_after_its_warmup(self) -> Self:
        if self.warmup + self.decay > 1 + ROUNDING:
            raise ValueError(
                f"warmup {self.warmup:g} and decay {self.decay:g} overlap, so the peak rate is never reached: together "
                "they are at most 1"
            )
        return self


def _is_nothing(share: float) -> bool:
    return share == 0


class CosineSchedule(Description):
    """Linear warm-up, then a half cosine to ``final`` times the peak. Source: Loshchilov & Hutter 2017.

    ``hold``: share of the stage's steps that end before the cosine begins; until there the rate stays at its peak, so
    that interventions which start earlier all start at one rate. 0 = the cosine begins after the warm-up.
    """

    kind: Literal["cosine"] = "cosine"
    warmup: Share = 0.01
    final: Share = 0.1
    hold: Annotated[Share, Field(exclude_if=_is_nothing)] = 0.0  # recipes without one keep their ids


Schedule = Annotated[
    Annotated[ConstantSchedule | WarmupStableDecay | CosineSchedule, Field(discriminator="kind")], BareWord()
]


def rate_factors(schedule: Schedule, total_steps: int) -> NDArray[np.float64]:
    """Return the factor on the peak rate at each of ``total_steps`` steps, shape ``(total_steps,)``, in [0, 1].

    Warm-up step ``k`` (from 1) of ``w`` has factor ``k / w``; the decay's last step has the factor ``final``
    for ``wsd`` and ``cosine``.
    """
    steps = np.arange(1, total_steps + 1, dtype=np.float64)
    warmup_steps = round(schedule.warmup * total_steps)
    factors = np.ones(total_steps)
    if isinstance(schedule, WarmupStableDecay):
        decay_steps = round(schedule.decay * total_steps)
        if decay_steps:
            progress = np.clip((steps - (total_steps - decay_steps)) / decay_steps, 0.0, 1.0)
            factors = 1.0 - (1.0 - schedule.final) * progress
    elif isinstance(schedule, CosineSchedule):
        begin = max(warmup_steps, round(schedule.hold * total_steps))
        progress = np.clip((steps - begin) / max(1, total_steps - begin), 0.0, 1.0)
        factors = schedule.final + (1.0 - schedule.final) * 0.5 * (1.0 + np.cos(np.pi * progress))
    if warmup_steps:
        factors = factors * np.clip(steps / warmup_steps, 0.0, 1.0)
    return factors
