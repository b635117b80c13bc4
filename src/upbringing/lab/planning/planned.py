"""A plan as a value: nodes, measuring and totals. What is ``None`` is not known, and ``not_known`` says why."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from upbringing.attribution.power.outlook import Outlook

Status = Literal["done", "missing", "stale", "existing", "absent"]
Course = Literal["constant", "rising", "falling"]
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
    ``sustained_flops``. ``num_networks_to_ask``: those of the checkpoints to measure, several where one is emulated.
    ``unknown``: sets of prompts that are not here and were not counted. ``idle``: what is to be said of measures that
    ask nothing.
    """

    num_checkpoints: int
    num_to_measure: int
    num_networks_to_ask: int
    num_answers: int
    num_likelihoods: int
    seconds_per_checkpoint: float | None
    flops: float | None
    sustained_flops: float
    accelerator_hours: float | None
    unknown: tuple[str, ...]
    idle: tuple[str, ...] = ()


@dataclass(frozen=True)
class PlannedPhase:
    """A phase of a stage in the arms that have it: the updates after ``first_step`` up to ``last_step``.

    ``asked``: where it was asked to begin (``None`` = with the stage); ``learning_rate``: of its first update,
    ``peak_share``: that by the peak, ``course``: what the rate does around it. ``planned``: tokens, padding included,
    per data set; ``realised``: tokens of text per source, where it was trained already. ``anneal``: how shares move;
    ``continues``: whether it goes on where earlier phases stopped in their data.
    """

    stage: str
    arms: tuple[str, ...]
    number: int
    asked: str | None
    first_step: int
    last_step: int
    total_steps: int
    tokens_per_step: int
    learning_rate: float
    peak_share: float
    course: Course
    planned: tuple[tuple[str, int], ...]
    realised: tuple[tuple[str, int], ...] = ()
    anneal: str | None = None
    continues: bool = False

    @property
    def planned_names(self) -> tuple[tuple[str, int], ...]:
        """What the phase reads, whatever its length: names with their shares in thousandths."""
        total = sum(tokens for _, tokens in self.planned) or 1
        return tuple(sorted((name, round(1000 * tokens / total)) for name, tokens in self.planned))

    @property
    def rate_words(self) -> str:
        """The learning rate at the start of the phase, in words."""
        return f"{self.learning_rate:.3g} ({self.peak_share:.0%} of the peak), {self.course}"


@dataclass(frozen=True)
class Sharing:
    """What a tree trains, and what every arm and seed on its own (``apart``) would; whatever is done already.

    ``seconds``: of one process; ``accelerator_hours``: at ``sustained_flops``. ``forbidden``: which schedules keep arms
    from sharing what they read alike, and what that costs.
    """

    num_pipelines: int
    tokens: int
    tokens_apart: int
    seconds: float | None
    seconds_apart: float | None
    accelerator_hours: float | None
    accelerator_hours_apart: float | None
    sustained_flops: float
    forbidden: tuple[str, ...] = ()


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

    ``sharing``: what training every arm on its own would cost. ``curricula``: its phases. ``seconds``: of everything
    still to do, on ``slots`` processes. ``disk_bytes``: still to be written and kept, data that was not read aside;
    ``working_bytes``: needed besides while it trains, at most; both are ``None`` where the size of any checkpoint is
    not known. ``free_bytes``: what the store's disk has. ``held_bytes``: memory that each process needs at least,
    activations aside; ``None`` where no size is known. ``not_known``: why some costs are missing. ``power``: what the
    primary contrasts will be able to decide.
    """

    study: str
    nodes: tuple[NodePlan, ...]
    warnings: tuple[str, ...]
    sharing: Sharing
    curricula: tuple[PlannedPhase, ...]
    profile: dict[str, Any]
    measuring: MeasuringPlan
    slots: int
    calibrated: bool
    seconds: float | None
    disk_bytes: int | None
    working_bytes: int | None
    free_bytes: int
    held_bytes: int | None
    not_known: tuple[str, ...]
    left_out: tuple[str, ...]
    power: PowerReport | None = None

    @property
    def num_to_build(self) -> int:
        """Nodes that a run would train."""
        return sum(node.status in TO_BUILD for node in self.nodes)
