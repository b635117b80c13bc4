"""The scores of several cells side by side, so that many contrasts of them can be asked of the same prompts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from upbringing.attribution.contrasts.estimates import mean_over
from upbringing.attribution.evidence.cells import Evidence, Source
from upbringing.attribution.evidence.design import Design, Units
from upbringing.attribution.evidence.pivot import Matrix, Term, pivot

Vector = NDArray[np.float64]


@dataclass(frozen=True)
class CellTables:
    """Cells x units x clusters, NaN wherever any cell lacks the cluster in that unit.

    ``means``: of each cell, weighted as the estimator weights units and clusters, so that a contrast of them is what it
    estimates; ``lows``, ``highs``: the same wherever incoherent and unscored answers may lie, ``None`` where there are
    no bounds.
    """

    cells: tuple[str, ...]
    units: Units
    values: Matrix
    means: Vector
    lows: Vector | None
    highs: Vector | None

    def vector(self, weights: Mapping[str, float]) -> Vector:
        """Return ``weights`` in the order of the cells."""
        return np.array([weights.get(cell, 0.0) for cell in self.cells])

    def contrast(self, vector: Vector) -> Matrix:
        """Return the contrast per unit and cluster."""
        table: Matrix = np.tensordot(vector, self.values, axes=1)
        return table

    def bounds(self, vector: Vector) -> tuple[float | None, float | None]:
        """Return the lowest and highest mean of a contrast over whatever unscored answers may have been."""
        if self.lows is None or self.highs is None:
            return None, None
        up, down = np.maximum(vector, 0.0), np.minimum(vector, 0.0)
        return float(up @ self.lows + down @ self.highs), float(up @ self.highs + down @ self.lows)


def cell_tables(evidence: Evidence, design: Design, cells: Sequence[str], source: Source) -> CellTables | None:
    """Return the tables of ``cells`` read from ``source``; ``None`` where one has no rows or they share no prompt."""
    found = pivot(evidence, design, [Term(1.0, cell, source) for cell in cells])
    seen = ~np.isnan(found.value).any(axis=0)
    if not found.is_complete or not seen.any():
        return None
    values = np.where(seen, found.value, np.nan)
    ends: Matrix = found.low + found.high
    bounded = ~np.isnan(ends).any(axis=0)  # unscored answers have no value, but they have bounds
    return CellTables(
        cells=tuple(cells),
        units=found.units,
        values=values,
        means=_means(found.units, values, seen),
        lows=_means(found.units, found.low, bounded) if bounded.any() else None,
        highs=_means(found.units, found.high, bounded) if bounded.any() else None,
    )


def _means(units: Units, tables: Matrix, seen: NDArray[np.bool_] | np.bool_) -> Vector:
    """Return of each cell the mean that the estimator makes of what was ``seen``."""
    return np.array([mean_over(units, np.where(seen, table, np.nan)) for table in tables], dtype=np.float64)


def in_log_odds(tables: CellTables) -> CellTables | None:
    """Return tables of rates in log-odds, linear around each cell's rate; ``None`` where one is, or may be, 0 or 1."""
    rates = tables.means
    ends = [side for side in (rates, tables.lows, tables.highs) if side is not None]
    if not all(((side > 0) & (side < 1)).all() for side in ends):
        return None
    slopes = 1 / (rates * (1 - rates))
    centres = _log_odds(rates)
    values = centres[:, None, None] + slopes[:, None, None] * (tables.values - rates[:, None, None])
    lows, highs = (None if side is None else _log_odds(side) for side in (tables.lows, tables.highs))
    return replace(tables, values=values, means=centres, lows=lows, highs=highs)


def _log_odds(rates: Vector) -> Vector:
    odds: Vector = np.log(rates / (1 - rates))
    return odds
