"""A plan as a value: nodes, measuring and totals. What is ``None`` is not known, and ``not_known`` says why."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from upbringing.attribution.outlook import Outlook

Status = Literal["done", "missing", "stale", "existing", "absent"]
TO_BUILD = ("missing", "stale")


@dataclass(frozen=True)
class NodePlan:
    """One node. Costs are of its own segment; ``None`` = not known (data not read, machine not calibrated).

    ``generated_tokens``: those of ``tokens`` that an rl stage draws itself, at most; ``None`` for other stages.
    """

    key: str
    label: str
    status: Status
    why: tuple[str, ...]
    parent: str | None
    steps: int | None
    tokens: int | None
    flops: float | None
    disk_bytes: int | None
    seconds: float | None
    generated_tokens: int | None = None


@dataclass(frozen=True)
class MeasuringPlan:
    """What the battery asks. ``flops``: of all checkpoints together, 2 per weight and token; ``accelerator_hours``: at
    ``sustained_flops``. ``unknown``: sets of prompts that are not here and were not counted.
    """

    num_checkpoints: int
    num_to_measure: int
    num_answers: int
    num_likelihoods: int
    seconds_per_checkpoint: float | None
    flops: float | None
    sustained_flops: float
    accelerator_hours: float | None
    unknown: tuple[str, ...]


@dataclass(frozen=True)
class PowerReport:
    """The outlooks of a study's primary contrasts at ``power``. ``not_known``: what is missing, and why.

    ``aliases``: of a fraction of a matrix, one line per group of effects that it cannot tell apart.
    """

    power: float
    outlooks: tuple[Outlook, ...]
    not_known: tuple[str, ...] = ()
    aliases: tuple[str, ...] = ()


@dataclass(frozen=True)
class Plan:
    """A whole study before it runs.

    ``shared_tokens``: what training every arm on its own would have cost more. ``seconds``: of everything still to do,
    on ``slots`` processes. ``disk_bytes``: still to be written and kept; ``working_bytes``: needed besides while it
    trains, at most; ``free_bytes``: what the store's disk has.
    ``not_known``: why some costs are missing. ``power``: what the primary contrasts will be able to decide.
    """

    study: str
    nodes: tuple[NodePlan, ...]
    warnings: tuple[str, ...]
    shared_tokens: int
    profile: dict[str, Any]
    measuring: MeasuringPlan
    slots: int
    calibrated: bool
    seconds: float | None
    disk_bytes: int
    working_bytes: int
    free_bytes: int
    not_known: tuple[str, ...]
    left_out: tuple[str, ...]
    power: PowerReport | None = None

    @property
    def num_to_build(self) -> int:
        """Nodes that a run would train."""
        return sum(node.status in TO_BUILD for node in self.nodes)
