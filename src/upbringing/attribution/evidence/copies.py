"""Runs that are copies of one run: equal weights, or equal scores to the last digit, are no independent evidence."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

import numpy as np

from upbringing.attribution.evidence.cells import Evidence
from upbringing.formats.tree import Tree

ENOUGH_VALUES = 20  # different values that two runs do not share by chance, prompt by prompt
COPIES = (
    "{names} of {cell} have the weights of {first}, or its scores to the last digit: they are one run and count as one."
)
ALIKE_RUNS = (
    "{names} of {cell} answer every prompt as {first} does: if they are copies of one run, the seeds are overstated "
    "and no interval here holds."
)
Names = Mapping[str, Mapping[str, str]]
"""By cell: a checkpoint, and the first one of the cell that it is like."""


@dataclass(frozen=True)
class Copies:
    """``proven``: shown by equal weights or by scores that cannot be equal by chance; ``likely``: 0/1 answers alike."""

    proven: Names = field(default_factory=dict)
    likely: Names = field(default_factory=dict)

    def warnings(self) -> Iterable[str]:
        """Yield what must be known of runs that may not be counted as several."""
        for words, found in ((COPIES, self.proven), (ALIKE_RUNS, self.likely)):
            for cell, names in found.items():
                for first in dict.fromkeys(names.values()):
                    listed = ", ".join(name for name, other in names.items() if other == first)
                    yield words.format(names=listed, cell=cell, first=first)


def copies_of(tree: Tree, evidence: Evidence) -> Copies:
    """Return which checkpoints of a cell are copies of another one of it."""
    weights = {each.id: each.weights_sha256 for each in tree.checkpoints if each.weights_sha256}
    scores = _fingerprints(evidence)
    proven: dict[str, dict[str, str]] = {}
    likely: dict[str, dict[str, str]] = {}
    for cell, names in _cells(tree).items():
        firsts: dict[object, str] = {}
        for name in names:
            by_weights = firsts.setdefault(("weights", weights.get(name, name)), name)
            by_scores = firsts.setdefault(("scores", scores.get(name, (name,))), name)
            if by_weights != name:
                proven.setdefault(cell, {})[name] = by_weights
            elif by_scores != name and (telling := _telling(evidence, name)):
                (proven if telling == "values" else likely).setdefault(cell, {})[name] = by_scores
    return Copies(proven, likely)


def _cells(tree: Tree) -> dict[str, list[str]]:
    """Return the checkpoints of every cell, each once, sorted as their seeds are listed."""
    found: dict[str, list[str]] = {}
    for cell in tree.cells:
        names = found.setdefault(cell.name, [])
        if cell.checkpoint not in names:
            names.append(cell.checkpoint)
    return {cell: sorted(names) for cell, names in found.items() if len(names) > 1}


def _fingerprints(evidence: Evidence) -> dict[str, tuple[tuple[int, ...], ...]]:
    """Return for each checkpoint what it scored on which items of every measure, condition and judge, as hashes."""
    scores = evidence.scores
    found: dict[str, list[tuple[int, ...]]] = {}
    labels = scores.columns.checkpoint.labels
    for (measure, condition, judge, checkpoint), lines in scores.blocks.items():
        own = (hash(scores.item[lines].tobytes()), hash(scores.mean[lines].tobytes()))
        found.setdefault(labels[checkpoint], []).append((measure, condition, judge, *own))
    return {name: tuple(sorted(parts)) for name, parts in found.items()}


def _telling(evidence: Evidence, checkpoint: str) -> str | None:
    """Return why equal scores are no chance: many different ``values``, or at least ``answers`` of both kinds."""
    scores = evidence.scores
    code = scores.columns.checkpoint.labels.index(checkpoint)
    best = None
    for (_, _, _, other), lines in scores.blocks.items():
        if other != code:
            continue
        _, counts = np.unique(scores.mean[lines][~np.isnan(scores.mean[lines])], return_counts=True)
        if len(counts) >= ENOUGH_VALUES:
            return "values"
        if len(counts) > 1 and counts.sum() - counts.max() >= ENOUGH_VALUES:
            best = "answers"
    return best
