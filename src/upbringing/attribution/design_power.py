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

from upbringing.attribution.inference import minimum_detectable, t_inference
from upbringing.base.errors import FormatError
from upbringing.formats.effects.designs import StageDesign, designs_for


@dataclass(frozen=True)
class DesignPower:
    """A design at a number of seeds. ``pooled``, ``paired``: the smallest detectable effect in run SDs.

    ``None``: one seed shows no noise between runs; or, of a path, cells of one run are no independent runs.
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


@dataclass(frozen=True)
class SameWork:
    """A full factorial against one arm per stage and a control, for the same number of runs.

    ``factorial``, ``pairwise``: the smallest detectable main effect in run SDs, noise pooled over all cells.
    """

    runs: int
    num_stages: int
    factorial: float | None
    pairwise: float | None


def design_table(stages: Sequence[str], seeds: int) -> tuple[DesignPower, ...]:
    """Return every design for ``stages`` (in the order of training) with ``seeds`` pipelines of each kind."""
    _check_seeds(seeds)
    try:
        designs = designs_for(stages)
    except ValueError as error:
        raise FormatError(str(error)) from None
    found = []
    for design in designs:
        pooled = None if design.level == "L1" else detectable(design.squares, seeds, design.cells * (seeds - 1))
        found.append(DesignPower(design, seeds, pooled, detectable(design.squares, seeds, seeds - 1)))
    return tuple(found)


def same_work(num_stages: int, runs: int) -> SameWork:
    """Compare a full factorial with pairwise arms that share one control; seeds per cell need not be whole."""
    if runs < 2 or num_stages < 2:
        raise FormatError(f"designs have two stages and two runs or more, found {num_stages} and {runs}")
    cells, arms = 2**num_stages, num_stages + 1
    return SameWork(
        runs=runs,
        num_stages=num_stages,
        factorial=detectable(4.0 / cells, runs / cells, runs - cells),
        pairwise=detectable(2.0, runs / arms, runs - arms),
    )


def detectable(squares: float, seeds: float, df: float) -> float | None:
    """Return the smallest effect found with 80% power by the two-sided 5% test, in run SDs.

    ``squares``: of the weights of the cells, each of which has ``seeds`` independent runs. ``None`` without ``df``.
    """
    return minimum_detectable(t_inference(0.0, sqrt(squares / seeds), df, "planned")) if df > 0 else None


def _check_seeds(seeds: int) -> None:
    if seeds < 1:
        raise FormatError(f"a design has at least one seed, found {seeds}")
