"""Whose turn it is: sources in shares that stand still or move, as one sequence of windows without any chance."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

TOLERANCE = 1e-9  # windows; sums of shares are exact to far less


def with_replay(shares: Mapping[str, float], replay: tuple[str, float] | None) -> dict[str, float]:
    """Return the share of each key in the windows, once ``replay`` (key, share of all windows) is mixed in."""
    if replay is None:
        return dict(shares)
    key, share = replay
    found = {name: value * (1.0 - share) for name, value in shares.items()}
    found[key] = found.get(key, 0.0) + share
    return found


def furthest_behind(shares: Sequence[float], taken: Sequence[int]) -> int:
    """Return the place of the source that fills the next window where shares stand still.

    Every prefix stays within a window of the shares with up to five sources, within 1.2 with up to ten (simulated).
    """
    num = sum(taken)
    return int(np.argmax([share * (num + 1) - each for share, each in zip(shares, taken, strict=True)]))


def planned_windows(first: float, last: float, length: int, taken: int) -> float:
    """Return how many of the first ``taken`` of ``length`` windows are a source's whose share moves evenly.

    Window ``n`` (from 0) has the share in the middle of its own place, ``first + (last - first) (n + 1/2) / length``.
    """
    return taken * first + (last - first) * taken * taken / (2 * length)


def annealed_order(first: Sequence[float], last: Sequence[float], length: int) -> NDArray[np.int64]:
    """Return the place of the source that fills each of ``length`` windows; both lists of shares sum to 1.

    After any number of windows, no source is further than ``1 - 1 / (2 k - 2)`` windows from what was planned for it,
    with ``k`` sources. Source: Tijdeman 1980, "The chairman assignment problem". Departures: shares beyond the last
    window are those of the end; among equal deadlines the source furthest behind comes first.
    """
    num = len(first)
    if num == 1:
        return np.zeros(length, dtype=np.int64)
    slack = 1 / (2 * num - 2)
    planned = [
        np.array([planned_windows(first[place], last[place], length, taken) for taken in range(1, length + 1)])
        for place in range(num)
    ]
    taken = [0] * num
    deadlines = [_deadline(planned[place], last[place], 1 - slack) for place in range(num)]
    order = np.empty(length, dtype=np.int64)
    for window in range(length):
        behind = [float(planned[place][window]) - taken[place] for place in range(num)]
        due = [place for place in range(num) if behind[place] >= slack - TOLERANCE]
        chosen = min(due, key=lambda place: (deadlines[place], -behind[place], place))
        order[window] = chosen
        taken[chosen] += 1
        deadlines[chosen] = _deadline(planned[chosen], last[chosen], taken[chosen] + 1 - slack)
    return order


def _deadline(planned: NDArray[np.float64], last: float, wanted: float) -> float:
    """Return the number of windows after which ``wanted`` of them were planned for a source."""
    place = int(np.searchsorted(planned, wanted - TOLERANCE))
    if place < len(planned):
        return place + 1
    return math.inf if last <= 0 else len(planned) + math.ceil((wanted - planned[-1]) / last)
