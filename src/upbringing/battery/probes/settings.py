"""What all measures by probes have in common: which prompts, tokens and layers, and how families are held out."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from typing import Annotated, Literal

from pydantic import Field

from upbringing.base.description import Description
from upbringing.battery.measures.answers import asked
from upbringing.battery.needs import StatesNeed
from upbringing.battery.probes.folds import FEWEST_FOLDS, HeldOut
from upbringing.formats.items import Item

PromptForm = Literal["chat", "question"]
Position = Literal["last", "mean"]


class StateSettings(Description):
    """Which prompts are read in which form, and on which layers.

    ``layers``: 0 is the embedding, the last stands behind the final norm; none named = all.
    """

    roles: tuple[str, ...] = ("question", "twin")
    forms: tuple[PromptForm, ...] = Field(default=("chat",), min_length=1)
    layers: tuple[Annotated[int, Field(ge=0)], ...] = ()

    def asked(self, items: Sequence[Item]) -> list[Item]:
        """Return the prompts, harmful and benign, in the order of their ids: nothing may depend on the file's order."""
        return sorted(asked(items, None, self.roles), key=lambda item: item.id)

    def states(self, items: Sequence[Item], *, fresh: bool) -> list[StatesNeed]:
        """Return the hidden states of every prompt, with ``fresh`` those of random weights as well."""
        chosen = self.asked(items)
        if len({item.request for item in chosen}) < 2:
            return []  # nothing to tell apart
        return [
            StatesNeed(item.id, form, is_fresh)
            for is_fresh in ((False, True) if fresh else (False,))
            for form in self.forms
            for item in chosen
        ]


class HeldOutSettings(StateSettings):
    """What is held out whole."""

    folds: int = Field(default=5, ge=FEWEST_FOLDS)
    held_out: HeldOut = "family"


class ProbeSettings(HeldOutSettings):
    """Logistic regression on frozen hidden states, tested on families it was not trained on.

    ``penalty``: of the squared weights of standardised columns. ``each_layer``: rows for every layer beside those for
    the layer that is chosen, fold by fold, on the other families.
    """

    positions: tuple[Position, ...] = Field(default=("last", "mean"), min_length=1)
    penalty: float = Field(default=1.0, gt=0)
    each_layer: bool = False

    @property
    def key(self) -> Hashable:
        """What decides the probes: measures that agree in it share them."""
        return (self.roles, self.layers, self.penalty, self.folds, self.held_out)
