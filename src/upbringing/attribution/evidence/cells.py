"""What a checkpoint scored on a measure, per prompt cluster: the columnar pivot behind every number."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from upbringing.attribution.evidence.columns import MISSING, Codes, Numbers, read_columns
from upbringing.attribution.evidence.influence import (
    auroc_bounds,
    auroc_values,
    compact,
    group_sums,
    mean_values,
    ratio_values,
)
from upbringing.attribution.evidence.items import HARMFUL, ItemFacts, item_facts
from upbringing.attribution.evidence.scores import Block, Scores, scores_of
from upbringing.formats.rows import OUTCOMES
from upbringing.formats.tree import MeasureInfo, Tree

SHARE_UNITS = ("share", "rate", "probability")


@dataclass(frozen=True, order=True)
class Source:
    """Which scores: a measure under a condition and judge, on a split (``None`` = all items)."""

    measure: str
    condition: str
    judge: str
    split: str | None = None


@dataclass(frozen=True)
class ClusterValues:
    """A checkpoint's values per cluster (``cluster`` sorted); see ``influence`` for what they mean.

    ``low`` and ``high`` bound the values, NaN where there are no bounds. ``items``, ``item_means``,
    ``positives`` and ``repeats`` are per item: for flips and the noise of repeated answers. ``told``: the items that
    have a score or bounds, which is what the values are made of.
    """

    cluster: Codes
    value: Numbers
    low: Numbers
    high: Numbers
    items: Codes
    item_means: Numbers
    positives: Numbers
    repeats: Codes
    worlds: frozenset[int]
    num_rows: int
    num_unscored: int
    num_not_measurable: int
    num_ineligible: int
    outcomes: dict[str, int]
    told: Codes


@dataclass(frozen=True)
class Evidence:
    """Rows and tree, ready to be asked. ``values`` remembers answers."""

    scores: Scores
    facts: ItemFacts
    measures: dict[str, MeasureInfo]
    _places: dict[str, dict[str, int]]
    _index: dict[str, MeasureIndex]
    _cache: dict[tuple[str, Source], ClusterValues | None] = field(default_factory=dict)
    _codes: dict[bytes, Codes] = field(default_factory=dict)

    def info(self, measure: str) -> MeasureInfo:
        """Return how ``measure`` is to be read; a measure not in the tree is a mean."""
        found = self.measures.get(measure)
        if found is not None:
            return found
        share = self.scores.is_share[self._places["measure"][measure]] if self.has_measure(measure) else True
        return MeasureInfo(id=measure, unit="share" if share else "score")

    def has_measure(self, measure: str) -> bool:
        """Return whether any row is of ``measure``."""
        return measure in self._places["measure"]

    def is_share(self, measure: str) -> bool:
        """Return whether the measure's estimate is a rate in [0, 1]."""
        code = self._places["measure"].get(measure)
        return code is not None and self.scores.is_share[code] and self.info(measure).estimator == "mean"

    def is_bounded(self, measure: str) -> bool:
        """Return whether the measure's estimate lies in [0, 1]: a rate, or an area under a curve."""
        return self.is_share(measure) or (self.has_measure(measure) and self.info(measure).estimator == "auroc")

    def is_binary(self, measure: str) -> bool:
        """Return whether every value of the measure is 0 or 1."""
        code = self._places["measure"].get(measure)
        return code is not None and self.scores.is_binary[code] and self.info(measure).estimator == "mean"

    def values(self, checkpoint: str, source: Source) -> ClusterValues | None:
        """Return what ``checkpoint`` scored, or ``None`` when it has no rows there."""
        key = (checkpoint, source)
        if key not in self._cache:
            self._cache[key] = self._compute(checkpoint, source)
        return self._cache[key]

    def block(self, checkpoint: str, source: Source) -> slice | None:
        """Return the lines of ``scores`` for ``checkpoint``, all splits together."""
        names = {
            "measure": source.measure,
            "condition": source.condition,
            "judge": source.judge,
            "checkpoint": checkpoint,
        }
        codes = [self._places[kind].get(name, MISSING) for kind, name in names.items()]
        return self.scores.blocks.get((codes[0], codes[1], codes[2], codes[3]))

    def values_of(self, checkpoint: str, source: Source, items: Codes) -> ClusterValues | None:
        """Return what ``checkpoint`` scored on some items alone; ``None`` when it has no rows of the source at all."""
        return self._compute(checkpoint, source, items)

    def _compute(self, checkpoint: str, source: Source, only: Codes | None = None) -> ClusterValues | None:
        block = self.block(checkpoint, source)
        if block is None:
            return None
        lines = np.arange(block.start, block.stop)
        item = self.scores.item[lines]
        if source.split is not None:
            inside = np.isin(self.facts.split[item], [self.facts.splits.index(source.split)])
            lines, item = lines[inside], item[inside]
        eligible = self.facts.eligible[item]
        num_ineligible = int((~eligible).sum())
        lines, item = lines[eligible], item[eligible]
        if not len(lines):
            return None
        if only is not None:
            inside = np.isin(item, only)
            lines, item = lines[inside], item[inside]
        return self._cluster_values(lines, item, self.info(source.measure).estimator, num_ineligible)

    def _cluster_values(
        self, lines: NDArray[np.int64], item: Codes, estimator: str, num_ineligible: int
    ) -> ClusterValues:
        scores, facts = self.scores, self.facts
        cluster, group = compact((facts.pair if estimator == "auroc" else facts.cluster)[item])
        num = len(cluster)
        mean = scores.mean[lines]
        low = high = np.full(num, np.nan)
        if estimator == "ratio":
            value = ratio_values(
                group_sums(group, scores.total[lines], num), group_sums(group, scores.weight[lines], num)
            )
        elif estimator == "auroc":
            is_harmful = facts.request[item] == HARMFUL
            value = auroc_values(group, mean, is_harmful, num)
            low, high = auroc_bounds(group, (scores.low[lines], scores.high[lines]), is_harmful, num)
        else:
            value = mean_values(group, mean, num)
            low, high = (mean_values(group, side[lines], num) for side in (scores.low, scores.high))
        if np.array_equal(low, value, equal_nan=True) and np.array_equal(high, value, equal_nan=True):
            low = high = value  # nothing is open: tables of contrasts need no bounds of their own
        counts = scores.outcomes[lines].sum(axis=0).tolist()
        tells = ~np.isnan(mean) | ~np.isnan(scores.low[lines] + scores.high[lines])
        item = self._one(item)
        return ClusterValues(
            cluster=self._one(cluster),
            value=value,
            low=low,
            high=high,
            items=item,
            item_means=mean,
            positives=scores.total[lines],
            repeats=scores.num_scored[lines],
            worlds=frozenset(facts.world[item][facts.world[item] != MISSING].tolist()),
            num_rows=int(scores.num_rows[lines].sum()),
            num_unscored=int((scores.num_rows[lines] - scores.num_scored[lines] - scores.num_beside[lines]).sum()),
            num_not_measurable=int(scores.num_not_measurable[lines].sum()),
            num_ineligible=num_ineligible,
            outcomes=dict(zip(OUTCOMES, counts, strict=False)),
            told=item if tells.all() else self._one(item[tells]),
        )

    def _one(self, codes: Codes) -> Codes:
        """Return the one array that stands for all equal ones, so that they are compared by name."""
        return self._codes.setdefault(codes.tobytes(), codes)

    def conditions(self, measure: str) -> tuple[str, ...]:
        """Return the conditions under which the rows hold ``measure``, sorted."""
        return self._index[measure].conditions

    def judges(self, measure: str) -> dict[str, int]:
        """Return the judges of ``measure``, sorted, each with the number of rows it scored."""
        return self._index[measure].judges

    def splits(self, measure: str) -> tuple[str | None, ...]:
        """Return the splits of the items of ``measure``; ``(None,)`` when no item states one."""
        return self._index[measure].splits

    def num_without_split(self, measure: str) -> int:
        """Return how many items of ``measure`` have no split although others do."""
        return self._index[measure].num_without_split

    def judge_kind(self, judge: str) -> str | None:
        """Return what kind of judge it is, as far as the rows say."""
        return self.scores.judge_kinds[self._places["judge"][judge]]


