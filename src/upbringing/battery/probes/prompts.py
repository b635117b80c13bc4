"""The prompts of a checkpoint whose hidden states could be read, and which of them are held out together."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from upbringing.battery.needs import Evidence, StatesNeed
from upbringing.battery.probes.crossfit import Features
from upbringing.battery.probes.folds import Folds, assigned_folds, held_out_groups
from upbringing.battery.probes.logistic import Flags
from upbringing.battery.probes.settings import HeldOutSettings, Position, PromptForm
from upbringing.formats.items import Item

FEWEST_PROMPTS = 8  # of either kind; fewer leave folds with one


@dataclass(frozen=True)
class HeldOutPrompts:
    """``items`` by id, the fold of each, and the group that it is held out with."""

    items: tuple[Item, ...]
    folds: Folds
    groups: NDArray[np.int64]

    @property
    def harmful(self) -> Flags:
        """Which prompts are harmful."""
        return np.array([item.request == "harmful" for item in self.items], dtype=np.bool_)


def held_out_prompts(evidence: Evidence, settings: HeldOutSettings, form: PromptForm) -> HeldOutPrompts | str:
    """Return the prompts of ``form`` in folds, or the reason why they give none."""
    asked = settings.asked(list(evidence.items.values()))
    items = tuple(item for item in asked if StatesNeed(item.id, form) in evidence.states)
    if not items and asked:
        return evidence.unable.get(StatesNeed(asked[0].id, form), "no-hidden-states")
    kinds = [sum(item.request == kind for item in items) for kind in ("harmful", "benign")]
    if min(kinds) < FEWEST_PROMPTS:
        return "too-few-prompts"
    groups = held_out_groups(items, settings.held_out)
    folds = assigned_folds(items, groups, settings.folds, evidence.seed)
    if folds is None:
        return "too-few-families"
    return HeldOutPrompts(items, folds, np.array(groups, dtype=np.int64))


def features(
    evidence: Evidence,
    items: Sequence[Item],
    form: PromptForm,
    position: Position,
    layer: int,
    *,
    is_fresh: bool = False,
) -> Features:
    """Return a layer's hidden states (prompts, width) of the checkpoint, or of its architecture with random weights."""
    found = [evidence.states[StatesNeed(item.id, form, is_fresh)] for item in items]
    return np.stack([(each.last if position == "last" else each.mean)[layer] for each in found])
