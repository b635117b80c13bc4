"""Margins as a study declares them: in a measure's unit, or as a ratio of rates where harm is rare."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Annotated

from pydantic import Field

from upbringing.battery.measure import Measure
from upbringing.formats.tree import ContrastSpec

RatioMargins = dict[str, Annotated[float, Field(gt=1)]]
SHARE = "share"
Problem = tuple[str, tuple[str | int, ...]]


def margins_problem(
    battery: Sequence[Measure],
    margins: Iterable[str],
    ratio_margins: Mapping[str, float],
    contrasts: Iterable[ContrastSpec],
) -> Problem | None:
    """Return what is wrong with the margins of a study, and where; ``None`` = nothing."""
    for name in ratio_margins:
        if name in margins:
            return f"{name!r} has a margin and a ratio margin: one decides, so keep one", ("ratio_margins", name)
    for measure in battery:
        if measure.id in ratio_margins and (unit := measure.info().unit) != SHARE:
            return f"{measure.id!r} is in {unit}: only rates have a ratio margin", ("ratio_margins", measure.id)
    for place, contrast in enumerate(contrasts):
        if problem := _of_contrast(contrast):
            return f"contrast {contrast.name!r} {problem}", ("contrasts", place)
    return None


def _of_contrast(contrast: ContrastSpec) -> str | None:
    margin, ratio = contrast.margin, contrast.ratio_margin
    if margin is not None and not 0 < margin < math.inf:
        return (
            f"has the margin {margin:g}: a margin is the smallest change that matters, above 0; leave it out where "
            "any change does"
        )
    if ratio is not None and not 1 < ratio < math.inf:
        return f"has the ratio margin {ratio:g}: it is how many times as frequent harm may be, above 1"
    return "has a margin and a ratio margin: one decides, so keep one" if None not in (margin, ratio) else None
