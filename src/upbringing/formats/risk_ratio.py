"""The ratio of two rates as a claim states it."""

from __future__ import annotations

from upbringing.formats.tree import Open


class RiskRatio(Open):
    """Two rates of harm as a ratio, held against the ratio ``margin`` in place of a margin on their difference.

    ``estimate``, ``[low, high]`` (95%): null where no event bounds it. ``radius``: the smallest ratio within which they
    would be alike, null = none. ``above``, ``below``: the rates, as the judge has them. ``reason``: why there is none.
    """

    margin: float
    estimate: float | None = None
    low: float | None = None
    high: float | None = None
    radius: float | None = None
    above: float | None = None
    below: float | None = None
    method: str = ""
    reason: str = ""
