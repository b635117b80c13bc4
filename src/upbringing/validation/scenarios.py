"""The scenarios D0 to D19: what is planted in a simulated study, as plain values.

Source: statistics-and-measures 7.3; D16 to D19 are our own.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass, replace
from typing import Literal

from upbringing.validation.process import STANDARD_NOISE, Noise, level_of

State = Literal["on", "off"]
STAGES = ("pretrain", "midtrain", "sft", "rl", "finetune")


@dataclass(frozen=True, kw_only=True)
class Incoherence:
    """How many answers of a cell are incoherent. ``share``: at the cell's own level on the link's scale.

    ``slope``: change of its log odds per unit of that scale, so that harmful prompts are answered (in)coherently.
    """

    share: float
    slope: float = 0.0


@dataclass(frozen=True, kw_only=True)
class PlantedCell:
    """A cell and the true rate of harm in it, over all prompts and runs.

    ``cell_run``: its runs' own deviation, where it differs from the noise's. ``sensitivity``, ``specificity``: of the
    judge on this cell. ``rl_teacher``: whether the targets it was tuned on came from a teacher that RL had made.
    """

    arm: str
    rate: float
    position: str = "sft"
    state: tuple[tuple[str, State], ...] = ()
    cell_run: float | None = None
    incoherent: Incoherence | None = None
    sensitivity: float = 1.0
    specificity: float = 1.0
    rl_teacher: bool | None = None

    @property
    def name(self) -> str:
        """``arm@position``, as contrasts name it."""
        return f"{self.arm}@{self.position}"


Weights = tuple[tuple[str, float], ...]


@dataclass(frozen=True, kw_only=True)
class PlantedContrast:
    """A contrast of cells (``weights``: cell to weight), with what the design allows to be said of it.

    ``share_of``, ``counterpart`` and ``orders`` as in ``ContrastSpec``.
    """

    name: str
    weights: Weights
    kind: str = "branch"
    level: Literal["L1", "L2", "L3"] = "L2"
    share_of: Weights = ()
    counterpart: Weights = ()
    orders: tuple[Weights, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Scenario:
    """What is planted. ``lost``: chance that a run failed and left no checkpoint, per cell and run.

    ``unscored``: chance that an answer could not be judged; ``absent``: that a prompt was not asked at all.
    """

    id: str
    title: str
    cells: tuple[PlantedCell, ...]
    contrasts: tuple[PlantedContrast, ...]
    noise: Noise = STANDARD_NOISE
    lost: float = 0.0
    unscored: float = 0.0
    absent: float = 0.0

    def without_shares(self) -> Scenario:
        """Return the scenario with contrasts that ask for no share."""
        return replace(self, contrasts=tuple(replace(each, share_of=()) for each in self.contrasts))

    def noise_of(self, cell: PlantedCell) -> Noise:
        """Return the noise of one cell."""
        return self.noise if cell.cell_run is None else replace(self.noise, cell_run=cell.cell_run)

    def level(self, cell: PlantedCell) -> float:
        """Return the cell's level on the link's scale."""
        return level_of(self.noise_of(cell), cell.rate)

    def truth(self, contrast: PlantedContrast) -> float:
        """Return the contrast of the cells' true rates, over all prompts and runs."""
        return self.value(contrast.weights)

    def value(self, weights: Weights) -> float:
        """Return a weighted sum of the cells' true rates."""
        rates = {cell.name: cell.rate for cell in self.cells}
        return sum(weight * rates[name] for name, weight in weights)

    def share(self, contrast: PlantedContrast) -> float | None:
        """Return the contrast's true share in its total; ``None`` where that is 0."""
        whole = self.value(contrast.share_of)
        return self.truth(contrast) / whole if whole else None

    def with_noise(self, cell_run: float) -> Scenario:
        """Return the scenario with another deviation between runs of a cell; the true rates stay."""
        return replace(self, noise=replace(self.noise, cell_run=cell_run))


def difference(above: str, below: str) -> Weights:
    """Return the weights of one cell less another."""
    return (above, 1.0), (below, -1.0)


def two_cells(
    first: PlantedCell, second: PlantedCell, name: str = "second - first"
) -> tuple[tuple[PlantedCell, ...], tuple[PlantedContrast, ...]]:
    """Return two cells and the contrast of the second with the first."""
    return (first, second), (PlantedContrast(name=name, weights=difference(second.name, first.name)),)


def pair(without: float, with_it: float) -> tuple[tuple[PlantedCell, ...], tuple[PlantedContrast, ...]]:
    """Return a recipe without and with a stage, and the contrast of both."""
    return two_cells(PlantedCell(arm="without", rate=without), PlantedCell(arm="with", rate=with_it), "with - without")


def path(*rates: float) -> tuple[tuple[PlantedCell, ...], tuple[PlantedContrast, ...]]:
    """Return the checkpoints of one chain with these rates, and the contrast of each stage."""
    cells = tuple(PlantedCell(arm="main", position=STAGES[place], rate=rate) for place, rate in enumerate(rates))
    whole = difference(cells[-1].name, cells[0].name)
    contrasts = tuple(
        PlantedContrast(
            name=after.position,
            weights=difference(after.name, before.name),
            kind="path",
            level="L1",
            share_of=whole if len(cells) > 2 else (),
        )
        for before, after in itertools.pairwise(cells)
    )
    return cells, contrasts


def factorial(none: float, first: float, second: float, both: float) -> tuple[PlantedCell, ...]:
    """Return the four cells of two stages, each on or off."""
    return (
        PlantedCell(arm="none", rate=none, state=(("first", "off"), ("second", "off"))),
        PlantedCell(arm="first", rate=first, state=(("first", "on"), ("second", "off"))),
        PlantedCell(arm="second", rate=second, state=(("first", "off"), ("second", "on"))),
        PlantedCell(arm="both", rate=both, state=(("first", "on"), ("second", "on"))),
    )


INTERACTION = PlantedContrast(
    name="first x second",
    weights=(("both@sft", 1.0), ("first@sft", -1.0), ("second@sft", -1.0), ("none@sft", 1.0)),
    kind="interaction",
    level="L3",
)
NEEDED, ENOUGH = difference("both@sft", "second@sft"), difference("first@sft", "none@sft")
NECESSITY = PlantedContrast(name="both - second", weights=NEEDED, kind="necessity", counterpart=ENOUGH)
SUFFICIENCY = PlantedContrast(name="first - none", weights=ENOUGH, kind="sufficiency", counterpart=NEEDED)
MAIN_EFFECT = PlantedContrast(
    name="first",
    weights=(("both@sft", 0.5), ("second@sft", -0.5), ("first@sft", 0.5), ("none@sft", -0.5)),
    kind="main-effect",
    level="L3",
    share_of=difference("both@sft", "none@sft"),
    orders=(ENOUGH, NEEDED),
)
