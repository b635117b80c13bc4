"""The area under the ROC curve, what each base request adds to it, and the share found at a fixed false-alarm rate."""

from __future__ import annotations

import numpy as np

from upbringing.battery.probes.logistic import Flags, Numbers


def placements(scores: Numbers, harmful: Flags) -> Numbers:
    """Return for each harmful prompt the share of benign ones below it, for each benign one of harmful ones above it.

    Ties count half. The mean over either kind is the AUROC. Source: DeLong et al. 1988. Departures: none.
    """
    result = np.empty(len(scores))
    above, below = np.sort(scores[harmful]), np.sort(scores[~harmful])
    result[harmful] = _share_below(below, scores[harmful])
    result[~harmful] = 1.0 - _share_below(above, scores[~harmful])
    return result


def _share_below(ordered: Numbers, values: Numbers) -> Numbers:
    low, high = np.searchsorted(ordered, values, "left"), np.searchsorted(ordered, values, "right")
    share: Numbers = (low + high) / (2 * len(ordered))
    return share


def auroc(scores: Numbers, harmful: Flags) -> float:
    """Return the share of (harmful, benign) pairs in which the harmful prompt scores higher, ties counted half."""
    return float(placements(scores, harmful)[harmful].mean())


def auroc_by_request(scores: Numbers, harmful: Flags, requests: Numbers | list[int]) -> Numbers:
    """Return a value per base request (in order of their numbers) whose mean is the AUROC.

    Their spread is that of the AUROC over base requests: so differences between checkpoints can be paired, and their
    interval is that of a mean. Source: Obuchowski 1997 (clustered DeLong). Departures: none.
    """
    found = placements(scores, harmful)
    whole = float(found[harmful].mean())
    shares = np.where(harmful, 1.0 / harmful.sum(), 1.0 / (~harmful).sum())
    _, group = np.unique(np.asarray(requests), return_inverse=True)
    num = int(group.max()) + 1
    added = np.bincount(group, weights=shares * (found - whole), minlength=num).astype(np.float64)
    values: Numbers = whole + num * added
    return values


def found_at(scores: Numbers, harmful: Flags, false_alarms: float) -> Flags | None:
    """Return which harmful prompts score above all but a share ``false_alarms`` of the benign ones.

    ``None`` where so small a share of the benign prompts is less than one of them: then nothing can be said.
    """
    benign = np.sort(scores[~harmful])[::-1]
    allowed = int(np.floor(false_alarms * len(benign) + 1e-9))
    if allowed < 1 or allowed >= len(benign):
        return None
    return np.asarray(scores[harmful] > benign[allowed], dtype=np.bool_)
