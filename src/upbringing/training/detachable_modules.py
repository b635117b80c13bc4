"""Modules that can be taken out of a network one by one, as they are declared: which data may move which of them."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import combinations
from typing import Self

from pydantic import Field, model_validator

from upbringing.base.description import Description
from upbringing.base.quantities import Share
from upbringing.data.modes import APART, FIRST_MODULE
from upbringing.training.forget_slice import ForgetSlice
from upbringing.training.mode_rules import ModeRule


class RoutedModule(Description):
    """A module: the ``slice`` that ``data`` alone move. ``data`` name what the stage reads (replay too)."""

    data: tuple[str, ...] = Field(min_length=1)
    slice: ForgetSlice


class DetachableModules(Description):
    """Route each kind of knowledge into units of its own, so that any of them can be taken out (``ablate``) and the
    rest stays: one training run for every subset.

    A window holds texts of one data set. Of a module's ``data``: its own module alone moves, and the others are off. Of
    all other data: everything but the modules moves, and every module is off. In the share ``together`` of the windows
    of each data set the same moves, but every module is on: what is there learns to work beside the rest.

    An update's gradient is the sum over its windows, each masked by its own mode. What gets no gradient in an update
    may still move by AdamW's momentum and weight decay.

    Source: Roland et al. 2026, "Modular Pretraining Enables Access Control" (gradient-routed auxiliary modules; from
    its abstract and summaries). Departures: modules are units of the declared width of each layer's feed-forward part,
    where the source adds units; what it leaves open here is stated: it switches modules on "sometimes" in other data,
    ``together`` is 10 % of the windows of all data, a module's own among them, spread evenly.
    """

    modules: dict[str, RoutedModule] = Field(min_length=1)
    together: Share = 0.1

    @model_validator(mode="after")
    def _apart(self) -> Self:
        for one, other in combinations(self.modules, 2):
            mine, theirs = self.modules[one], self.modules[other]
            both = [name for name in mine.data if name in theirs.data]
            if both:
                raise ValueError(f"{', '.join(both)} would move {one} and {other}: name each data set once")
            if mine.slice.overlaps(theirs.slice):
                raise ValueError(
                    f"the slices of {one} and {other} share units: give one of them an offset, the number of hidden "
                    "units that lie behind it"
                )
        return self

    def __hash__(self) -> int:
        """Return the hash of the modules, in their order."""
        return hash((tuple(self.modules.items()), self.together))

    @property
    def slices(self) -> tuple[ForgetSlice, ...]:
        """The modules' slices, in order."""
        return tuple(module.slice for module in self.modules.values())

    @property
    def labels(self) -> tuple[tuple[str, tuple[str, ...], int], ...]:
        """Name, data and mode of each module."""
        numbered = enumerate(self.modules.items())
        return tuple((name, module.data, FIRST_MODULE + 2 * place) for place, (name, module) in numbered)

    @property
    def rules(self) -> Mapping[int, ModeRule]:
        """What each mode reads with and moves."""
        every = frozenset(range(len(self.modules)))
        found = {APART: ModeRule(off=every, still=every), APART + 1: ModeRule(still=every)}
        for (_, _, mode), place in zip(self.labels, sorted(every), strict=True):
            found |= {mode: ModeRule(off=every - {place}, only=place), mode + 1: ModeRule(only=place)}
        return found
