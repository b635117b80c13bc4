"""One estimator for every linear contrast of cells: per-unit values of each prompt cluster, then one inference."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from upbringing.attribution.cells import ClusterValues, Evidence, Source
from upbringing.attribution.crossed import are_nested, crossed_inference, prompts_inference, seed_means_inference
from upbringing.attribution.design import Design, Unit, Units, units_of
from upbringing.attribution.equivalence import widened
from upbringing.attribution.inference import Inference
from upbringing.attribution.levels import RateCounts, rate_inference, wilson
from upbringing.attribution.pairs import flips, paired_binary_inference, square_and_add

Matrix = NDArray[np.float64]


@dataclass(frozen=True)
class Estimate:
    """A contrast estimated. ``inference`` ``None`` = nothing to estimate from. ``lowest``, ``highest``: bounds of
    the estimate over whatever the incoherent and unscored answers may be; ``None`` where there are none.
    """

    units: Units
    inference: Inference | None
    num_items: int
    num_clusters: int
    num_worlds: int
    unscored: int
    lowest: float | None
    highest: float | None
    flips: tuple[int, int, int] | None
    checkpoints: tuple[str, ...]
    is_same_checkpoint: bool
    outcomes: dict[str, int]


def estimate(evidence: Evidence, design: Design, weights: Mapping[str, float], source: Source) -> Estimate:
    """Return the contrast ``sum of weight x cell`` on one source of scores.

    Units are independent runs (see ``design``); clusters that a unit has in every cell take part.
    """
    names = tuple(weights)
    units = units_of(design, names)
    found = {name: evidence.values(name, source) for unit in units.units for part in unit.checkpoints for name in part}
    known = [values for values in found.values() if values is not None]
    checkpoints = tuple(sorted(found))
    same = len(names) == 2 and all(unit.checkpoints[0] == unit.checkpoints[1] for unit in units.units)
    tables = [_table(found, units.units, tuple(weights.values()), side) for side in ("value", "low", "high")]
    inference = None
    if known and len(known) == len(found) and tables[0].size and not np.isnan(tables[0]).all():
        inference = _inference(evidence, found, units, weights, source, tables[0])
    if same and inference is not None:
        inference = Inference(estimate=0.0, method="one and the same checkpoint")
    lowest, highest = (None, None) if same else (_mean(table) for table in tables[1:])
    if inference is not None:
        inference = widened(inference, lowest, highest)
    return Estimate(
        units=units,
        inference=inference,
        num_items=len({int(item) for values in known for item in values.items}),
        num_clusters=int((~np.isnan(tables[0])).any(axis=0).sum()) if tables[0].size else 0,
        num_worlds=len({world for values in known for world in values.worlds}),
        unscored=sum(values.num_unscored for values in known),
        lowest=lowest,
        highest=highest,
        flips=_flips(found, units.units, tuple(weights.values())),
        checkpoints=checkpoints,
        is_same_checkpoint=same,
        outcomes=_outcomes(known),
    )


def _outcomes(known: Sequence[ClusterValues]) -> dict[str, int]:
    total: dict[str, int] = {}
    for values in known:
        for name, count in values.outcomes.items():
            total[name] = total.get(name, 0) + count
    return total


def _mean(table: Matrix) -> float | None:
    if not table.size or np.isnan(table).all():
        return None
    rows = [row[~np.isnan(row)] for row in table]
    return float(np.mean([row.mean() for row in rows if row.size]))


def _table(
    found: Mapping[str, ClusterValues | None], units: Sequence[Unit], weights: Sequence[float], side: str
) -> Matrix:
    """Return the contrast per unit and cluster, shape (units, clusters); NaN where a cell lacks the cluster.

    ``side``: ``value``, or ``low`` and ``high`` for the bounds (a negative weight takes the other bound).
    """
    clusters = sorted({int(code) for values in found.values() if values is not None for code in values.cluster})
    place = {code: index for index, code in enumerate(clusters)}
    table = np.zeros((len(units), len(clusters)))
    for row, unit in enumerate(units):
        for weight, names in zip(weights, unit.checkpoints, strict=True):
            cell = np.full((len(names), len(clusters)), np.nan)
            for line, name in enumerate(names):
                values = found[name]
                if values is not None:
                    columns = [place[int(code)] for code in values.cluster]
                    cell[line, columns] = _side(values, side, weight)
            seen = ~np.isnan(cell)
            counts = seen.sum(axis=0)
            mean = np.where(counts > 0, np.where(seen, cell, 0.0).sum(axis=0) / np.maximum(counts, 1), np.nan)
            table[row] += weight * mean
    return table


def _side(values: ClusterValues, side: str, weight: float) -> Matrix:
    if side == "value":
        return values.value
    bound = values.low if (side == "low") == (weight > 0) else values.high
    return np.where(np.isnan(bound), values.value, bound)


def _inference(
    evidence: Evidence,
    found: Mapping[str, ClusterValues | None],
    units: Units,
    weights: Mapping[str, float],
    source: Source,
    table: Matrix,
) -> Inference:
    signs = tuple(weights.values())
    num_units = len(units.units)
    share = evidence.is_share(source.measure)
    if num_units > 1:
        inference = seed_means_inference(table) if are_nested(table) else crossed_inference(table)
    else:
        inference = _one_unit(evidence, found, units.units[0], signs, source, table)
    if len(signs) == 1 and share:
        seen = ~np.isnan(table)
        return rate_inference(inference, RateCounts(int(seen.any(axis=0).sum()), int(seen.sum())))
    if inference.low is None and share:
        return _without_variation(found, units.units, signs, inference)
    return inference


def _one_unit(
    evidence: Evidence,
    found: Mapping[str, ClusterValues | None],
    unit: Unit,
    signs: tuple[float, ...],
    source: Source,
    table: Matrix,
) -> Inference:
    """Return the artefact-level inference of one run: exact for paired 0/1 answers, else t over clusters."""
    single = len(signs) == 2 and sorted(signs) == [-1.0, 1.0] and all(len(part) == 1 for part in unit.checkpoints)
    if single and evidence.is_binary(source.measure):
        first, second = (found[part[0]] for part in unit.checkpoints)
        assert first is not None
        assert second is not None
        common, left, right = np.intersect1d(first.cluster, second.cluster, return_indices=True)
        one, other = first.value[left], second.value[right]
        lone = len(first.items) == len(first.cluster) and len(second.items) == len(second.cluster)
        if lone and len(common) and np.isin(one, (0.0, 1.0)).all() and np.isin(other, (0.0, 1.0)).all():
            pair = (one, other) if signs[0] > 0 else (other, one)
            return paired_binary_inference(*pair)
    return prompts_inference(table[0])


def _without_variation(
    found: Mapping[str, ClusterValues | None], units: Sequence[Unit], signs: tuple[float, ...], inference: Inference
) -> Inference:
    """Return an honest interval where nothing varied: each rate's Wilson interval on its prompts, combined."""
    rates, bounds, narrow = [], [], []
    for place in range(len(signs)):
        known = [found[name] for unit in units for name in unit.checkpoints[place]]
        values = np.concatenate([each.value for each in known if each is not None])
        values = values[~np.isnan(values)]
        rate, num = float(values.mean()), len(values)
        rates.append(rate)
        bounds.append(wilson(rate, num))
        narrow.append(wilson(rate, num, 0.90))
    low, high = square_and_add(signs, rates, bounds)
    low90, high90 = square_and_add(signs, rates, narrow)
    return Inference(inference.estimate, "Wilson bounds combined", None, None, low, high, low90, high90, 1.0)


def _flips(
    found: Mapping[str, ClusterValues | None], units: Sequence[Unit], signs: tuple[float, ...]
) -> tuple[int, int, int] | None:
    """Return how many items rose, fell and kept between two cells, over all units; ``None`` for other contrasts."""
    if len(signs) != 2 or sorted(signs) != [-1.0, 1.0]:
        return None
    total = np.zeros(3, dtype=int)
    for unit in units:
        parts = unit.checkpoints if signs[0] > 0 else unit.checkpoints[::-1]
        if any(len(part) != 1 for part in parts):
            return None
        first, second = (found[part[0]] for part in parts)
        if first is None or second is None:
            return None
        _, left, right = np.intersect1d(first.items, second.items, return_indices=True)
        one, other = first.item_means[left], second.item_means[right]
        seen = ~(np.isnan(one) | np.isnan(other))
        total += np.array(flips(one[seen], other[seen]))
    rose, fell, kept = total.tolist()
    return rose, fell, kept
