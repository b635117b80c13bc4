"""Networks that read the same tokens together and speak as one: who they are, and the caches that they keep."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any


def members_of(network: Any) -> tuple[Any, ...]:
    """Return the networks that ``network`` (a ``models.lockstep.Lockstep``) is made of; any other is alone."""
    found: tuple[Any, ...] = getattr(network, "members", (network,))
    return found


class MemberCaches:
    """The caches of several networks that read the same rows, as one cache. ``parts``: one per network, in order."""

    def __init__(self, parts: Sequence[Any]) -> None:
        self.parts = tuple(parts)

    @property
    def layers(self) -> list[Any]:
        """The layers of all caches, one network after the other."""
        return [layer for part in self.parts for layer in part.layers]

    def update(self, keys: Any, values: Any, number: int) -> None:
        """Append ``keys`` and ``values`` (batch, heads, columns, width) to the layer ``number`` of all ``layers``."""
        self.layers[number].update(keys, values)

    def batch_repeat_interleave(self, repeats: int) -> None:
        """Repeat every row, in each cache."""
        for part in self.parts:
            part.batch_repeat_interleave(repeats)

    def batch_select_indices(self, indices: Any) -> None:
        """Keep the rows ``indices``, in each cache."""
        for part in self.parts:
            part.batch_select_indices(indices)
