"""What checkpoints scored on single items, read off the rows for gates and eligibility."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc

COLUMNS = ("checkpoint", "measure", "item", "condition", "value", "outcome")


@dataclass(frozen=True)
class ItemScore:
    """One row: ``value`` is ``None`` where it was not scored."""

    item: str
    condition: str
    value: float | None
    outcome: str | None


class ItemScores:
    """The rows of some measures, by checkpoint and measure."""

    def __init__(self, rows: pa.Table, measures: Sequence[str]) -> None:
        wanted = pc.is_in(rows["measure"].cast(pa.string()), pa.array(measures, pa.string()))
        chosen = rows.select(COLUMNS).filter(wanted)
        self._scores: dict[tuple[str, str], list[ItemScore]] = defaultdict(list)
        for checkpoint, measure, *score in zip(*(chosen[name].to_pylist() for name in COLUMNS), strict=True):
            self._scores[checkpoint, measure].append(ItemScore(*score))

    def of(self, checkpoint: str, measure: str) -> Sequence[ItemScore]:
        """Return the scores of ``checkpoint`` on ``measure``; none where there are no rows."""
        return self._scores.get((checkpoint, measure), ())
