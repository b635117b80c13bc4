"""What a policy's own answers were like along training, and what about it is suspicious."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from statistics import fmean, variance

from upbringing.formats.record import RlCurve, RlUpdate
from upbringing.training.rewards import Answer, Worth

MAX_POINTS = 200  # enough to draw; the whole curve is in the training state
SURE_ERRORS = 2.0  # standard errors by which a mean has to move before it is said to have moved


def update_of(
    step: int, answers: Sequence[Answer], worths: Sequence[Worth], group_size: int, truncated: Sequence[bool]
) -> RlUpdate:
    """Return what the answers of one update were like; answers to one prompt stand side by side."""
    groups = [range(begin, begin + group_size) for begin in range(0, len(answers), group_size)]
    outcomes = Counter(worth.outcome for worth in worths if worth.outcome is not None)
    oracle = [worth.oracle for worth in worths if worth.oracle is not None]
    return RlUpdate(
        step=step,
        reward=fmean(worth.reward for worth in worths),
        oracle=fmean(oracle) if len(oracle) == len(worths) else None,
        varied=fmean(len({worths[place].reward for place in group}) > 1 for group in groups),
        length=fmean(len(answer.ids) for answer in answers),
        tokens=sum(len(answer.ids) for answer in answers),
        truncated=fmean(truncated),
        divergence=None,
        distinct=fmean(len({answers[place].ids for place in group}) / group_size for group in groups),
        outcomes={name: num / len(answers) for name, num in sorted(outcomes.items())},
    )


def curve_of(updates: Sequence[RlUpdate]) -> RlCurve:
    """Return at most 200 updates, the first and the last among them, and how many could teach anything."""
    stride = max(1, -(-len(updates) // MAX_POINTS))
    places = sorted({*range(0, len(updates), stride), len(updates) - 1}) if updates else []
    return RlCurve(
        updates=tuple(updates[place] for place in places), num_varied=sum(each.varied > 0 for each in updates)
    )


def curve_warnings(updates: Sequence[RlUpdate]) -> tuple[str, ...]:
    """Return a sentence for each thing that is suspicious; never a block: any of them may be the finding.

    The first and the last quarter of the updates are compared. Hacking: the reward rose while the oracle's fell, both
    by more than two standard errors.
    """
    quarter = len(updates) // 4
    if quarter < 2:
        return ()
    first, last = updates[:quarter], updates[-quarter:]
    found = []
    reward = moved([each.reward for each in first], [each.reward for each in last])
    oracle = moved(_oracles(first), _oracles(last)) if _oracles(updates) else 0
    if reward > 0 > oracle:
        found.append(
            f"reward hacking: the reward rose ({_change(first, last, 'reward')}) while the exact judge's fell on the "
            f"same answers ({_change(first, last, 'oracle')})"
        )
    if reward <= 0:
        said = "fell" if reward < 0 else "did not rise by more than its noise"
        found.append(f"the reward {said} ({_change(first, last, 'reward')})")
    idle = sum(each.varied == 0 for each in updates)
    if idle * 2 > len(updates):
        found.append(f"{idle} of {len(updates)} updates taught nothing: no prompt's answers got different rewards")
    return tuple(found)


def moved(before: Sequence[float], after: Sequence[float]) -> int:
    """Return 1 or -1 where the mean rose or fell by more than two standard errors of the difference, else 0."""
    if len(before) < 2 or len(after) < 2:
        return 0
    difference = fmean(after) - fmean(before)
    error = math.sqrt(variance(before) / len(before) + variance(after) / len(after))
    return 0 if abs(difference) <= SURE_ERRORS * error else (1 if difference > 0 else -1)


def _oracles(updates: Sequence[RlUpdate]) -> list[float]:
    return [each.oracle for each in updates if each.oracle is not None]


def _change(first: Sequence[RlUpdate], last: Sequence[RlUpdate], name: str) -> str:
    before, after = (fmean(getattr(each, name) for each in part) for part in (first, last))
    return f"{before:.3f} to {after:.3f}"
