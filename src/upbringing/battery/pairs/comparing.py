"""Measures that hold a checkpoint against another of its lineage, and which other that is."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal, Protocol, runtime_checkable

from upbringing.base.errors import MeasurementError
from upbringing.battery.needs import Evidence, Pair

if TYPE_CHECKING:
    from upbringing.battery.measure import Measure

Against = Literal["previous_stage", "last_stage"]
"""The checkpoint that a stage started from, or the one that the arm ends in."""

NAMES: dict[Against, str] = {"previous_stage": "previous-stage", "last_stage": "last-stage"}
"""What a reference is called in conditions; one of several last stages is ``last-stage-of-ARM``."""


@runtime_checkable
class Compares(Protocol):
    """A measure whose rows need a reference beside the checkpoint."""

    @property
    def against(self) -> Against:
        """Which checkpoint it is held against."""
        ...


def alone(battery: Sequence[Measure]) -> tuple[Measure, ...]:
    """Return the measures that need one checkpoint only."""
    return tuple(measure for measure in battery if not isinstance(measure, Compares))


def comparing(battery: Sequence[Measure], against: Against | None = None) -> tuple[Measure, ...]:
    """Return the measures that need two checkpoints; with ``against`` those that need this reference."""
    return tuple(measure for measure in battery if isinstance(measure, Compares) and against in (None, measure.against))


def pair_of(evidence: Evidence) -> Pair:
    """Return what the reference showed; raises ``MeasurementError`` for evidence of a checkpoint alone."""
    if evidence.pair is None:
        raise MeasurementError("this measure compares two checkpoints: give it to battery.pairs.engine.measure_pair")
    return evidence.pair
