"""Refusal direction: how far harmful and benign requests lie apart in the hidden states, against their spread."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from upbringing.battery.needs import Evidence, StatesNeed
from upbringing.battery.probes.conditions import condition_name, state_condition, unscored
from upbringing.battery.probes.crossfit import inner_auroc
from upbringing.battery.probes.directions import held_out_separations
from upbringing.battery.probes.probing import Layer
from upbringing.battery.probes.prompts import HeldOutPrompts, features, held_out_prompts
from upbringing.battery.probes.settings import HeldOutSettings, PromptForm
from upbringing.formats.items import Item
from upbringing.formats.rows import Row
from upbringing.formats.steering import DIRECTION_UNIT
from upbringing.formats.tree import ConditionInfo, MeasureInfo


class RefusalDirection(HeldOutSettings):
    """Length of the difference of means (harmful minus benign, last prompt token) in every layer, and in the one chosen
    on other families, in units of the spread of prompts around the mean of their kind.

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
            id=self.id, version=str(self.version), unit=DIRECTION_UNIT, direction="neutral", label="Refusal direction"
        )

    def needs(self, items: Sequence[Item]) -> list[StatesNeed]:
        """Return the hidden states of every prompt."""
        return self.states(items, fresh=False)

    def conditions(self, evidence: Evidence, template: str | None) -> Iterable[ConditionInfo]:
        """Return one condition per form and layer, the chosen one first."""
        for form, prompts in self._forms(evidence):
            names = [f"{form}-states"] if isinstance(prompts, str) else self._names(evidence, form, prompts).values()
            yield from (state_condition(name, form, template) for name in names)

    def rows(self, evidence: Evidence) -> Iterable[Row]:
        """Yield one row per form, layer and prompt."""
        for form, prompts in self._forms(evidence):
            if isinstance(prompts, str):
                for item in self.asked(list(evidence.items.values())):
                    yield unscored(evidence, self.id, f"{form}-states", item, prompts)
                continue
            names = self._names(evidence, form, prompts)
            found = self._separations(evidence, form, prompts, [each for each in names if isinstance(each, int)])
            for layer, name in names.items():
                yield from self._rows(evidence, name, prompts, found[layer])

    def _forms(self, evidence: Evidence) -> Iterator[tuple[PromptForm, HeldOutPrompts | str]]:
        """Yield each form with its prompts, or with why there are none."""
        for form in self.forms if self.states(list(evidence.items.values()), fresh=False) else ():
            prompts = held_out_prompts(evidence, self, form)
            if not isinstance(prompts, str) and len(self._names(evidence, form, prompts)) == 1:
                prompts = "no-such-layer"
            yield form, prompts

    def _names(self, evidence: Evidence, form: PromptForm, prompts: HeldOutPrompts) -> dict[Layer, str]:
        num = len(evidence.states[StatesNeed(prompts.items[0].id, form)].last)
        layers: list[Layer] = ["chosen", *(layer for layer in self.layers or range(num) if layer < num)]
        return {layer: condition_name(form, "last", layer, num) for layer in layers}

    def _separations(
        self, evidence: Evidence, form: PromptForm, prompts: HeldOutPrompts, layers: Sequence[int]
    ) -> dict[Layer, NDArray[np.float64] | None]:
        """Return what each prompt says of each layer; the chosen one is chosen for each fold on the other folds."""
        found: dict[Layer, NDArray[np.float64] | None] = {}
        chosen = np.zeros(len(prompts.items))
        best = np.full(len(prompts.items), -1.0)
        for layer in layers:
            states = features(evidence, prompts.items, form, "last", layer)
            values = held_out_separations(states, prompts.harmful, prompts.folds)
            found[layer] = values
            for fold in np.unique(prompts.folds) if values is not None else ():
                inside = prompts.folds == fold
                known = inner_auroc(states, prompts.harmful, prompts.harmful, prompts.folds, fold)
                if values is not None and known > best[inside][0]:
                    best[inside], chosen[inside] = known, values[inside]
        return {"chosen": chosen if (best >= 0).all() else None, **found}

    def _rows(
        self, evidence: Evidence, condition: str, prompts: HeldOutPrompts, values: NDArray[np.float64] | None
    ) -> Iterator[Row]:
        for place, item in enumerate(prompts.items):
            if values is None:
                yield unscored(evidence, self.id, condition, item, "no-direction")
            else:
                value = float(values[place])
                yield Row(
                    checkpoint=evidence.checkpoint, measure=self.id, condition=condition, item=item.id, value=value
                )
