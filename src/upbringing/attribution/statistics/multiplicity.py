"""Many tests at once: Holm for the confirmatory family, Benjamini-Hochberg for the rest."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

PRIMARY_LEVEL = 0.05
EXPLORATORY_LEVEL = 0.10


def holm(p_values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return Holm's adjusted p-values, in the order given."""
    num = len(p_values)
    order = np.argsort(p_values, kind="stable")
    steps = (num - np.arange(num)) * p_values[order]
    adjusted = np.empty(num)
    adjusted[order] = np.minimum(np.maximum.accumulate(steps), 1.0)
    return adjusted


def benjamini_hochberg(p_values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return Benjamini and Hochberg's adjusted p-values (false discovery rate), in the order given."""
    num = len(p_values)
    order = np.argsort(p_values, kind="stable")
    steps = p_values[order] * num / np.arange(1, num + 1)
    adjusted = np.empty(num)
    adjusted[order] = np.minimum(np.minimum.accumulate(steps[::-1])[::-1], 1.0)
    return adjusted
