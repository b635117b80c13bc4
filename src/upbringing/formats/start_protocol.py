"""The protocol ``interior_optimum``: is it better to start an intervention in between than at once or never?

Its cells are the two ends, ``first`` (from the first token) and ``last`` (never), and the starts in between, each under
a name of its own. A curve through all starts proves no optimum in between; a start that beats both ends does.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final

from upbringing.formats.tree import ContrastSpec, Protocol

INTERIOR_OPTIMUM: Final = "interior_optimum"
ENDS: Final = ("first", "last")
END_WORDS: Mapping[str, str] = {"first": "the start at the first token", "last": "no start at all"}


def interior_starts(cells: Iterable[str]) -> tuple[str, ...]:
    """Return the names of the starts between the ends."""
    return tuple(name for name in cells if name not in ENDS)


def start_contrast_name(start: str, end: str) -> str:
    """Return the name of a contrast, by which its claim is found again."""
    return f"{INTERIOR_OPTIMUM}: {start} against {end}"


def start_contrasts(
    protocol: Protocol, primary: Iterable[str], margins: Mapping[str, float]
) -> tuple[ContrastSpec, ...]:
    """Return the contrast of every start in between with both ends, on every primary measure: one family."""
    return tuple(
        ContrastSpec(
            name=start_contrast_name(start, end),
            weights={protocol.cells[start]: 1.0, protocol.cells[end]: -1.0},
            measure=measure,
            role="primary",
            family=INTERIOR_OPTIMUM,
            test="difference",
            kind="branch",
            level="L2",
            margin=margins.get(measure),
        )
        for measure in primary
        for start in interior_starts(protocol.cells)
        for end in ENDS
        if end in protocol.cells
    )
