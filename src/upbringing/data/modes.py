"""What a window may move where updates are masked: its mode, one number per window."""

from __future__ import annotations

from collections.abc import Mapping
from math import floor

DEFAULT, FORGET, RETAIN = range(3)  # everything moves; only the forget slice; everything but it, which is switched off

# With detachable modules an even mode switches off all modules that are not meant, and the odd one behind it none.
APART = DEFAULT  # of data that no module is meant for
FIRST_MODULE = 2  # of the first module's own data; those of the others follow, two numbers each


def window_mode(modes: Mapping[str, int], together: float, key: str, number: int) -> int:
    """Return the mode of the window of a data set that comes after ``number`` others of it in its phase.

    ``modes``: by key of the data, where it is not the default. ``together``: the share of windows that are read with
    all modules switched on, spread evenly over each data set, without chance.
    """
    is_together = floor((number + 1) * together) > floor(number * together)
    return modes.get(key, DEFAULT) + is_together
