"""A look at a contrast while prompts arrive: what rows say by now, held against every look before.

Looks are sequential over prompt clusters alone. A seed that is added because nothing was found yet makes something of
nothing, so the checkpoints, the contrast and the tuning of the sequence are those of the first look, and what earlier
looks rested on must still be there. Source: statistics-and-measures 3.6.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from upbringing.attribution.claims.asked import Asked, asked_of
from upbringing.attribution.evidence.cells import ClusterValues
from upbringing.attribution.evidence.pivot import Pivot, pivot, union
from upbringing.attribution.evidence.questions import Question
from upbringing.attribution.statistics.anytime import TUNED_FOR, confidence_sequence
from upbringing.attribution.statistics.inference import Inference
from upbringing.attribution.validity.validity import validity_of
from upbringing.base.errors import FormatError, StudyError
from upbringing.base.fingerprint import fingerprint
from upbringing.formats.looks import Look
from upbringing.formats.tree import Tree

SEEDS_CHANGED = (
    "the contrast {contrast!r} on {measure!r} was looked at with {before} checkpoints and now stands on others "
    "({after}; new: {new}): seeds added between looks find something in nothing. Take these runs out of the rows, or "
    "study them anew in another folder with their number fixed beforehand"
)
ROWS_CHANGED = (
    "scores that look {number} at {contrast!r} on {measure!r} rests on were changed, taken away or added to: looks are "
    "for prompts that arrive whole, once, with all their answers. Put the rows back, or study them anew"
)


@dataclass(frozen=True)
class _Seen:
    """What the rows say by now. ``table``: the clusters scored on all checkpoints; ``items``: theirs, sorted.

    ``bounds``: of the estimate over whatever unscored answers may have been.
    """

    asked: Asked
    question: Question
    table: Pivot
    items: tuple[str, ...]
    bounds: tuple[float | None, float | None]

    @property
    def checkpoints(self) -> tuple[str, ...]:
        """All checkpoints of the contrast, sorted."""
        return tuple(sorted({name for unit in self.table.units.units for part in unit.checkpoints for name in part}))

    def fingerprint(self, items: frozenset[str]) -> str:
        """Return the sha256 of the scores of ``items``."""
        labels = self.asked.evidence.facts.labels
        lines = []
        for unit, parts in zip(self.table.units.units, self.table.found, strict=True):
            for names, part in zip(unit.checkpoints, parts, strict=True):
                for name, values in zip(names, part, strict=True):
                    assert values is not None
                    lines.append([name, _scores(values, labels, items)])
        return fingerprint(sorted(lines))


def look_at(
    rows: pa.Table,
    tree: Tree,
    measure: str,
    contrast: str,
    earlier: Sequence[Look] = (),
    *,
    tuned_for: int | None = None,
) -> Look:
    """Return what ``rows`` say of a contrast by now; the last of ``earlier`` where nothing was added.

    ``earlier``: all looks so far, of whatever contrast. ``tuned_for``: fixed at the first look, ``TUNED_FOR`` unless
    given. Raises ``StudyError`` for a contrast that is not asked, that may not be read, or whose checkpoints, weights
    or tuning are not those of its first look, and ``FormatError`` where scores of an earlier look have changed.
    """
    seen = _seen(rows, tree, measure, contrast)
    source = seen.question.source
    asked = (measure, contrast, source.condition, source.judge, source.split)
    before = [each for each in earlier if each.asked == asked]
    _check(seen, before, tuned_for)
    known = frozenset(item for each in before for item in each.items)
    new = tuple(item for item in seen.items if item not in known)
    if before and not new:
        return before[-1]
    tuned_for = before[0].tuned_for if before else TUNED_FOR if tuned_for is None else tuned_for
    values = seen.table.contrast().mean(axis=0)
    found = confidence_sequence(values, tuned_for)
    low, high = _widened(found, *seen.bounds)
    return Look(
        number=len(before) + 1,
        measure=measure,
        contrast=contrast,
        weights=dict(seen.question.spec.weights),
        condition=source.condition,
        judge=source.judge,
        split=source.split,
        checkpoints=seen.checkpoints,
        tuned_for=tuned_for,
        clusters=len(values),
        items=new,
        estimate=found.estimate,
        low=low,
        high=high,
        rows_sha256=seen.fingerprint(frozenset(seen.items)),
    )


def _seen(rows: pa.Table, tree: Tree, measure: str, contrast: str) -> _Seen:
    asked = asked_of(rows, tree)
    question = _question(asked, measure, contrast)
    validity = validity_of(asked.tree, asked.evidence, asked.design)
    reasons = (
        *validity.of_design(question.spec),
        *validity.reasons((term.cell, term.source) for term in question.terms),
    )
    if reasons:
        raise StudyError(f"{contrast!r} on {measure!r} may not be read: {reasons[0].text}")
    if asked.evidence.info(measure).estimator != "mean":
        raise StudyError(f"looks are taken at means, and {measure!r} is none: attribute it once, when all is measured")
    table = pivot(asked.evidence, asked.design, question.terms)
    if not table.is_complete:
        raise StudyError(f"{contrast!r} on {measure!r}: a checkpoint has no rows: measure the same prompts on all")
    whole = _whole(table)
    labels, cluster = asked.evidence.facts.labels, asked.evidence.facts.cluster
    items = union([values.items for values in table.known])
    kept = items[np.isin(cluster[items], whole.clusters)]
    if not len(kept):
        raise StudyError(f"{contrast!r} on {measure!r}: no prompt was scored on all checkpoints yet")
    return _Seen(asked, question, whole, tuple(sorted(labels[code] for code in kept.tolist())), table.bounds())


def _question(asked: Asked, measure: str, contrast: str) -> Question:
    """Return the headline question of a contrast on a measure."""
    for question in asked.questions:
        if question.spec.measure == measure and question.spec.name == contrast and question.terms:
            return question
    known = dict.fromkeys(f"{each.spec.name!r} on {each.spec.measure!r}" for each in asked.questions if each.terms)
    listed = ", ".join(known) or "none"
    raise StudyError(f"the rows answer no contrast {contrast!r} on {measure!r}; they answer {listed}")


def _whole(table: Pivot) -> Pivot:
    """Return the table with the clusters alone that were scored on every checkpoint."""
    num = len(table.clusters)
    kept = ~np.isnan(table.contrast()).any(axis=0) if num else np.zeros(0, dtype=np.bool_)
    for values in table.known:
        kept &= np.isin(table.clusters, values.cluster)
    return replace(
        table,
        clusters=table.clusters[kept],
        value=table.value[:, :, kept],
        low=table.low[:, :, kept],
        high=table.high[:, :, kept],
    )


def _check(seen: _Seen, before: Sequence[Look], tuned_for: int | None) -> None:
    if not before:
        return
    first, words = before[0], {"contrast": before[0].contrast, "measure": before[0].measure}
    if seen.checkpoints != first.checkpoints:
        new = ", ".join(name for name in seen.checkpoints if name not in first.checkpoints) or "none"
        num = len(first.checkpoints)
        raise StudyError(SEEDS_CHANGED.format(before=num, after=len(seen.checkpoints), new=new, **words))
    if dict(seen.question.spec.weights) != first.weights:
        raise StudyError(
            f"the weights of {first.contrast!r} are not those of its first look: name the new contrast anew"
        )
    if tuned_for is not None and tuned_for != first.tuned_for:
        raise StudyError(
            f"the looks at {first.contrast!r} are tuned for {first.tuned_for} clusters since the first one, asked for "
            f"{tuned_for}: it is fixed beforehand"
        )
    known: frozenset[str] = frozenset()
    for each in before:
        known |= frozenset(each.items)
        if seen.fingerprint(known) != each.rows_sha256:
            raise FormatError(ROWS_CHANGED.format(number=each.number, **words))


def _scores(values: ClusterValues, labels: Sequence[str], items: frozenset[str]) -> list[list[str | float | int]]:
    """Return (item, sum of scores, number of scores) of ``items``, sorted."""
    parts: tuple[NDArray[np.generic], ...] = (values.items, values.positives, values.repeats)
    found = [
        [labels[code], float(total), int(num)]
        for code, total, num in zip(*(part.tolist() for part in parts), strict=True)
        if labels[code] in items
    ]
    return sorted(found)


def _widened(found: Inference, lowest: float | None, highest: float | None) -> tuple[float | None, float | None]:
    """Return the interval widened to hold wherever answers that could not be scored may lie."""
    if found.low is None or found.high is None or lowest is None or highest is None:
        return found.low, found.high
    return found.low - max(found.estimate - lowest, 0.0), found.high + max(highest - found.estimate, 0.0)
