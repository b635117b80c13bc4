"""Whether what a tree refers to is in it: a cell on a checkpoint that nobody listed would be a run that vanishes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from upbringing.base.errors import FormatError
from upbringing.base.nearest import did_you_mean


def require_listed(checkpoints: Iterable[str], cells: Iterable[tuple[str, str]]) -> None:
    """Raise ``FormatError`` for a checkpoint that is listed twice, and for a cell on one that is not listed.

    ``cells``: name and checkpoint of each. Ancestors need not be listed.
    """
    counted = Counter(checkpoints)
    if twice := next((each for each, count in counted.items() if count > 1), None):
        raise FormatError(f"tree.json lists the checkpoint {twice!r} twice: which of both is meant?")
    for name, checkpoint in cells:
        if checkpoint not in counted:
            raise FormatError(
                f"tree.json: the cell {name!r} is filled by the checkpoint {checkpoint!r}, which is not listed under "
                f"checkpoints{did_you_mean(checkpoint, counted)}"
            )
