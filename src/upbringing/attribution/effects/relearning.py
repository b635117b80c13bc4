"""Relearning cost: how many updates of a last stage bring back what an unprotected arm does."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from upbringing.attribution.evidence.cells import Evidence, Source
from upbringing.attribution.evidence.design import Design, DesignCell
from upbringing.attribution.evidence.sources import first_judge

INSIDE = ":"  # of a position: a place inside a stage, ``finetune:20%``
LEAST_PLACES = 1  # of a stage; a course needs more


@dataclass(frozen=True)
class Cost:
    """One run's cost: after ``above`` updates the level was not reached, after ``by`` it was.

    ``by`` ``None``: never within the stage, so the cost is censored at ``above``. Both 0: it was there before.
    """

    above: int
    by: int | None


def cost_of(course: Sequence[tuple[int, float]], level: float, *, rises: bool) -> Cost:
    """Return the cost in a course of (updates, value), sorted by updates: when the value first reached ``level``.

    A course may begin before the stage, at 0 updates. ``rises``: the value has to rise to it, else to fall. Values
    between measured places are not known, so the cost lies in an interval.
    """
    above = 0
    for updates, value in course:
        if value >= level if rises else value <= level:
            return Cost(above, updates)
        above = updates
    return Cost(above, None)


def median_cost(costs: Sequence[Cost]) -> int | None:
    """Return the median of the costs' upper ends (of an even number the greater one); ``None`` where it is censored."""
    ordered = sorted(math.inf if each.by is None else each.by for each in costs)
    middle = ordered[len(ordered) // 2]
    return None if math.isinf(middle) else int(middle)


def relearning_table(evidence: Evidence, design: Design) -> list[dict[str, Any]]:
    """Return the cost of every arm in every stage that was measured inside, one mapping per arm and source.

    The level to reach is the mean of a reference arm's runs (``control: reference``) at the end of the same stage. Only
    shares with a safe direction have a cost. Empty without a reference arm or a stage with places inside.
    """
    stages = sorted({cell.position.partition(INSIDE)[0] for cell in design.cells.values() if INSIDE in cell.position})
    return [
        row for stage in stages for source in _sources(evidence) for row in _of_stage(evidence, design, stage, source)
    ]


def _sources(evidence: Evidence) -> Iterable[Source]:
    for measure in evidence.scores.columns.measure.labels:
        if evidence.is_share(measure) and evidence.info(measure).direction.endswith("safer"):
            for condition in evidence.conditions(measure):
                for split in evidence.splits(measure):
                    yield Source(measure, condition, first_judge(evidence, measure), split)


def _of_stage(evidence: Evidence, design: Design, stage: str, source: Source) -> Iterable[dict[str, Any]]:
    ends = [cell for cell in design.cells.values() if cell.position == stage]
    references = [cell for cell in ends if cell.control == "reference"]
    reached = [_mean(evidence, name, source) for cell in references for name in cell.checkpoints]
    levels = [value for value in reached if value is not None]
    if not levels:
        return
    level = float(np.mean(levels))
    rises = evidence.info(source.measure).direction == "lower-is-safer"
    for end in ends:
        if end.control == "reference":
            continue
        costs = [
            cost_of(course, level, rises=rises)
            for seeds, _ in end.replicates
            if len(course := _course(evidence, design, end, stage, seeds, source)) > LEAST_PLACES
        ]
        if costs:
            yield {
                "arm": end.arm,
                "stage": stage,
                "measure": source.measure,
                "condition": source.condition,
                "judge": source.judge,
                "split": source.split,
                "level": level,
                "level_of": sorted({cell.arm for cell in references}),
                "above": [each.above for each in costs],
                "by": [each.by for each in costs],
                "censored": sum(each.by is None for each in costs),
                "median": median_cost(costs),
            }


def _course(
    evidence: Evidence, design: Design, end: DesignCell, stage: str, seeds: Any, source: Source
) -> list[tuple[int, float]]:
    """Return (updates, value) of one run at every measured place of a stage, in order, and before it where known."""
    found: list[tuple[int, float]] = []
    start: str | None = None
    for cell in design.cells.values():
        if cell.arm == end.arm and cell.position.partition(INSIDE)[0] == stage:
            for other, name in cell.replicates:
                updates, value = _updates(design, name, stage), _mean(evidence, name, source)
                if other == seeds and updates is not None and value is not None:
                    found.append((updates, value))
                    start = next((each for each in design.path(name) if _updates(design, each, stage) is None), None)
    before = None if start is None or len(found) <= LEAST_PLACES else _mean(evidence, start, source)
    return sorted(found if before is None else [(0, before), *found])


def _updates(design: Design, checkpoint: str, stage: str) -> int | None:
    """Return how many updates of ``stage`` a checkpoint has behind it, as far as its tree says."""
    known = design.checkpoints.get(checkpoint)
    if known is None or not known.stages or known.stages[-1].role.partition(INSIDE)[0] != stage:
        return None
    return known.stages[-1].updates


def _mean(evidence: Evidence, checkpoint: str, source: Source) -> float | None:
    found = evidence.values(checkpoint, source)
    if found is None or np.isnan(found.value).all():
        return None
    return float(np.nanmean(found.value))
