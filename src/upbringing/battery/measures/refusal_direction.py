"""Refusal direction: how far harmful and benign requests lie apart in the hidden states, against their spread."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import ClassVar, Literal

import numpy as np

from upbringing.battery.needs import Evidence, StatesNeed
from upbringing.battery.probes.conditions import condition_name, state_condition, unscored
from upbringing.battery.probes.directions import held_out_separations
from upbringing.battery.probes.prompts import HeldOutPrompts, features, held_out_prompts
from upbringing.battery.probes.settings import HeldOutSettings, PromptForm
from upbringing.formats.items import Item
from upbringing.formats.rows import Row
from upbringing.formats.tree import ConditionInfo, MeasureInfo


class RefusalDirection(HeldOutSettings):
    """Length of the difference of means (harmful minus benign, last prompt token) in every layer, in units of the
    spread of prompts around the mean of their kind.

    Direction, middle and spread come from other families than the prompt that is read, so without a direction the
    expected value is 0; the plain length never is. Each row is what one prompt says of the length, and their mean is
    the estimate. A direction that grew is no cause: see ``refusal_steering``. Source: Arditi et al. 2024. Departures:
    held-out prompts.
    """

    judged: ClassVar[bool] = False
    kind: Literal["refusal_direction"] = "refusal_direction"
    version: Literal[1] = 1
    id: str = "refusal_direction"

    def info(self) -> MeasureInfo:
        """Return how the values are read."""
        return MeasureInfo(
            id=self.id, version=str(self.version), unit="spreads", direction="neutral", label="Refusal direction"
        )

    def needs(self, items: Sequence[Item]) -> list[StatesNeed]:
        """Return the hidden states of every prompt."""
        return self.states(items, fresh=False)

    def conditions(self, evidence: Evidence, template: str | None) -> Iterable[ConditionInfo]:
        """Return one condition per form and layer."""
        names = {name: form for form, _, _, name in self._layers(evidence)}
        return [state_condition(name, form, template) for name, form in names.items()]

    def rows(self, evidence: Evidence) -> Iterable[Row]:
        """Yield one row per form, layer and prompt."""
        for form, prompts, layer, name in self._layers(evidence):
            if isinstance(prompts, str):
                for item in self.asked(list(evidence.items.values())):
                    yield unscored(evidence, self.id, name, item, prompts)
                continue
            states = features(evidence, prompts.items, form, "last", layer)
            harmful = np.array([item.request == "harmful" for item in prompts.items], dtype=np.bool_)
            found = held_out_separations(states, harmful, prompts.folds)
            for place, item in enumerate(prompts.items):
                if found is None:
                    yield unscored(evidence, self.id, name, item, "no-direction")
                else:
                    yield Row(
                        checkpoint=evidence.checkpoint,
                        measure=self.id,
                        condition=name,
                        item=item.id,
                        value=float(found[place]),
                    )

    def _layers(self, evidence: Evidence) -> Iterator[tuple[PromptForm, HeldOutPrompts | str, int, str]]:
        """Yield (form, prompts or why there are none, layer, condition)."""
        for form in self.forms if self.states(list(evidence.items.values()), fresh=False) else ():
            prompts = held_out_prompts(evidence, self, form)
            if isinstance(prompts, str):
                yield form, prompts, 0, f"{form}-states"
                continue
            num = len(evidence.states[StatesNeed(prompts.items[0].id, form)].last)
            for layer in self.layers or range(num):
                if layer < num:
                    yield form, prompts, layer, condition_name(form, "last", layer, num)
                else:
                    yield form, "no-such-layer", layer, f"{form}-last-token-layer-{layer}"
