"""Answers by two measures of the same answers: which show a trait and answer, which only show it, which do neither."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from upbringing.attribution.contrasts.estimates import mean_over
from upbringing.attribution.evidence.cells import ClusterValues, Evidence, Source
from upbringing.attribution.evidence.columns import Numbers
from upbringing.attribution.evidence.influence import compact, mean_values
from upbringing.attribution.evidence.pivot import Found, Pivot, tabled
from upbringing.attribution.words.sentences import NOT_MEASURED

GRADED = "its answers are graded, so that their classes are not known"


@dataclass(frozen=True)
class Classes:
    """Shares of answers after one role; ``None`` with a ``reason``. Together they are 1."""

    both: float | None = None
    surface: float | None = None
    absent: float | None = None
    reason: str = ""


def classes_of(evidence: Evidence, found: Pivot) -> Classes:
    """Return the classes of the answers behind two terms: what shows the trait, and whether the same answers answer.

    Answers are paired one by one (question, turn and sample), and each question counts as in its measure's mean; one
    that either measure left without a score is in no class. Source: statistics-and-measures, section 6, claim C.
    """
    rows: list[tuple[Found, ...]] = []
    for unit, row in zip(found.units.units, found.found, strict=True):
        pairs = []
        for name, values in zip(unit.checkpoints[0], row[0], strict=True):
            pair = None if values is None else _paired(evidence, name, values, [term.source for term in found.terms])
            if pair == GRADED:
                return Classes(reason=GRADED)
            pairs.append(pair)
        rows.append(tuple(tuple(_side(pair, place) for pair in pairs) for place in (0, 1)))
    return _shares(tabled(found.terms, found.units, tuple(rows)))


Pair = tuple[ClusterValues, ClusterValues]


def _side(pair: Pair | str | None, place: int) -> ClusterValues | None:
    return pair[place] if isinstance(pair, tuple) else None


def _paired(evidence: Evidence, checkpoint: str, values: ClusterValues, sources: Sequence[Source]) -> Pair | str | None:
    """Return per prompt cluster the share of paired answers that show the trait, and of those that answer too.

    ``None`` where no answer is paired; ``GRADED`` where a score is neither 0 nor 1.
    """
    (keys, shown), (others, told) = (_answers(evidence, checkpoint, source) for source in sources)
    _, first, second = np.intersect1d(keys, others, return_indices=True)
    shown, told, keys = shown[first], told[second], keys[first]
    known = ~(np.isnan(shown) | np.isnan(told))
    shown, told, keys = shown[known], told[known], keys[known]
    if not np.isin(np.concatenate([shown, told]), (0.0, 1.0)).all():
        return GRADED
    item, of_answer = np.unique(keys // _num_repeats(evidence), return_inverse=True)
    inside = np.isin(item, values.items)  # eligible, and on the split that is read
    if not inside.any():
        return None
    cluster, group = compact(evidence.facts.cluster[item[inside]])

    def over_clusters(answers: Numbers) -> Numbers:
        return mean_values(group, mean_values(of_answer, answers, len(item))[inside], len(cluster))

    sides = (over_clusters(shown), over_clusters(shown * told))
    one, other = (replace(values, cluster=cluster, value=side, low=side, high=side) for side in sides)
    return one, other


def _answers(evidence: Evidence, checkpoint: str, source: Source) -> tuple[NDArray[np.int64], Numbers]:
    """Return a key per answer of a checkpoint (its question, turn and sample) and its score."""
    columns = evidence.scores.columns
    names = (
        (columns.checkpoint, checkpoint),
        (columns.measure, source.measure),
        (columns.condition, source.condition),
        (columns.judge, source.judge),
    )
    lines = np.ones(columns.num_rows, dtype=np.bool_)
    for text, label in names:
        lines &= text.codes == (text.labels.index(label) if label in text.labels else -2)
    samples = int(columns.sample.max()) + 1
    repeat = columns.turn[lines].astype(np.int64) * samples + columns.sample[lines]
    key = columns.item.codes[lines].astype(np.int64) * _num_repeats(evidence) + repeat
    return key, columns.value[lines]


def _num_repeats(evidence: Evidence) -> int:
    """Return how many places for turns and samples an item has in a key."""
    columns = evidence.scores.columns
    return (int(columns.turn.max()) + 1) * (int(columns.sample.max()) + 1)


def _shares(found: Pivot) -> Classes:
    seen = ~np.isnan(found.value).any(axis=0)
    if not seen.any():
        return Classes(reason=NOT_MEASURED)
    shows, both = found.value
    parts = (both, shows - both, 1 - shows)
    both_share, surface, absent = (mean_over(found.units, np.where(seen, part, np.nan)) for part in parts)
    return Classes(both_share, surface, absent)
