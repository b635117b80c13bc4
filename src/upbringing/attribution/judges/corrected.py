"""A contrast with the judge's errors taken out: prediction-powered values per cluster, for the estimator of all others.

Each checkpoint's mean becomes ``power x mean of the judge + mean over labels of (human - power x judge)``. Written as
one value per prompt cluster whose mean is that number (its linearisation, labels weighted by inverse sampling
probability), it goes through the crossed estimator unchanged: clusters, pairing and seeds are respected, and the
judge's noise between runs is part of what is seen to vary. Without weights and clusters its variance is that of
``prediction_powered`` in the form ``included``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from upbringing.attribution.contrasts.estimates import Drawing, Estimate, estimate_of
from upbringing.attribution.evidence.cells import ClusterValues, Evidence
from upbringing.attribution.evidence.columns import Numbers
from upbringing.attribution.evidence.pivot import Pivot, tabled
from upbringing.attribution.judges.labelled import Answers
from upbringing.attribution.statistics.prediction_powered import Labelled, power_of, power_share

MIN_LABELS = 10  # of one checkpoint, under one measure and condition: fewer tell next to nothing
UNSEEN = 0.5  # labels of either kind added per verdict, to the variance alone: what few labels did not show may be
Places = NDArray[np.int64]


@dataclass(frozen=True)
class Corrected:
    """A corrected contrast. ``power``: how far the judge was trusted. ``num_labels``: labelled answers."""

    found: Estimate
    power: float
    num_labels: int


@dataclass(frozen=True)
class _Part:
    """One checkpoint in the contrast: its clusters that take part, and its labelled answers on them.

    ``share``: the weight of its mean in the contrast. Of each answer: ``cluster``, the place of its cluster;
    ``human`` and ``judged``, (answers, 3), value with bounds; ``drawn``, the inverse sampling probability; ``weight``,
    the same times how much of the mean it is.
    """

    values: ClusterValues
    share: float
    cluster: Places
    human: Numbers
    judged: Numbers
    drawn: Numbers
    weight: Numbers

    @property
    def labelled(self) -> Labelled:
        """The answers by their values."""
        return self.worth(0)

    @property
    def num_answers(self) -> int:
        """How many answers were judged."""
        return int(self.values.repeats.sum())

    def worth(self, side: int) -> Labelled:
        """Return the answers by their value (0), lowest (1) or highest (2) worth."""
        return Labelled(self.human[:, side], self.judged[:, side], self.weight)


def corrected_contrast(
    evidence: Evidence, found: Pivot, answers: Mapping[tuple[int, int, int], Answers]
) -> Corrected | None:
    """Return the contrast corrected; ``None`` where a checkpoint has fewer than ``MIN_LABELS`` labels that take part.

    ``answers``: the labelled answers by unit, term and checkpoint of ``found``. One power serves the whole contrast,
    so that no checkpoint is judged more mildly than another.
    """
    parts = {where: _part(evidence, found, where, labelled) for where, labelled in answers.items()}
    if any(part.labelled.num < MIN_LABELS for part in parts.values()):
        return None
    power = power_of([power_share(each.labelled, each.num_answers, "included", each.share) for each in parts.values()])
    tables = tuple(
        tuple(
            tuple(_corrected_values(parts[row, place, number], power) for number in range(len(checkpoints)))
            for place, checkpoints in enumerate(terms)
        )
        for row, terms in enumerate(found.found)
    )
    num_labels = sum(part.labelled.num for part in parts.values())
    drawing = Drawing(
        variance=sum(part.share**2 * _unseen(part) for part in parts.values()),
        df=float(num_labels - len(parts)),
        is_sample=any(part.drawn.max() > 1 for part in parts.values()),
    )
    result = estimate_of(evidence, tabled(found.terms, found.units, tables), drawing)
    return Corrected(result, power, num_labels)


def _part(evidence: Evidence, found: Pivot, where: tuple[int, int, int], answers: Answers) -> _Part:
    row, place, number = where
    values = found.found[row][place][number]
    assert values is not None
    own = _taking_part(evidence, found, row, values)
    cluster = np.searchsorted(own.cluster, evidence.facts.cluster[own.items])
    in_cluster = np.bincount(cluster, minlength=len(own.cluster))
    places = {item: at for at, item in enumerate(own.items.tolist())}
    chosen = [(places[item], each) for item, given in answers.items() if item in places for each in given]
    at = np.array([place for place, _ in chosen], dtype=np.int64)
    drawn = np.array([each.weight for _, each in chosen])
    human = np.array([each.human for _, each in chosen]).reshape(-1, 3)
    judged = np.array([each.judged for _, each in chosen]).reshape(-1, 3)
    return _Part(
        values=own,
        share=float(found.weights[place]) / (len(found.units.units) * len(found.found[row][place])),
        cluster=cluster[at],
        human=human,
        judged=judged,
        drawn=drawn,
        weight=drawn / (own.repeats[at] * in_cluster[cluster[at]]),
    )


def _taking_part(evidence: Evidence, found: Pivot, row: int, values: ClusterValues) -> ClusterValues:
    """Return the values without the clusters that the contrast of this unit lacks elsewhere."""
    seen = found.clusters[~np.isnan(found.contrast()[row])]
    kept = np.isin(values.cluster, seen)
    inside = np.isin(evidence.facts.cluster[values.items], values.cluster[kept]) & (values.repeats > 0)
    by_cluster = {name: getattr(values, name)[kept] for name in ("cluster", "value", "low", "high")}
    by_item = {name: getattr(values, name)[inside] for name in ("items", "item_means", "positives", "repeats")}
    return replace(values, **by_cluster, **by_item)


def _corrected_values(part: _Part, power: float) -> ClusterValues:
    sides = []
    for side, judged in enumerate((part.values.value, part.values.low, part.values.high)):
        labelled = part.worth(side)
        residual = labelled.human - power * labelled.judged
        mean = labelled.mean(residual)
        moved = np.bincount(part.cluster, labelled.weight * (residual - mean), len(judged))
        sides.append(power * judged + mean + len(judged) / labelled.weight.sum() * moved)
    return replace(part.values, value=sides[0], low=sides[1], high=sides[2])


def _unseen(part: _Part) -> float:
    """Return the variance of a corrected mean that its labels hide; verdicts that were all labelled hide nothing."""
    verdicts = part.judged[:, 0]
    variance = 0.0
    for verdict in np.unique(verdicts).tolist():
        own = verdicts == verdict
        weight = part.weight[own]
        seen = float(weight @ np.abs(part.human[own, 0] - verdict) / weight.sum())
        hidden = 1.0 - 1.0 / float(part.drawn[own].mean())
        share = float(weight.sum() / part.weight.sum())
        variance += hidden * share**2 * hidden_variance(int(own.sum()), seen)
    return variance


def hidden_variance(num: int, seen: float) -> float:
    """Return by how much ``num`` labels that show a rate ``seen`` of errors understate the variance of that rate.

    Half an error and half an agreement more (Jeffreys' prior) say how likely an error is, so that labels without one
    prove no perfect judge, and labels that show many are believed.
    """
    likely = (num * seen + UNSEEN) / (num + 2 * UNSEEN)
    return max(likely * (1 - likely) - seen * (1 - seen), 0.0) / num