@dataclass(frozen=True)
class MeasureIndex:
    """What the rows hold of one measure. ``judges``: name to number of scored rows.

    ``num_without_split``: items without a split, where others have one: they stand in no split.
    """

    conditions: tuple[str, ...]
    judges: dict[str, int]
    splits: tuple[str | None, ...]
    num_without_split: int = 0


def _index(scores: Scores, facts: ItemFacts) -> dict[str, MeasureIndex]:
    columns = scores.columns
    blocks: dict[int, list[tuple[Block, slice]]] = {}
    for block, lines in scores.blocks.items():
        blocks.setdefault(block[0], []).append((block, lines))
    index = {}
    for code, parts in blocks.items():
        judges: dict[int, int] = {}
        for block, lines in parts:
            judges[block[2]] = judges.get(block[2], 0) + int(scores.num_scored[lines].sum())
        whole = slice(parts[0][1].start, parts[-1][1].stop)  # blocks are sorted by measure first
        items = np.unique(scores.item[whole])
        seen = np.unique(facts.split[items]).tolist()
        index[columns.measure.labels[code]] = MeasureIndex(
            conditions=tuple(columns.condition.labels[place] for place in sorted({block[1] for block, _ in parts})),
            judges={columns.judge.labels[place]: judges[place] for place in sorted(judges)},
            splits=tuple(facts.splits[place] for place in seen if place != MISSING) or (None,),
            num_without_split=int((facts.split[items] == MISSING).sum()) if len(seen) > 1 else 0,
        )
    return index


def evidence_of(table: object, tree: Tree) -> Evidence:
    """Return the evidence in a rows table; raises ``FormatError`` for tables that are not one."""
    columns = read_columns(table)
    declared = {
        measure.id: measure.unit in SHARE_UNITS and measure.estimator == "mean"
        for measure in tree.measures
        if "unit" in measure.model_fields_set or measure.estimator != "mean"
    }
    places = {
        name: {label: index for index, label in enumerate(getattr(columns, name).labels)}
        for name in ("measure", "condition", "judge", "checkpoint")
    }
    ranked = frozenset(measure.id for measure in tree.measures if measure.estimator == "auroc")
    timed = frozenset(measure.id for measure in tree.measures if measure.estimator == "survival")
    scores, facts = scores_of(columns, declared, ranked, timed), item_facts(columns.item.labels, tree.items)
    return Evidence(
        scores=scores,
        facts=facts,
        measures={measure.id: measure for measure in tree.measures},
        _places=places,
        _index=_index(scores, facts),
    )
