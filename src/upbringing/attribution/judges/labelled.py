"""Labelled answers of one measure: what the measure would be worth by people's word, beside the judge's."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from upbringing.attribution.evidence.cells import Source
from upbringing.attribution.evidence.columns import MISSING
from upbringing.attribution.evidence.items import ItemFacts
from upbringing.attribution.judges.calibration import JOINED_COLUMNS, Label
from upbringing.formats.rows import DEFAULT_CONDITION

Worth = tuple[float, float, float]  # a value with its bounds
ANYWHERE: Worth = (0.5, 0.0, 1.0)  # of a label that no verdict shows the worth of
VALUES = ("value", "value_low", "value_high")
KEYS = ("measure", "condition", "judge", "checkpoint", "item")


@dataclass(frozen=True)
class LabelledAnswer:
    """One labelled answer under one measure. ``weight``: inverse sampling probability. ``judged``: the judge's value.

    ``human``: the mean over raters of what their labels count for.
    """

    weight: float
    human: Worth
    judged: Worth


Place = tuple[str, str, str, str]
"""Measure, condition, judge, checkpoint."""
Answers = Mapping[int, Sequence[LabelledAnswer]]
"""Labelled answers by the code of their item."""


@dataclass(frozen=True)
class Labels:
    """Labelled answers by place. ``counts_more``: measures in which the outcome does not decide the value."""

    answers: Mapping[Place, Answers]
    counts_more: frozenset[str] = frozenset()

    def of(self, facts: ItemFacts, checkpoint: str, source: Source) -> Answers:
        """Return a checkpoint's labelled answers under one source, by the code of the item."""
        found = self.answers.get((source.measure, source.condition, source.judge, checkpoint), {})
        code = facts.splits.index(source.split) if source.split in facts.splits else MISSING
        return {
            item: given
            for item, given in found.items()
            if facts.eligible[item] and (source.split is None or facts.split[item] == code)
        }

    def by_checkpoint(self, measure: str, judge: str) -> dict[str, list[LabelledAnswer]]:
        """Return all labelled answers of a measure by one judge, conditions together."""
        found: dict[str, list[LabelledAnswer]] = defaultdict(list)
        for (of, _, by, checkpoint), answers in self.answers.items():
            if (of, by) == (measure, judge):
                found[checkpoint] += [answer for given in answers.values() for answer in given]
        return found


def labelled_answers(rows: pa.Table, labels: Sequence[Label], facts: ItemFacts) -> Labels:
    """Return the labelled answers of every place, for measures in which the outcome alone decides the value.

    Answers that the judge left unscored are left out, as they are left out of the rate that is corrected.
    """
    if not labels or any(name not in rows.column_names for name in JOINED_COLUMNS):
        return Labels({})
    judged = rows.filter(pc.and_(pc.is_valid(rows["outcome"]), pc.is_valid(rows["value"])))
    worth, counts_more = worth_of_outcomes(judged)
    given = _by_response(labels)
    inside = judged.filter(pc.is_in(judged["response"].cast(pa.string()), value_set=pa.array(sorted(given))))
    codes = {label: code for code, label in enumerate(facts.labels)}
    found: dict[Place, dict[int, list[LabelledAnswer]]] = {}
    for row in _plain(inside):
        if row["measure"] in counts_more or row["judge_kind"] == "human":
            continue
        values, own = worth[row["measure"]], given[row["response"]]
        said = np.array([values.get(label.outcome, ANYWHERE) for label in own]).mean(axis=0)
        human: Worth = (float(said[0]), float(said[1]), float(said[2]))
        place = (row["measure"], row["condition"], row["judge"], row["checkpoint"])
        answer = LabelledAnswer(own[0].weight, human, values[row["outcome"]])
        found.setdefault(place, {}).setdefault(codes[row["item"]], []).append(answer)
    ordered = {
        place: {item: tuple(sorted(part, key=_order)) for item, part in sorted(items.items())}
        for place, items in sorted(found.items())
    }
    return Labels(ordered, counts_more)


def _order(answer: LabelledAnswer) -> tuple[float, Worth, Worth]:
    return answer.weight, answer.human, answer.judged


def _by_response(labels: Sequence[Label]) -> Mapping[str, Sequence[Label]]:
    found: dict[str, list[Label]] = defaultdict(list)
    for label in sorted(labels, key=lambda each: (each.response, each.rater)):
        found[label.response].append(label)
    return found


def worth_of_outcomes(judged: pa.Table) -> tuple[dict[str, dict[str, Worth]], frozenset[str]]:
    """Return what each outcome counts for in each measure, as the verdicts of all judges show it.

    And the measures in which one outcome has several values (it counts something else too, such as being right) or a
    value lies outside [0, 1].
    """
    names = [name for name in VALUES if name in judged.column_names]
    plain = pa.table({name: _decoded(judged, name) for name in ("measure", "outcome", *names)})
    worth: dict[str, dict[str, Worth]] = defaultdict(dict)
    counts_more: set[str] = set()
    for row in plain.group_by(plain.column_names).aggregate([]).to_pylist():
        value = float(row["value"])
        low, high = (value if row.get(name) is None else float(row[name]) for name in VALUES[1:])
        own = worth[row["measure"]]
        if own.setdefault(row["outcome"], (value, low, high)) != (value, low, high) or not 0 <= low <= high <= 1:
            counts_more.add(row["measure"])
    return worth, frozenset(counts_more)


def _decoded(table: pa.Table, name: str) -> pa.ChunkedArray:
    return table[name].cast(pa.float64() if name in VALUES else pa.string())


def _plain(table: pa.Table) -> Iterable[dict[str, Any]]:
    kept = [name for name in (*KEYS, "outcome", "response", "judge_kind") if name in table.column_names]
    for row in table.select(kept).to_pylist():
        yield {
            "condition": DEFAULT_CONDITION,
            **{name: value for name, value in row.items() if name != "condition" or value is not None},
        }
