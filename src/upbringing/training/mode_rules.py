"""What a window of one mode reads with and moves: masking of any kind is slices of the weights and such rules."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class ModeRule:
    """The rule of one mode; slices by their numbers.

    ``off``: slices that are switched off in the forward pass. ``still``: those that do not move. ``only``: the one that
    alone moves (``None`` = all but ``still``), with what no slice is cut out of if ``moves_shared``.
    """

    off: frozenset[int] = frozenset()
    still: frozenset[int] = frozenset()
    only: int | None = None
    moves_shared: bool = False
