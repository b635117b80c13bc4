"""Selective gradient masking, as it is declared: which data may move which weights."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, Self

from pydantic import Field, model_validator

from upbringing.base.description import Description
from upbringing.data.modes import DEFAULT, FORGET, RETAIN
from upbringing.training.forget_slice import ForgetSlice
from upbringing.training.mode_rules import ModeRule


class GradientMasking(Description):
    """Let a slice of the weights alone learn from the data to forget, so that taking it out (``ablate``) removes that.

    ``forget`` and ``retain`` name data sets that the stage reads (replay too); a window holds texts of one data set, so
    it has one mode. *Forget*: gradients outside the slice are zeroed. *Retain*: the slice is switched off in the
    forward pass, so that nothing moves it. All other data (*default*) move everything. ``forget_moves``: whether forget
    windows move the ``slice`` alone, or also what no slice is cut out of (``slice_and_shared``): embeddings, norms, the
    head, layers without a slice. The source did either.

    An update's gradient is the sum over its windows, each masked by its own mode. What gets no gradient in an update
    may still move by AdamW's momentum and weight decay, as in the source.

    Source: Shilov et al. 2025, "Beyond Data Filtering: Knowledge Localization for Capability Removal in LLMs" (SGTM;
    parameter masking with a joint optimiser). Departures: an update mixes modes by the shares of its data, where the
    source gives each update one; a share of the retain data that is labelled is a data set of its own, where the
    source draws it; ``slice`` keeps the last norm and an untied head too; gradients are clipped after masking.
    """

    forget: tuple[str, ...] = Field(min_length=1)
    retain: tuple[str, ...] = ()
    slice: ForgetSlice
    forget_moves: Literal["slice", "slice_and_shared"] = "slice"

    @model_validator(mode="after")
    def _one_mode_each(self) -> Self:
        both = [name for name in self.forget if name in self.retain]
        if both:
            raise ValueError(f"{', '.join(both)} cannot be both forget and retain: name each data set once")
        return self

    @property
    def slices(self) -> tuple[ForgetSlice, ...]:
        """The one slice."""
        return (self.slice,)

    @property
    def labels(self) -> tuple[tuple[str, tuple[str, ...], int], ...]:
        """Field, data and mode of what is labelled."""
        return ("forget", self.forget, FORGET), ("retain", self.retain, RETAIN)

    @property
    def rules(self) -> Mapping[int, ModeRule]:
        """What each mode reads with and moves."""
        own = frozenset({0})
        return {
            DEFAULT: ModeRule(),
            FORGET: ModeRule(only=0, moves_shared=self.forget_moves == "slice_and_shared"),
            RETAIN: ModeRule(off=own, still=own),
        }
