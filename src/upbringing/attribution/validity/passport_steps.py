"""The steps of a passport that look at one measure's scores: known groups, reliability, signal-to-noise, validity."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

import numpy as np

from upbringing.attribution.statistics.reliability import (
    Interval,
    correlation,
    crossed_icc,
    paired_gap,
    paired_signal_to_noise,
    rank_separation,
    repeated_icc,
    signal_to_noise,
    split_half,
    standardised_gap,
)
from upbringing.attribution.validity.passport import Step, held_against, not_shown
from upbringing.attribution.validity.passport_runs import Runs

CONVERGENT = "correlation with behaviour"
KNOWN_GROUPS = "standardised gap of known groups"
MIN_GAP, MIN_SEPARATION = 2.0, 0.95
MIN_REPEATED, MIN_HALVES, MIN_TEMPLATES = 0.90, 0.80, 0.70
NUM_TEMPLATES = 3
MIN_SIGNAL = 2.0
MIN_CONVERGENT, MIN_DISCRIMINANT = 0.7, 0.2
MIN_RUNS = 3  # in each of two groups that are known to differ


def known_groups(runs: Runs, high: Sequence[str], low: Sequence[str], *, can_fail: bool, signed: bool) -> Step:
    """Return whether the measure tells two groups of checkpoints apart that are known to differ.

    Runs that share seeds are compared in pairs: what a seed's world does to both is no noise.
    ``signed``: the first must score higher; else either way counts. ``can_fail``: the groups were declared for this
    measure. A rank separation (AUROC over runs) of 0.95 passes too; a gap surely below 2 means one surely below 0.93.
    """
    one, other = runs.scores(high), runs.scores(low)
    if min(len(one), len(other)) < MIN_RUNS:
        why = f"{len(one)} and {len(other)} readable runs are in the groups, {MIN_RUNS} are needed in each"
        return not_shown(runs.measure, 1, KNOWN_GROUPS, why)
    pairs = runs.pairs(high, low)
    found = standardised_gap(one, other) if pairs is None or len(pairs[0]) < MIN_RUNS else paired_gap(*pairs)
    if found is None:
        found = Interval(0.0, 0.0, 0.0)  # every run of both groups scored the very same: it cannot move
    separation = rank_separation(one, other)
    if not signed:
        largest = max(abs(found.low), abs(found.high))
        found = Interval(
            abs(found.value), 0.0 if found.low <= 0 <= found.high else min(abs(found.low), abs(found.high)), largest
        )
        separation = max(separation, 1 - separation)
    step = held_against(runs.measure, 1, KNOWN_GROUPS, found, MIN_GAP, can_fail=can_fail)
    if step.status != "passed" and separation >= MIN_SEPARATION:
        sentence = f"{runs.measure}: known groups are told apart in {separation:.0%} of pairs of runs."
        return Step(
            runs.measure,
            1,
            "rank separation of known groups",
            "passed",
            sentence,
            separation,
            None,
            None,
            MIN_SEPARATION,
        )
    return step


def reliability(runs: Runs) -> Iterable[Step]:
    """Yield how far scores repeat: over decoding seeds, over halves of the prompts, over templates."""
    table = runs.repeats()
    if table.shape[1] < 2 or len(table) < 3:
        yield not_shown(runs.measure, 2, "reliability over decoding seeds", "no answers were repeated")
    else:
        yield _reliable(
            runs, "reliability over decoding seeds", repeated_icc(table, _independent(runs, table)), MIN_REPEATED
        )
    first, second = runs.halves()
    yield _reliable(
        runs,
        "reliability over halves of the prompts",
        split_half(first, second, min(runs.num_independent, len(first))) if len(first) else None,
        MIN_HALVES,
    )
    by_format = runs.by_format()
    if by_format.shape[1] < NUM_TEMPLATES or len(by_format) < 3:
        why = f"{by_format.shape[1]} of {NUM_TEMPLATES} prompt formats were asked"
        yield not_shown(runs.measure, 2, "reliability over templates", why)
    else:
        yield _reliable(
            runs, "reliability over templates", crossed_icc(by_format, _independent(runs, by_format)), MIN_TEMPLATES
        )


def _independent(runs: Runs, table: np.ndarray[tuple[int, ...], np.dtype[np.float64]]) -> int:
    return max(2, min(runs.num_independent, len(table)))


def _reliable(runs: Runs, name: str, found: Interval | None, threshold: float) -> Step:
    if found is None:
        return not_shown(runs.measure, 2, name, "too few checkpoints differ")
    return held_against(runs.measure, 2, name, found, threshold, can_fail=found.low > 0)


def signal(runs: Runs) -> Step:
    """Return whether recipes differ by more than runs of one recipe do, beyond what runs of one seed share."""
    name = "signal-to-noise (spread between recipes over spread between runs)"
    found = paired_signal_to_noise(runs.paired())
    if found is None:
        found = signal_to_noise([runs.scores(names) for _, names in runs.recipes])
    if found is None:
        return not_shown(runs.measure, 3, name, "fewer than two recipes have several runs, or nothing varies")
    step = held_against(runs.measure, 3, name, found, MIN_SIGNAL, can_fail=found.low > 0)
    if step.status != "failed":
        return step
    return replace(step, sentence=f"{step.sentence.removesuffix('.')}: an underpowered measure.")


def validity_steps(
    runs: Runs, behaviour: Sequence[float | None], ability: Sequence[float | None], of: str
) -> Iterable[Step]:
    """Yield whether a likelihood measure goes with behaviour, and more so than with capability.

    ``behaviour`` and ``ability``: per recipe of ``runs``, signed so that they should rise with the measure; ``None``
    where they are not known. ``of``: what they are, in words.
    """
    names = (CONVERGENT, "excess of that correlation over the one with capability")
    own = [float(np.mean(runs.scores(checkpoints))) for _, checkpoints in runs.recipes]
    convergent = _rank_correlation(own, behaviour)
    if convergent is None:
        yield from (not_shown(runs.measure, 4, name, f"fewer than five recipes with {of} differ") for name in names)
        return
    yield held_against(runs.measure, 4, names[0], convergent, MIN_CONVERGENT)
    other = _rank_correlation(own, ability)
    if other is None:
        yield not_shown(runs.measure, 4, names[1], "no measure of capability varies over five recipes")
        return
    yield held_against(runs.measure, 4, names[1], _excess(convergent, other), MIN_DISCRIMINANT)


def _rank_correlation(own: Sequence[float], other: Sequence[float | None]) -> Interval | None:
    pairs = np.array([(one, two) for one, two in zip(own, other, strict=True) if two is not None]).reshape(-1, 2)
    return correlation(pairs[:, 0], pairs[:, 1], len(pairs), ranks=True) if len(pairs) >= 5 else None


def _excess(one: Interval, other: Interval) -> Interval:
    """Return the difference of two sizes of correlation, their intervals combined as if independent (Zou 2007)."""
    low, high = (abs(other.low), abs(other.high)) if other.value >= 0 else (abs(other.high), abs(other.low))
    size = Interval(abs(other.value), min(low, high), max(low, high))
    gap = one.value - size.value
    down = np.hypot(one.value - one.low, size.high - size.value)
    up = np.hypot(one.high - one.value, size.value - size.low)
    return Interval(gap, gap - float(down), gap + float(up))
