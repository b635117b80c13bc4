"""Two indices of a factorial that are no linear contrasts: redundancy and non-additivity."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations
from typing import Any

import numpy as np

from upbringing.attribution.contrasts.cell_tables import CellTables, Vector, cell_tables
from upbringing.attribution.contrasts.estimates import over_units
from upbringing.attribution.effects.shares import share_in
from upbringing.attribution.evidence.cells import Evidence, Source
from upbringing.attribution.evidence.defaults import places_of
from upbringing.attribution.evidence.design import Design
from upbringing.attribution.evidence.pivot import terms_of
from upbringing.attribution.evidence.sources import first_condition, first_judge, ordered_splits
from upbringing.attribution.judges.corrections import Corrections
from upbringing.attribution.statistics.equivalence import widened
from upbringing.attribution.statistics.far_tail import quantile
from upbringing.attribution.statistics.inference import CONFIDENCE, t_quantile
from upbringing.attribution.validity.validity import Validity
from upbringing.attribution.words.sentences import NO_EFFECTS, NO_SPREAD, NOT_MEASURED
from upbringing.formats.effects import coalitions
from upbringing.formats.effects.coalitions import Coalition
from upbringing.formats.effects.derived import on_cells
from upbringing.formats.effects.places import Factorial, factorials, trained_arms
from upbringing.formats.tree import Tree

Magnitude = tuple[float, float, float]
"""The size of an effect: its estimate, and the least and the most that its interval allows."""


def index_tables(
    tree: Tree, evidence: Evidence, design: Design, validity: Validity, corrections: Corrections
) -> dict[str, list[dict[str, Any]]]:
    """Return the table of indices, one row per complete on/off factorial and measure; nothing where there is none."""
    rows = []
    for table in factorials(trained_arms(places_of(design))):
        cells = table.on_off
        if cells is None or not (table.is_complete and table.is_distinct) or len(table.factors) < 2:
            continue
        for measure in evidence.scores.columns.measure.labels:
            split = ordered_splits(evidence, measure)[0]
            source = Source(measure, first_condition(tree, evidence, measure), first_judge(evidence, measure), split)
            margin = tree.study.margins.get(measure)
            rows.append(_row(corrections, validity, (table, cells), source, margin))
    return {"indices": rows} if rows else {}


def _row(
    corrections: Corrections,
    validity: Validity,
    factorial: tuple[Factorial, dict[Coalition, str]],
    source: Source,
    margin: float | None,
) -> dict[str, Any]:
    table, cells = factorial
    players = tuple(table.factors)
    evidence, design = corrections.evidence, corrections.design
    barred = [reason.text for reason in validity.reasons((cell, source) for cell in cells.values())]
    scores = None if barred else cell_tables(evidence, design, tuple(cells.values()), source)
    if scores is not None:
        joint = on_cells(coalitions.interaction(players, players), cells)  # of all cells
        barred = [reason for reason in (corrections.no_ratio(terms_of(joint, source)),) if reason is not None]
    row: dict[str, Any] = {
        "position": table.position,
        "factors": list(table.factors),
        "measure": source.measure,
        "condition": source.condition,
        "judge": source.judge,
        "split": source.split,
    }
    if scores is None or barred:
        reason = barred[0] if barred else NOT_MEASURED
        return row | _index("redundancy", None, reason) | _index("non_additivity", None, reason)
    return (
        row | _redundancy(evidence, scores, (players, cells), source, margin) | _non_additivity(scores, players, cells)
    )


def _redundancy(
    evidence: Evidence,
    scores: CellTables,
    design: tuple[Sequence[str], dict[Coalition, str]],
    source: Source,
    margin: float | None,
) -> dict[str, Any]:
    """Return 1 - sum of necessities / total, by the same test inversion as a share; below zero it is synergy."""
    players, cells = design
    single = [scores.vector(on_cells(coalitions.necessity(player, players), cells)) for player in players]
    needed: Vector = np.sum(single, axis=0)
    whole = scores.vector(on_cells(coalitions.total(players), cells))
    found = share_in(scores, needed, whole, margin, is_rate=evidence.is_share(source.measure))
    if found.value is None or found.low is None or found.high is None:
        return _index("redundancy", None, found.reason)
    return _index("redundancy", (1 - found.value, 1 - found.high, 1 - found.low), None)


def _non_additivity(scores: CellTables, players: Sequence[str], cells: dict[Coalition, str]) -> dict[str, Any]:
    """Return sum |interactions| / (sum |main effects| + sum |interactions|).

    Sizes are never negative, so noise alone makes the index positive: its interval takes each effect at the end of a
    simultaneous (Bonferroni t) 95% interval that makes the index smallest or largest, which is conservative.
    """
    groups = [group for size in range(1, len(players) + 1) for group in combinations(players, size)]
    found = [
        (len(group), _magnitude(scores, on_cells(coalitions.interaction(group, players), cells), len(groups)))
        for group in groups
    ]
    if any(size is None for _, size in found):
        return _index("non_additivity", None, NO_SPREAD)
    main = [size for order, size in found if order == 1 and size is not None]
    joint = [size for order, size in found if order > 1 and size is not None]
    sums = [[sum(size[side] for size in part) for side in range(3)] for part in (main, joint)]
    (main_size, main_low, main_high), (joint_size, joint_low, joint_high) = sums
    if main_size + joint_size == 0:
        return _index("non_additivity", None, NO_EFFECTS)
    low = joint_low / (main_high + joint_low)
    high = joint_high / (main_low + joint_high)
    return _index("non_additivity", (joint_size / (main_size + joint_size), low, high), None)


def _magnitude(scores: CellTables, weights: dict[str, float], num_effects: int) -> Magnitude | None:
    vector = scores.vector(weights)
    found = widened(over_units(scores.units, scores.contrast(vector)), *scores.bounds(vector))
    if found.low is None or found.high is None or found.standard_error is None or found.df is None:
        return None
    joint = quantile(1 - (1 - CONFIDENCE) / num_effects, found.df, found.spread)
    further = (joint - t_quantile(found.df, CONFIDENCE)) * found.standard_error
    low, high = found.low - further, found.high + further
    least = 0.0 if low <= 0 <= high else min(abs(low), abs(high))
    return abs(found.estimate), least, max(abs(low), abs(high))


def _index(name: str, found: Magnitude | None, reason: str | None) -> dict[str, Any]:
    value, low, high = (None, None, None) if found is None else found
    return {name: value, f"{name}_low": low, f"{name}_high": high, f"{name}_reason": reason}
