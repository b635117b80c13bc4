"""What each independent run scored by itself, so that seed noise stands beside every estimate.

No statistics are made here: the values are the ones attribution averages over, before it averages.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from upbringing.attribution.evidence.cells import Evidence, Source, evidence_of
from upbringing.attribution.evidence.design import Design, design_of
from upbringing.attribution.evidence.units import units_of
from upbringing.reporting.inputs import Inputs

MAX_RUNS = 50  # dots of more runs than that lie on top of one another


@dataclass(frozen=True)
class Runs:
    """Values per independent run, asked by cell or by contrast. Without rows every answer is empty."""

    evidence: Evidence | None
    design: Design

    def of_contrast(self, weights: Mapping[str, float], source: Source) -> tuple[float, ...]:
        """Return ``sum of weight x cell`` in each independent run; empty where there is only one, or a gap."""
        if not weights or any(cell not in self.design.cells for cell in weights):
            return ()
        units = units_of(self.design, tuple(weights)).units
        if not 1 < len(units) <= MAX_RUNS:
            return ()
        found = []
        for unit in units:
            parts = [self._mean(checkpoints, source) for checkpoints in unit.checkpoints]
            known = [part for part in parts if part is not None]
            if len(known) < len(parts):
                return ()
            found.append(sum(weight * part for weight, part in zip(weights.values(), known, strict=True)))
        return tuple(found)

    def _mean(self, checkpoints: tuple[str, ...], source: Source) -> float | None:
        values = [self._checkpoint(checkpoint, source) for checkpoint in checkpoints]
        known = [value for value in values if value is not None]
        return float(np.mean(known)) if known and len(known) == len(values) else None

    def _checkpoint(self, checkpoint: str, source: Source) -> float | None:
        found = None if self.evidence is None else self.evidence.values(checkpoint, source)
        if found is None or np.isnan(found.value).all():
            return None
        return float(np.nanmean(found.value))


def runs_of(inputs: Inputs) -> Runs:
    """Return the runs of a results folder; raises ``FormatError`` for rows that are not rows."""
    has_rows = inputs.rows is not None and inputs.rows.num_rows > 0
    return Runs(evidence_of(inputs.rows, inputs.tree) if has_rows else None, design_of(inputs.tree))
