"""How well a reward model ranks: accuracy and calibration per policy, on pairs it never read and on pairs it did."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from statistics import fmean

import numpy as np
from numpy.typing import NDArray

from upbringing.data.compared import Compared
from upbringing.formats.record import BuildProfile, ReliabilityBin, RewardGroup
from upbringing.models.rewarding import open_reward_model, rewards_of
from upbringing.training.isolation import isolated

NUM_BINS = 10  # of [0.5, 1], equally wide
CHANCE = 0.5
ALL = "all"


def ranking(folder: Path, pairs: Sequence[Compared], profile: BuildProfile) -> tuple[RewardGroup, ...]:
    """Return how well the saved reward model in ``folder`` ranks ``pairs``, computed in fp32: held-out pairs first.

    The group ``all`` stands before the groups of single policies and teachers, which are sorted by name.
    """
    with isolated(profile):
        model = open_reward_model(folder, profile=profile, check=False).model
        chosen = rewards_of(model, [(*pair.prompt, *pair.chosen) for pair in pairs])
        rejected = rewards_of(model, [(*pair.prompt, *pair.rejected) for pair in pairs])
    return tuple(_groups(pairs, (chosen - rejected).astype(np.float64)))


def _groups(pairs: Sequence[Compared], margins: NDArray[np.float64]) -> Iterator[RewardGroup]:
    for held_out in (True, False):
        here = [place for place, pair in enumerate(pairs) if pair.held_out == held_out]
        names = sorted({(pairs[place].policy, pairs[place].teacher) for place in here})
        if not here:
            continue
        yield _group((ALL, ALL), held_out, [pairs[place] for place in here], margins[here])
        for name in names:
            places = [place for place in here if (pairs[place].policy, pairs[place].teacher) == name]
            yield _group(name, held_out, [pairs[place] for place in places], margins[places])


def _group(
    name: tuple[str, str], held_out: bool, pairs: Sequence[Compared], margins: NDArray[np.float64]
) -> RewardGroup:
    bins = reliability(margins)
    unequal = [
        (bool(margin > 0), len(pair.chosen) > len(pair.rejected))
        for pair, margin in zip(pairs, margins, strict=True)
        if len(pair.chosen) != len(pair.rejected)
    ]
    return RewardGroup(
        policy=name[0],
        teacher=name[1],
        held_out=held_out,
        num_pairs=len(pairs),
        accuracy=accuracy(margins),
        calibration_error=calibration_error(bins),
        bins=bins,
        mean_margin=float(margins.mean()),
        longer_wins=fmean(wins == longer for wins, longer in unequal) if unequal else None,
        longer_chosen=fmean(longer for _, longer in unequal) if unequal else None,
    )


def accuracy(margins: NDArray[np.float64]) -> float:
    """Return the share of margins (reward of the chosen less that of the rejected) above 0, ties half."""
    return float(((margins > 0) + CHANCE * (margins == 0)).mean())


def reliability(margins: NDArray[np.float64]) -> tuple[ReliabilityBin, ...]:
    """Return the bins of confidence that hold any pair, in rising order.

    P(chosen) is the logistic function of the margin; confidence is the larger of P and 1 - P, and a pair is ranked
    rightly where P is above one half (ties half). Source: Guo et al. 2017, section 2. Departures: bins of [0.5, 1].
    """
    confidence = 1.0 / (1.0 + np.exp(-np.abs(margins)))
    right = (margins > 0) + CHANCE * (margins == 0)
    places = np.minimum(((confidence - CHANCE) * 2 * NUM_BINS).astype(int), NUM_BINS - 1)
    return tuple(
        ReliabilityBin(
            confidence=float(confidence[places == place].mean()),
            accuracy=float(right[places == place].mean()),
            num_pairs=int((places == place).sum()),
        )
        for place in range(NUM_BINS)
        if (places == place).any()
    )


def calibration_error(bins: Sequence[ReliabilityBin]) -> float:
    """Return the mean distance of accuracy from confidence over the bins, weighted by their pairs."""
    total = sum(each.num_pairs for each in bins)
    return sum(each.num_pairs * abs(each.accuracy - each.confidence) for each in bins) / total


def ranking_warnings(groups: Sequence[RewardGroup]) -> tuple[str, ...]:
    """Return a warning where held-out pairs of any policy are ranked no better than by chance: it would pay noise."""
    return tuple(
        f"the reward model ranks {group.accuracy:.0%} of {group.num_pairs} held-out pairs of {group.policy} rightly, "
        "no better than chance"
        for group in groups
        if group.held_out and group.accuracy <= CHANCE
    )
