"""What each design can detect for the same work, in standard deviations between runs of one cell.

Source: two-sided t test of a linear contrast of independent runs; statistics-and-measures 3.7. Departures: two
analyses are told apart. ``pooled`` takes the noise of all cells together (the textbook's, whose degrees of freedom a
factorial lends to every effect); ``paired`` takes the contrast of each seed, as ``attribute`` does, which needs no
equal noise in all cells and removes what the cells of one seed share.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import sqrt

from upbringing.attribution.statistics.inference import minimum_detectable, t_inference
from upbringing.base.errors import FormatError
from upbringing.formats.effects.designs import StageDesign, designs_for

FEWEST_SEEDS = 2  # one shows no noise between runs


@dataclass(frozen=True)
class DesignPower:
    """A design at a number of seeds. ``pooled``, ``paired``: the smallest detectable effect in run SDs.

    ``None``: one seed shows no noise between runs. The cells of a path are stages of one run, no independent runs: it
    has no pooled noise, and its paired number holds as far as the two ends of a stage vary independently.
    """

    design: StageDesign
    seeds: int
    pooled: float | None
    paired: float | None

    @property
    def num_runs(self) -> int:
        """Pipelines over all seeds."""
        return self.seeds * len(self.design.runs)

    @property
    def num_trained(self) -> int:
        """Stages to train over all seeds."""
        return self.seeds * self.design.num_trained


def design_table(stages: Sequence[str], seeds: int) -> tuple[DesignPower, ...]:
    """Return every design for ``stages`` (in the order of training) with ``seeds`` pipelines of each kind."""
    if seeds < 1:
        raise FormatError(f"a design has at least one seed, found {seeds}")
    return tuple(_powered(design, seeds) for design in _designs(stages))


def designs_for_runs(stages: Sequence[str], runs: int) -> tuple[DesignPower, ...]:
    """Return the designs that two seeds or more fit into ``runs`` pipelines, each with as many seeds as do.

    Raises ``FormatError`` where none does. The path is left out: it has no arms to spend pipelines on.
    """
    found = tuple(
        _powered(design, runs // len(design.runs))
        for design in _designs(stages)
        if design.level != "L1" and runs // len(design.runs) >= FEWEST_SEEDS
    )
    if not found:
        raise FormatError(f"no design for {len(stages)} stages has two seeds in {runs} pipelines: take more")
    return found


def _designs(stages: Sequence[str]) -> tuple[StageDesign, ...]:
    try:
        return designs_for(stages)
    except ValueError as error:
        raise FormatError(str(error)) from None


def _powered(design: StageDesign, seeds: int) -> DesignPower:
    pooled = None if design.level == "L1" else detectable(design.squares, seeds, design.cells * (seeds - 1))
    return DesignPower(design, seeds, pooled, detectable(design.squares, seeds, seeds - 1))


def detectable(squares: float, seeds: float, df: float) -> float | None:
    """Return the smallest effect found with 80% power by the two-sided 5% test, in run SDs.

    ``squares``: of the weights of the cells, each of which has ``seeds`` independent runs. ``None`` without ``df``.
    """
    return minimum_detectable(t_inference(0.0, sqrt(squares / seeds), df, "planned")) if df > 0 else None
