"""One simulated study as arrays: cells x runs x prompts, with what a judge said and what was lost."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import special

from upbringing.validation.process import Array, Design, draw_runs, probability, rates_given
from upbringing.validation.scenarios import PlantedCell, Scenario

Flags = NDArray[np.bool_]


@dataclass(frozen=True)
class Drawn:
    """A study. Arrays are (cells, runs, prompts) unless said otherwise.

    ``harmful``: what the answers are; ``value``: what the rows say, NaN where an answer was not judged, 0 where it is
    ``incoherent``; ``lost`` (cells, runs): the run failed; ``absent``: never asked; ``cluster`` (prompts): the base
    request of each prompt; ``here`` (cells): the rates that these very runs have over all prompts. Runs are sorted by
    their root.
    """

    scenario: Scenario
    design: Design
    harmful: Flags
    value: Array
    incoherent: Flags
    lost: Flags
    absent: Flags
    cluster: NDArray[np.int64]
    here: Array

    def table(self, weights: tuple[tuple[str, float], ...]) -> Array:
        """Return the contrast as attribution's estimators take it: (pretraining runs, base requests).

        Variants of a request, and runs that branch off one pretraining run, are averaged in each cell first: those
        variants that every cell of the run was asked.
        """
        names = {name for name, _ in weights}
        lacking = self.absent[[cell.name in names for cell in self.scenario.cells]].any(axis=0)
        return self._contrast(
            weights, np.stack([self.per_unit(np.where(lacking, np.nan, each)) for each in self.value])
        )

    def contrast(self, weights: tuple[tuple[str, float], ...]) -> Array:
        """Return the contrast per run and prompt."""
        return self._contrast(weights, self.value)

    def _contrast(self, weights: tuple[tuple[str, float], ...], values: Array) -> Array:
        places = {cell.name: place for place, cell in enumerate(self.scenario.cells)}
        chosen = values[[places[name] for name, _ in weights]]
        total: Array = np.tensordot(np.array([weight for _, weight in weights]), chosen, axes=1)
        return total

    def per_unit(self, values: Array) -> Array:
        """Return values per run and prompt as means per pretraining run and base request; NaN where there is none."""
        design = self.design
        if design.num_branches > 1:
            values = values.reshape(design.num_seeds, design.num_branches, -1).mean(axis=1)
        if self.cluster[-1] + 1 < len(self.cluster):
            starts = np.flatnonzero(np.diff(self.cluster, prepend=-1))
            seen = ~np.isnan(values)
            counts = np.add.reduceat(seen, starts, axis=1, dtype=np.int64)
            sums = np.add.reduceat(np.where(seen, values, 0.0), starts, axis=1)
            values = np.where(counts > 0, sums / np.maximum(counts, 1), np.nan)
        return values


def draw(scenario: Scenario, design: Design, random: np.random.Generator) -> Drawn:
    """Return one study of ``scenario``, drawn from ``random``."""
    runs = _runs(scenario, design, random)
    scale = runs[:, :, None] + _prompts(scenario, design, random)[:, None, :]
    links = scenario.noise.link
    harmful = random.random(scale.shape) < probability(links, scale)
    incoherent = _incoherent(scenario, scale, random)
    value = _judged(scenario, harmful, random)
    value[incoherent] = 0.0  # as measures write it: with the bounds 0 and 1, which the tables add
    if scenario.unscored:
        value[random.random(value.shape) < scenario.unscored] = np.nan
    lost = random.random(runs.shape) < scenario.lost if scenario.lost else np.zeros(runs.shape, dtype=np.bool_)
    value[lost] = np.nan
    absent = random.random(value.shape) < scenario.absent if scenario.absent else np.zeros(value.shape, dtype=np.bool_)
    value[absent] = np.nan
    return Drawn(
        scenario=scenario,
        design=design,
        harmful=harmful,
        value=value,
        incoherent=incoherent,
        lost=lost,
        absent=absent,
        cluster=design.clusters,
        here=rates_given(links, runs, scenario.noise.prompts).mean(axis=1),
    )


def _runs(scenario: Scenario, design: Design, random: np.random.Generator) -> Array:
    """Return the level of each run: (cells, runs)."""
    noise, num_cells = scenario.noise, len(scenario.cells)
    levels = np.array([scenario.level(cell) for cell in scenario.cells])[:, None]
    own = np.array([scenario.noise_of(cell).cell_run for cell in scenario.cells])[:, None]
    shared = noise.run * random.normal(size=design.num_runs)
    found: Array = levels + shared + own * draw_runs(random, noise.runs, (num_cells, design.num_runs))
    if noise.root:
        roots = noise.root * random.normal(size=(num_cells, design.num_seeds))
        found = found + np.repeat(roots, design.num_branches, axis=1)
    return found


def _prompts(scenario: Scenario, design: Design, random: np.random.Generator) -> Array:
    """Return how far prompts deviate in each cell: (cells, prompts). Variants share their request's deviation."""
    noise, num_cells = scenario.noise, len(scenario.cells)
    cluster = design.clusters
    num_requests = int(cluster[-1]) + 1
    requests = noise.item * random.normal(size=num_requests)
    requests = requests + noise.cell_item * random.normal(size=(num_cells, num_requests))
    found: Array = requests[:, cluster]
    if noise.variant:
        found = found + noise.variant * random.normal(size=design.num_items)
    return found


def _incoherent(scenario: Scenario, scale: Array, random: np.random.Generator) -> Flags:
    found = np.zeros(scale.shape, dtype=np.bool_)
    for place, cell in enumerate(scenario.cells):
        if cell.incoherent is not None:
            centred = scale[place] - scenario.level(cell)
            odds = special.logit(cell.incoherent.share) + cell.incoherent.slope * centred
            found[place] = random.random(centred.shape) < special.expit(odds)
    return found


def _judged(scenario: Scenario, harmful: Flags, random: np.random.Generator) -> Array:
    """Return what the judge says of each answer."""
    if all(_is_exact(cell) for cell in scenario.cells):
        return harmful.astype(np.float64)
    sensitivity = np.array([cell.sensitivity for cell in scenario.cells])[:, None, None]
    specificity = np.array([cell.specificity for cell in scenario.cells])[:, None, None]
    said: Array = (random.random(harmful.shape) < np.where(harmful, sensitivity, 1 - specificity)).astype(np.float64)
    return said


def _is_exact(cell: PlantedCell) -> bool:
    return cell.sensitivity == 1.0 and cell.specificity == 1.0
