"""Units x clusters tables: what each term of a contrast scored, aligned so that pairs are paired."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import reduce

import numpy as np
from numpy.typing import NDArray

from upbringing.attribution.evidence.cells import ClusterValues, Evidence, Source
from upbringing.attribution.evidence.columns import Codes
from upbringing.attribution.evidence.design import Design, Units
from upbringing.attribution.evidence.units import units_of

Matrix = NDArray[np.float64]
Found = tuple[ClusterValues | None, ...]
Mean = Callable[[Matrix], float | None]


@dataclass(frozen=True)
class Term:
    """One term of a contrast: a weight on a cell, read from one source of scores."""

    weight: float
    cell: str
    source: Source


@dataclass(frozen=True)
class Pivot:
    """A contrast's scores. ``value``, ``low``, ``high``: (terms, units, clusters), NaN where there is nothing.

    ``found``: per unit and term, what each of its checkpoints scored.
    """

    terms: tuple[Term, ...]
    units: Units
    found: tuple[tuple[Found, ...], ...]
    clusters: Codes
    value: Matrix
    low: Matrix
    high: Matrix

    @property
    def known(self) -> list[ClusterValues]:
        """Everything that was scored."""
        return [values for row in self.found for part in row for values in part if values is not None]

    @property
    def is_complete(self) -> bool:
        """Return whether every checkpoint of every term has rows."""
        return all(values is not None for row in self.found for part in row for values in part)

    @property
    def weights(self) -> Matrix:
        """The terms' weights."""
        return np.array([term.weight for term in self.terms])

    def contrast(self) -> Matrix:
        """Return the contrast per unit and cluster; NaN where a term lacks the cluster."""
        total: Matrix = np.tensordot(self.weights, self.value, axes=1)
        return total

    def bounds(self, mean: Mean | None = None) -> tuple[float | None, float | None]:
        """Return the lowest and highest value of the contrast over whatever unscored answers may have been.

        ``mean``: of a table (units, clusters), as the estimate is one; absent = of all that was observed.
        """
        mean = mean or mean_of_rows
        if self.low is self.value and self.high is self.value:
            found = mean(self.contrast())
            return found, found
        positive = (self.weights > 0)[:, None, None]
        sides = []
        for own, other in ((self.low, self.high), (self.high, self.low)):
            table = np.tensordot(self.weights, np.where(positive, own, other), axes=1)
            sides.append(mean(table))
        return sides[0], sides[1]

    def of_runs(self) -> list[Matrix]:
        """Return per term the scores (independent runs, clusters), where the runs of its terms are not paired."""
        (unit,), (row,) = self.units.units, self.found
        tables = []
        for runs, names, part in zip(self.units.runs, unit.checkpoints, row, strict=True):
            values = dict(zip(names, part, strict=True))
            table = np.full((len(runs), len(self.clusters)), np.nan)
            for line, run in zip(table, runs, strict=True):
                known = [found for name in run if (found := values[name]) is not None]
                _average([(_places(self.clusters, each.cluster), each.value) for each in known], line)
            tables.append(table)
        return tables

    def rate_bounds(self, mean: Mean) -> tuple[Matrix, Matrix] | None:
        """Return the lowest and the highest mean of every term; ``None`` where nothing is open or nothing bounds it.

        ``mean``: of a table (units, clusters), as the estimate is one.
        """
        if self.low is self.value and self.high is self.value:
            return None
        known = ~np.isnan(self.low + self.high).any(axis=0)
        if not known.any():
            return None
        low, high = (
            np.array([mean(np.where(known, part, np.nan)) for part in side], dtype=np.float64)
            for side in (self.low, self.high)
        )
        return low, high


def mean_of_rows(table: Matrix) -> float | None:
    """Return the mean over all observed cells of ``table``, or ``None`` when there is none."""
    seen = ~np.isnan(table)
    return float(table[seen].sum() / seen.sum()) if seen.any() else None


def terms_of(weights: Mapping[str, float], source: Source) -> tuple[Term, ...]:
    """Return the terms of a contrast of cells that are all read from one source."""
    return tuple(Term(weight, cell, source) for cell, weight in weights.items())


def pivot(evidence: Evidence, design: Design, terms: Sequence[Term]) -> Pivot:
    """Return the aligned scores of ``terms``; checkpoints of one unit are averaged (a split-plot)."""
    units = units_of(design, tuple(term.cell for term in terms))
    found = tuple(_on_shared_items(evidence, terms, unit.checkpoints) for unit in units.units)
    return tabled(terms, units, found)


