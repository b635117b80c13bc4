"""Rows become scores: one line per (measure, condition, judge, checkpoint, item), samples and turns averaged.

Everything is one sort and a few segment sums over the columns; no Python runs per row.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from upbringing.attribution.evidence.columns import Codes, Columns, Numbers
from upbringing.base.errors import FormatError
from upbringing.formats.rows import OUTCOMES, REFUSALS, STATUSES

Block = tuple[int, int, int, int]
"""Codes of (measure, condition, judge, checkpoint)."""

KEY_LIMIT = 2**62  # composite keys stay inside a signed 64-bit integer


@dataclass(frozen=True)
class Scores:
    """One line per item of each block; ``blocks`` says where each block's lines stand.

    ``mean`` is over scored rows and NaN where none was. ``low`` and ``high`` bound it over all rows: an
    unscored row of a share, or of a ranking of 0/1 answers, may be either; NaN where a measure has no bounds.
    ``num_beside`` counts refusals without a value: a measure of those who answered (such as ability) is not about
    them, so they are neither scored nor lost. ``total`` and ``weight`` are sums over scored rows, for ratios.
    ``outcomes`` (lines, classes) counts the classes of ``OUTCOMES``.
    """

    columns: Columns
    blocks: dict[Block, slice]
    item: Codes
    num_rows: Codes
    num_scored: Codes
    num_not_measurable: Codes
    num_beside: Codes
    mean: Numbers
    low: Numbers
    high: Numbers
    total: Numbers
    weight: Numbers
    outcomes: NDArray[np.int32]
    is_share: tuple[bool, ...]
    is_binary: tuple[bool, ...]
    judge_kinds: tuple[str | None, ...]


def scores_of(
    columns: Columns,
    declared_shares: dict[str, bool],
    ranked: frozenset[str] = frozenset(),
    timed: frozenset[str] = frozenset(),
) -> Scores:
    """Return the scores of ``columns``. ``declared_shares``: for measures the tree lists, whether in [0, 1].

    ``ranked``: measures whose values are compared by rank only (AUROC). ``timed``: whose values are times (survival).

    Raises ``FormatError`` for two rows with one key and for shares outside [0, 1].
    """
    columns = _up_to_horizon(columns, timed)
    order, starts = _sorted_groups(columns)
    first = order[starts]
    is_share, is_binary = _value_ranges(columns, declared_shares)
    value = columns.value[order]
    scored = ~np.isnan(value)
    num_rows = np.diff(starts, append=len(order)).astype(np.int32)
    num_scored = np.add.reduceat(scored, starts, dtype=np.int32)
    total = np.add.reduceat(np.where(scored, value, 0.0), starts)
    beside = ~scored & _is_refusal(columns, order)
    is_open = _may_be_either(columns, ranked, is_share, is_binary)
    low, high = (_mean_known(side, starts) for side in _bounds(columns, order, value, beside, is_open))
    with np.errstate(invalid="ignore"):
        mean = np.where(num_scored > 0, total / np.maximum(num_scored, 1), np.nan)
    return Scores(
        columns=columns,
        blocks=_blocks(columns, first),
        item=columns.item.codes[first],
        num_rows=num_rows,
        num_scored=num_scored,
        num_not_measurable=_status_count(columns, order, starts, "not-measurable"),
        num_beside=np.add.reduceat(beside, starts, dtype=np.int32),
        mean=mean,
        low=low,
        high=high,
        total=total,
        weight=_weight(columns, order, starts, scored),
        outcomes=_outcomes(columns, order, starts),
        is_share=is_share,
        is_binary=is_binary,
        judge_kinds=_judge_kinds(columns),
    )


def _up_to_horizon(columns: Columns, timed: frozenset[str]) -> Columns:
    """Return the columns with every time of a measure cut at its earliest censored one.

    Up to there every time is known, censored or not, so that means of them are restricted means without any bias.
    Source: Royston and Parmar 2013 for the restricted mean. Departures: the horizon is read from the rows.
    """
    if columns.censored is None or not timed:
        return columns
    value = columns.value.copy()
    for name in timed.intersection(columns.measure.labels):
        own = columns.measure.codes == columns.measure.labels.index(name)
        ends = value[own & columns.censored & ~np.isnan(value)]
        if len(ends):
            value[own] = np.minimum(value[own], ends.min())
    return replace(columns, value=value)


def _sorted_groups(columns: Columns) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the rows' order by key and where each group starts; raises for keys that stand twice."""
    parts = [columns.measure, columns.condition, columns.judge, columns.checkpoint, columns.item]
    sizes = [len(part.labels) for part in parts]
    turns, samples = int(columns.turn.max()) + 1, int(columns.sample.max()) + 1
    if float(np.prod([float(size) for size in sizes])) * turns * samples > KEY_LIMIT:
        raise FormatError("the rows have too many distinct labels for one table: split it by measure")
    key = np.zeros(columns.num_rows, dtype=np.int64)
    for part, size in zip(parts, sizes, strict=True):
        key *= size
        key += part.codes
    key *= turns
    key += columns.turn
    key *= samples
    key += columns.sample
    order = np.argsort(key, kind="stable")
    key = key[order]
    twice = np.flatnonzero(key[1:] == key[:-1])
    if len(twice):
        row = order[twice[0]]
        names = ", ".join(f"{part.labels[part.codes[row]]}" for part in parts)
        raise FormatError(
            f"{len(twice)} rows have a key that another row has too, the first is (measure, condition, judge, "
            f"checkpoint, item) = ({names}), turn {columns.turn[row]}, sample {columns.sample[row]}: "
            "number repeated answers in the column 'sample'"
        )
    key //= turns * samples
    return order, np.flatnonzero(np.concatenate(([True], key[1:] != key[:-1])))


