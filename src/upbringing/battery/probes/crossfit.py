"""Scores of prompts by probes that have never seen their family, and what the other families say of a layer."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from upbringing.base.errors import MeasurementError
from upbringing.base.streams import stream
from upbringing.battery.probes.folds import Folds
from upbringing.battery.probes.logistic import Flags, Numbers, Standardised, fit_logistic
from upbringing.battery.probes.ranks import auroc

MOST_DRAWS = 100  # one is nearly always enough

Features = NDArray[np.float32]


def held_out_scores(features: Features, labels: Flags, folds: Folds, fold: int, penalty: float) -> Numbers:
    """Return the log-odds of the prompts in ``fold`` by a probe that is fitted on all other folds.

    Standardisation is fitted on the other folds as well. Classes count alike, so log-odds of different folds have the
    same zero.
    """
    inside = folds == fold
    standardised = Standardised.of(features[~inside])
    weights, intercept = fit_logistic(standardised.coordinates, labels[~inside], penalty)
    scores: Numbers = standardised.of_others(features[inside]) @ weights + intercept
    return scores


def inner_auroc(features: Features, labels: Flags, harmful: Flags, folds: Folds, fold: int) -> float:
    """Return how well prompts outside ``fold`` are told apart by a simple probe that has not seen their own fold.

    The simple probe is the difference of the class means of standardised features: good enough to choose by, and it
    costs nothing. ``fold`` is never touched, so a layer that is chosen by this number is not chosen on what it is
    tested on. ``labels`` train, ``harmful`` tests.
    """
    outside = np.flatnonzero(folds != fold)
    scores = np.zeros(len(folds))
    for inner in np.unique(folds[outside]):
        train, test = outside[folds[outside] != inner], outside[folds[outside] == inner]
        mean, scale = features[train].mean(axis=0), features[train].std(axis=0)
        scale = np.where(scale > 1e-6 * np.maximum(1.0, np.abs(mean)), scale, np.inf)
        standard = (features[train] - mean) / scale
        centres = [standard[labels[train] == kind].mean(axis=0) for kind in (True, False)]
        direction = centres[0] - centres[1]
        middle = (centres[0] + centres[1]) / 2
        length = float(np.linalg.norm(direction)) or 1.0
        scores[test] = ((features[test] - mean) / scale - middle) @ direction / length
    return auroc(scores[outside], harmful[outside])


def shuffled_labels(harmful: Flags, groups: NDArray[np.int64], folds: Folds, seed: int) -> Flags:
    """Return the labels drawn anew within each group that is held out whole, so every fold keeps its balance.

    Groups of one kind have nothing to shuffle: they exchange their labels as wholes. What would leave nothing to train
    on is drawn again. Stream: ``probe-shuffled-labels``.
    """
    random = stream(seed, "probe-shuffled-labels")
    members = [np.flatnonzero(groups == group) for group in np.unique(groups)]
    single = [places for places in members if len(set(harmful[places].tolist())) == 1]
    shuffled = harmful.copy()
    for _ in range(MOST_DRAWS):
        for places in members:
            shuffled[places] = harmful[places][random.permutation(len(places))]
        for places, drawn in zip(single, random.permutation(len(single)), strict=True):
            shuffled[places] = harmful[single[drawn][0]]
        if all(len(set(shuffled[folds != fold].tolist())) == 2 for fold in np.unique(folds)):
            return shuffled
    raise MeasurementError(f"{MOST_DRAWS} shuffles of the labels left a probe without one kind of prompt: add prompts")
