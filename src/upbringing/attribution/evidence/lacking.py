"""Prompts that some checkpoints were not asked: no row says what they would have scored, so nothing bounds them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np

from upbringing.attribution.evidence.cells import Evidence
from upbringing.attribution.evidence.columns import Codes
from upbringing.attribution.evidence.design import Design

LACKING = (
    "{num} of {total} prompts of {measure}{where} have no row on a checkpoint of the same seed (most are lacking on "
    "{cell}): contrasts leave them out, and are biased where what is lacking depends on the answer. List such answers "
    "as unscored, and intervals hold whatever they were."
)
Asked = tuple[str, Codes]
"""A cell, and the sorted items that a checkpoint of it has rows of."""


def lacking_prompts(evidence: Evidence, design: Design) -> Iterable[str]:
    """Yield a sentence for each measure, condition and judge under which cells of a seed were asked different prompts.

    Seeds may differ in their prompts: each of them is compared with itself.
    """
    scores = evidence.scores
    places = {name: (cell, seeds[0]) for cell, each in design.cells.items() for seeds, name in each.replicates}
    asked: dict[tuple[int, int, int], dict[int, list[Asked]]] = {}
    for (measure, condition, judge, checkpoint), lines in scores.blocks.items():
        place = places.get(scores.columns.checkpoint.labels[checkpoint])
        if place is not None:
            by_seed = asked.setdefault((measure, condition, judge), {})
            by_seed.setdefault(place[1], []).append((place[0], scores.item[lines]))
    for (measure, condition, _), by_seed in asked.items():
        lost: dict[str, int] = {}
        counts = [_lacking(sets, lost) for sets in by_seed.values()]
        if lost:
            known = scores.columns.condition.labels[condition]
            yield LACKING.format(
                num=sum(num for num, _ in counts),
                total=sum(total for _, total in counts),
                measure=scores.columns.measure.labels[measure],
                where="" if known == "default" else f" under {known}",
                cell=max(lost, key=lambda cell: (lost[cell], cell)),
            )


def _lacking(sets: Sequence[Asked], lost: dict[str, int]) -> tuple[int, int]:
    """Return how many items are not in every set, of how many, and add to ``lost`` how many each cell lacks."""
    first = sets[0][1]
    if all(len(items) == len(first) and np.array_equal(items, first) for _, items in sets[1:]):
        return 0, len(first)
    union = np.unique(np.concatenate([items for _, items in sets]))
    missing = np.stack([np.isin(union, items, invert=True) for _, items in sets])
    for (cell, _), num in zip(sets, missing.sum(axis=1).tolist(), strict=True):
        if num:
            lost[cell] = lost.get(cell, 0) + num
    return int(missing.any(axis=0).sum()), len(union)