def _value_ranges(columns: Columns, declared_shares: dict[str, bool]) -> tuple[tuple[bool, ...], tuple[bool, ...]]:
    """Return for each measure whether it is a share, and whether all its values are 0 or 1."""
    shares, binaries = [], []
    inside = (columns.value >= 0) & (columns.value <= 1)
    binary = (columns.value == 0) | (columns.value == 1)
    unscored = np.isnan(columns.value)
    num = len(columns.measure.labels)
    outside = np.bincount(columns.measure.codes, weights=~(inside | unscored), minlength=num)
    between = np.bincount(columns.measure.codes, weights=~(binary | unscored), minlength=num)
    for code, name in enumerate(columns.measure.labels):
        declared = declared_shares.get(name)
        if declared and outside[code]:
            raise FormatError(
                f"the measure {name!r} is a share, but {int(outside[code])} of its values lie outside [0, 1]: "
                "give the measure another unit in tree.json"
            )
        shares.append(declared if declared is not None else not outside[code])
        binaries.append(not between[code])
    return tuple(shares), tuple(binaries)


def _may_be_either(
    columns: Columns, ranked: frozenset[str], is_share: tuple[bool, ...], is_binary: tuple[bool, ...]
) -> NDArray[np.bool_]:
    """Return for each measure whether an unscored row may be 0 or 1: a share, or a ranking of such answers."""
    num = len(columns.measure.labels)
    scored = np.bincount(columns.measure.codes, weights=~np.isnan(columns.value), minlength=num) > 0
    is_ranked = np.array([name in ranked for name in columns.measure.labels], dtype=np.bool_)
    is_open: NDArray[np.bool_] = np.array(is_share, dtype=np.bool_) | (is_ranked & np.array(is_binary) & scored)
    return is_open


def _is_refusal(columns: Columns, order: NDArray[np.int64]) -> NDArray[np.bool_]:
    if columns.outcome is None:
        return np.zeros(len(order), dtype=np.bool_)
    refused: NDArray[np.bool_] = np.isin(columns.outcome[order], [OUTCOMES.index(name) for name in REFUSALS])
    return refused


