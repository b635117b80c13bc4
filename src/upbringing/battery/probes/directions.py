"""The direction between two kinds of prompts: the difference of their means, and how long it is."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from upbringing.base.errors import MeasurementError


def difference_of_means(harmful: NDArray[np.float32], benign: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return mean(harmful) - mean(benign) over the first axis; raises ``MeasurementError`` where one kind is empty."""
    if not len(harmful) or not len(benign):
        raise MeasurementError(
            f"a direction needs both kinds of prompts; there are {len(harmful)} harmful and {len(benign)} benign ones"
        )
    difference: NDArray[np.float32] = (
        harmful.mean(axis=0, dtype=np.float64) - benign.mean(axis=0, dtype=np.float64)
    ).astype(np.float32)
    return difference


def spread(harmful: NDArray[np.float32], benign: NDArray[np.float32]) -> float:
    """Return the root of the mean squared distance of prompts (prompts, width) from the mean of their kind."""
    squares = [
        float(((kind.astype(np.float64) - kind.mean(axis=0, dtype=np.float64)) ** 2).sum())
        for kind in (harmful, benign)
    ]
    return float(np.sqrt(sum(squares) / (len(harmful) + len(benign))))


def cosines(direction: NDArray[np.float32], reference: NDArray[np.float32]) -> NDArray[np.float64]:
    """Return the cosine of two checkpoints' directions in each layer (layers, width); NaN where one is no direction.

    Raises ``MeasurementError`` for networks of different depth or width, whose directions lie in different spaces.
    """
    if direction.shape != reference.shape:
        raise MeasurementError(
            f"the directions have (layers, width) {direction.shape} and {reference.shape}: only checkpoints of one "
            "architecture have directions that can be compared"
        )
    one, other = direction.astype(np.float64), reference.astype(np.float64)
    lengths = np.linalg.norm(one, axis=1) * np.linalg.norm(other, axis=1)
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(lengths > 0, (one * other).sum(axis=1) / lengths, np.nan)


def held_out_separations(
    states: NDArray[np.float32], harmful: NDArray[np.bool_], folds: NDArray[np.int64]
) -> NDArray[np.float64] | None:
    """Return for each prompt what it says of how far the kinds lie apart, in spreads; ``None`` without a direction.

    Twice the part of (prompt - middle) along the direction, counted towards the prompt's own kind: its mean over both
    kinds is the distance of their means along the direction. Direction, middle and spread are those of the other folds.
    """
    values = np.empty(len(states))
    for fold in np.unique(folds):
        inside = folds == fold
        kinds = states[~inside & harmful], states[~inside & ~harmful]
        direction = difference_of_means(*kinds).astype(np.float64)
        length, width = float(np.linalg.norm(direction)), spread(*kinds)
        if not length > 0 or not width > 0:
            return None
        middle = (kinds[0].mean(axis=0, dtype=np.float64) + kinds[1].mean(axis=0, dtype=np.float64)) / 2
        along = (states[inside].astype(np.float64) - middle) @ direction / length / width
        values[inside] = 2 * np.where(harmful[inside], along, -along)
    return values
