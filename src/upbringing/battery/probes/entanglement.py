"""How far the direction of harm lies along the direction of another feature: what the prompts are about."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from upbringing.base.streams import stream
from upbringing.battery.probes.logistic import Flags, Numbers

FEWEST_OF_FAMILY = 4  # prompts of one kind inside a family, and outside: a mean of fewer is mostly noise
FEWEST_FAMILIES = 2  # with one there is nothing that harm could lie nearer to
ROUNDING = 1e-6  # of a state's size: a difference of means below that is what float32 leaves of equal states
DRAWS = 20  # of shuffled labels: the largest of several cosines is noisy where there is no direction


@dataclass(frozen=True)
class Contrasts:
    """Directions as weights of prompts: a direction is ``weights @ states``.

    ``weights`` (features, prompts): 1 / number for those inside, minus that for those outside. ``groups`` (features,
    prompts): which mean a prompt belongs to; -1 where it has no part in the feature.
    """

    names: tuple[str, ...]
    weights: Numbers
    groups: NDArray[np.int64]


def family_contrasts(families: Sequence[str | None], harmful: Flags) -> Contrasts:
    """Return the contrast of each family with all other prompts, within each kind of request and then averaged.

    Within kinds, so that a family with more harmful prompts than others does not point along harm. Kinds and families
    with fewer than four prompts inside or outside are left out.
    """
    names, weights, groups = [], [], []
    for name in sorted({family for family in families if family is not None}):
        inside = np.array([family == name for family in families])
        found, group, kinds = np.zeros(len(inside)), np.full(len(inside), -1), 0
        for kind in (True, False):
            sides = [inside & (harmful == kind), ~inside & (harmful == kind)]
            if min(int(side.sum()) for side in sides) < FEWEST_OF_FAMILY:
                continue
            kinds += 1
            for sign, side in zip((1.0, -1.0), sides, strict=True):
                found[side] = sign / side.sum()
                group[side] = 2 * kinds + (sign > 0)
        if kinds:
            names.append(name)
            weights.append(found / kinds)
            groups.append(group)
    size = (len(names), len(harmful))
    return Contrasts(tuple(names), np.array(weights).reshape(size), np.array(groups, dtype=np.int64).reshape(size))


def entanglement_parts(states: NDArray[np.float32], harmful: Flags, others: Contrasts) -> Numbers | None:
    """Return what each prompt says of the largest absolute cosine of the direction of harm to one of ``others``.

    ``states`` (prompts, width); harm is the difference of the means of harmful and benign prompts. The mean of the
    parts is the cosine, in [0, 1]; their spread is that of its estimate, given which feature is nearest (the
    infinitesimal jackknife, as in ``directions.cosine_parts``), where prompts are drawn whatever their family: with the
    same families every time it is smaller. ``None`` where harm, or every other feature, has no
    direction. The largest of several noisy cosines is above 0 where nothing is entangled: compare shuffled labels.
    """
    own = states.astype(np.float64)
    weights = np.where(harmful, 1.0 / max(1, int(harmful.sum())), -1.0 / max(1, int((~harmful).sum())))
    direction, directions = weights @ own, others.weights @ own
    length, lengths = float(np.linalg.norm(direction)), np.linalg.norm(directions, axis=1)
    least = ROUNDING * float(np.linalg.norm(own, axis=1).max(initial=0.0))
    if not length > least or not (lengths > least).any():
        return None
    with np.errstate(invalid="ignore", divide="ignore"):
        cosines = np.where(lengths > least, directions @ direction / (lengths * length), 0.0)
    nearest = int(np.argmax(np.abs(cosines)))
    cosine = float(cosines[nearest])
    units = direction / length, directions[nearest] / lengths[nearest]
    parts = np.full(len(own), cosine)
    parts += _influence(own, weights, harmful.astype(np.int64), (units[1] - cosine * units[0]) / length)
    slope = (units[0] - cosine * units[1]) / float(lengths[nearest])
    parts += _influence(own, others.weights[nearest], others.groups[nearest], slope)
    return parts if cosine >= 0 else -parts


def shuffled_parts(
    states: NDArray[np.float32], harmful: Flags, families: Sequence[str | None], others: Contrasts, seed: int
) -> Numbers | None:
    """Return the parts where harm is a label drawn anew, averaged over 20 draws: what no direction comes to.

    Labels are drawn within each family that has both kinds, and among all other prompts together. Stream:
    ``entanglement-shuffled-labels``.
    """
    random = stream(seed, "entanglement-shuffled-labels")
    total = np.zeros(len(harmful))
    pools = _pools(families, harmful)
    for _ in range(DRAWS):
        drawn = harmful.copy()
        for places in pools:
            drawn[places] = harmful[places][random.permutation(len(places))]
        parts = entanglement_parts(states, drawn, others)
        if parts is None:
            return None
        total += parts
    return total / DRAWS


def _influence(states: Numbers, weights: Numbers, groups: NDArray[np.int64], slope: Numbers) -> Numbers:
    """Return what each prompt adds to a number that moves along ``slope`` with its direction; each group sums to 0."""
    along = states @ slope
    centred = along.copy()
    for group in np.unique(groups):
        inside = groups == group
        centred[inside] -= along[inside].mean()
    found: Numbers = len(states) * weights * centred
    return found


def _pools(families: Sequence[str | None], harmful: Flags) -> list[NDArray[np.int64]]:
    members: dict[str | None, list[int]] = {}
    for place, family in enumerate(families):
        members.setdefault(family, []).append(place)
    mixed = {
        family
        for family, places in members.items()
        if family is not None and len({bool(harmful[place]) for place in places}) > 1
    }
    rest = [place for family, places in members.items() if family not in mixed for place in places]
    pools = [members[family] for family in sorted(mixed, key=str)]
    return [np.array(places, dtype=np.int64) for places in (*pools, sorted(rest)) if places]