def _bounds(
    columns: Columns,
    order: NDArray[np.int64],
    value: Numbers,
    beside: NDArray[np.bool_],
    is_open: NDArray[np.bool_],
) -> tuple[Numbers, Numbers]:
    """Return each row's lowest and highest possible value: as given, else the value, else 0 and 1 where ``is_open``."""
    open_share = is_open[columns.measure.codes[order]] & ~beside
    unscored = np.isnan(value)
    sides = []
    for given, worst in ((columns.value_low, 0.0), (columns.value_high, 1.0)):
        side = np.where(unscored, np.where(open_share, worst, np.nan), value)
        if given is not None:
            known = given[order]
            side = np.where(np.isnan(known), side, known)
        sides.append(side)
    return sides[0], sides[1]


def _mean_known(side: Numbers, starts: NDArray[np.int64]) -> Numbers:
    """Return each group's mean over the numbers in it; NaN for a group without any."""
    known = ~np.isnan(side)
    counts = np.add.reduceat(known, starts, dtype=np.int32)
    sums = np.add.reduceat(np.where(known, side, 0.0), starts)
    means: Numbers = np.where(counts > 0, sums / np.maximum(counts, 1), np.nan)
    return means


def _blocks(columns: Columns, first: NDArray[np.int64]) -> dict[Block, slice]:
    parts = [columns.measure, columns.condition, columns.judge, columns.checkpoint]
    codes = np.stack([part.codes[first] for part in parts])
    starts = np.flatnonzero(np.concatenate(([True], (codes[:, 1:] != codes[:, :-1]).any(axis=0))))
    ends = np.append(starts[1:], len(first))
    keys = codes[:, starts].T.tolist()
    return {
        (key[0], key[1], key[2], key[3]): slice(int(start), int(end))
        for key, start, end in zip(keys, starts, ends, strict=True)
    }


def _status_count(columns: Columns, order: NDArray[np.int64], starts: NDArray[np.int64], status: str) -> Codes:
    if columns.status is None:
        return np.zeros(len(starts), dtype=np.int32)
    matches = columns.status[order] == STATUSES.index(status)
    counts: Codes = np.add.reduceat(matches, starts, dtype=np.int32)
    return counts


def _weight(
    columns: Columns, order: NDArray[np.int64], starts: NDArray[np.int64], scored: NDArray[np.bool_]
) -> Numbers:
    """Return the summed weight of scored rows; every row weighs 1 where the table has no weights."""
    weight = np.ones(len(order)) if columns.weight is None else columns.weight[order]
    sums: Numbers = np.add.reduceat(np.where(scored & ~np.isnan(weight), weight, 0.0), starts)
    return sums


def _outcomes(columns: Columns, order: NDArray[np.int64], starts: NDArray[np.int64]) -> NDArray[np.int32]:
    if columns.outcome is None:
        return np.zeros((len(starts), 0), dtype=np.int32)
    outcome = columns.outcome[order]
    counts = [np.add.reduceat(outcome == code, starts, dtype=np.int32) for code in range(len(OUTCOMES))]
    return np.stack(counts, axis=1)


def _judge_kinds(columns: Columns) -> tuple[str | None, ...]:
    """Return the kind of each judge: the first kind, in alphabetical order, that its rows name."""
    kinds: list[str | None] = [None] * len(columns.judge.labels)
    if columns.judge_kind is not None and columns.judge_kind.labels:
        num = len(columns.judge_kind.labels)
        pair = columns.judge.codes.astype(np.int64) * (num + 1) + columns.judge_kind.codes + 1
        for code in np.flatnonzero(np.bincount(pair, minlength=len(kinds) * (num + 1))).tolist():
            judge, kind = divmod(code, num + 1)
            if kind and kinds[judge] is None:
                kinds[judge] = columns.judge_kind.labels[kind - 1]
    return tuple(kinds)
