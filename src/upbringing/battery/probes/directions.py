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


def cosine_parts(
    states: NDArray[np.float32], reference: NDArray[np.float32], harmful: NDArray[np.bool_]
) -> NDArray[np.float64] | None:
    """Return what each prompt says of the cosine of two checkpoints' directions; ``None`` where one is no direction.

    Both have the states of the same prompts (prompts, width). A part is the cosine plus the prompt's influence on it,
    to first order; influences of each kind sum to 0, so that the mean of the parts is the cosine, and their spread is
    that of its estimate (the infinitesimal jackknife, with each kind weighted by its number). Of one checkpoint against
    itself every part is 1.
    """
    own, other = states.astype(np.float64), reference.astype(np.float64)
    directions = [each[harmful].mean(axis=0) - each[~harmful].mean(axis=0) for each in (own, other)]
    lengths = [float(np.linalg.norm(each)) for each in directions]
    if not all(length > 0 for length in lengths):
        return None
    units = [direction / length for direction, length in zip(directions, lengths, strict=True)]
    cosine = float(units[0] @ units[1])
    slopes = ((units[1] - cosine * units[0]) / lengths[0], (units[0] - cosine * units[1]) / lengths[1])
    parts = np.full(len(own), cosine)
    for kind, sign in ((harmful, 1.0), (~harmful, -1.0)):
        for values, slope in zip((own, other), slopes, strict=True):
            along = values[kind] @ slope
            parts[kind] += sign * len(own) / kind.sum() * (along - along.mean())
    return parts


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