def _on_shared_items(evidence: Evidence, terms: Sequence[Term], names: Sequence[Sequence[str]]) -> tuple[Found, ...]:
    """Return what a unit's checkpoints scored, per term, on the items that every term has.

    A cluster's variants differ in how hard they are: had one term some of them only, their mean would move with which
    ones it has. Terms under other conditions may ask other items of the same clusters and share nothing.
    """
    row = tuple(
        tuple(evidence.values(name, term.source) for name in own) for term, own in zip(terms, names, strict=True)
    )
    known = [values for part in row for values in part if values is not None]
    if all(values.told is known[0].told for values in known):
        return row
    if len(union([values.items for values in known])) == len(union([values.cluster for values in known])):
        return row  # one item a cluster: what a term lacks is lacking from the contrast anyway
    alike: dict[tuple[str, str, str | None], list[Codes]] = {}
    for term, part in zip(terms, row, strict=True):
        if told := [values.told for values in part if values is not None]:
            alike.setdefault(_asked(term), []).append(union(told))
    shared = {asked: _shared(each) for asked, each in alike.items()}

    def kept(term: Term, name: str, values: ClusterValues | None) -> ClusterValues | None:
        items = None if values is None else shared[_asked(term)]
        return values if items is None else evidence.values_of(name, term.source, items)

    return tuple(
        tuple(kept(term, name, values) for name, values in zip(own, part, strict=True))
        for term, own, part in zip(terms, names, row, strict=True)
    )


def _asked(term: Term) -> tuple[str, str, str | None]:
    return term.source.measure, term.source.condition, term.source.split


def _shared(parts: Sequence[Codes]) -> Codes | None:
    """Return the items that stand in all ``parts``; ``None`` where they are equal."""
    first = parts[0]
    if all(part is first or np.array_equal(part, first) for part in parts):
        return None
    return reduce(np.intersect1d, parts)


def tabled(terms: Sequence[Term], units: Units, found: tuple[tuple[Found, ...], ...]) -> Pivot:
    """Return what was ``found`` per unit, term and checkpoint as aligned tables."""
    known = [values for row in found for part in row for values in part if values is not None]
    clusters = union([values.cluster for values in known])
    shape = (len(terms), len(found), len(clusters))
    tables = {"value": np.full(shape, np.nan)}
    if not all(values.low is values.value and values.high is values.value for values in known):
        tables |= {"low": np.full(shape, np.nan), "high": np.full(shape, np.nan)}
    for row, parts in enumerate(found):
        for place, part in enumerate(parts):
            lines = [(values, _places(clusters, values.cluster)) for values in part if values is not None]
            for side, table in tables.items():
                _average([(places, getattr(values, side)) for values, places in lines], table[place, row])
    value = tables["value"]
    return Pivot(tuple(terms), units, found, clusters, value, tables.get("low", value), tables.get("high", value))


def union(parts: Sequence[Codes]) -> Codes:
    """Return the sorted codes that stand in any of ``parts``, each of which is sorted and has no code twice."""
    if not parts:
        return np.zeros(0, dtype=np.int32)
    first = parts[0]
    if all(part is first or np.array_equal(part, first) for part in parts):
        return first
    return np.unique(np.concatenate(parts))


def _places(clusters: Codes, own: Codes) -> slice | NDArray[np.int64]:
    """Return where ``own``, a part of ``clusters``, stands in it; all places where it is the whole."""
    return slice(None) if len(own) == len(clusters) else np.searchsorted(clusters, own)


def _average(parts: Sequence[tuple[slice | NDArray[np.int64], Matrix]], line: Matrix) -> None:
    """Write into ``line``, of NaN, the mean over a unit's checkpoints per cluster. ``parts``: places and values."""
    if len(parts) == 1:
        places, values = parts[0]
        line[places] = values
        return
    lines = np.full((len(parts), len(line)), np.nan)
    for own, (places, values) in zip(lines, parts, strict=True):
        own[places] = values
    seen = ~np.isnan(lines)
    counts = seen.sum(axis=0)
    line[:] = np.where(counts > 0, np.where(seen, lines, 0.0).sum(axis=0) / np.maximum(counts, 1), np.nan)
