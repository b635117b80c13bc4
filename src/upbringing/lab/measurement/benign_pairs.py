"""Whether arms answer benign questions alike: paired differences with an interval that small counts do not break."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from itertools import combinations

import numpy as np

from upbringing.data.worlds.gates import BENIGN_DIFFERENCE, BenignPair, PairedDifference
from upbringing.formats.items import Item

ItemMeans = Mapping[str, float]
"""Item id to the mean of its answers' values."""


def paired_difference(differences: Sequence[float]) -> PairedDifference | None:
    """Return the mean of paired differences, each in [-1, 1], with its 90% interval; ``None`` for fewer than two.

    Source: Agresti and Min 2005, "Simple improved confidence intervals for comparing matched proportions": Wald's
    interval after half a pair was added in each direction and one without a difference. Departures: differences may
    be means over the wordings of an outcome; Student's quantile stands for the normal one. Its width is never zero.
    """
    from upbringing.attribution.statistics.inference import (  # scipy, not for planning
        EQUIVALENCE_CONFIDENCE,
        t_quantile,
    )

    if len(differences) < 2:
        return None
    values = np.asarray(differences, dtype=np.float64)
    num = len(values) + 2
    centre = float(values.sum()) / num
    variance = float((values**2).sum() + 1) / num - centre**2
    reach = t_quantile(len(values) - 1, EQUIVALENCE_CONFIDENCE) * (variance / num) ** 0.5
    return PairedDifference(float(values.mean()), centre - reach, centre + reach, len(values))


def fewest_outcomes() -> int:
    """Return with how many outcomes at least two equal arms are found equivalent."""
    num = 2
    while (found := paired_difference([0.0] * num)) is None or found.radius > BENIGN_DIFFERENCE:
        num += 1
    return num


def benign_pairs(cells: Mapping[str, ItemMeans], items: Mapping[str, Item]) -> list[BenignPair]:
    """Return all pairs of cells. ``cells``: name to the items it answered; the clusters are the items' outcomes."""
    return [_pair((one, other), cells, items) for one, other in combinations(cells, 2)]


def _pair(names: tuple[str, str], cells: Mapping[str, ItemMeans], items: Mapping[str, Item]) -> BenignPair:
    one, other = (cells[name] for name in names)
    outcomes: dict[str, dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
    for item in one:
        if item in other:
            outcomes[items[item].world or ""][items[item].cluster].append(one[item] - other[item])
    means = {world: [float(np.mean(each)) for each in found.values()] for world, found in outcomes.items()}
    by_world = {world: paired_difference(differences) for world, differences in means.items()}
    pooled = paired_difference([each for differences in means.values() for each in differences])
    return BenignPair(names, pooled, {world: found for world, found in by_world.items() if found is not None})
