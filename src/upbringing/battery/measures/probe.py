"""Probe: whether hidden states tell harmful requests from benign ones of families that the probe has not seen."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import ClassVar, Literal

from upbringing.battery.needs import Evidence, StatesNeed
from upbringing.battery.probes.conditions import probed_forms, probed_layers, state_condition, unread
from upbringing.battery.probes.settings import ProbeSettings
from upbringing.formats.items import Item
from upbringing.formats.rows import Row
from upbringing.formats.tree import ConditionInfo, MeasureInfo


class Probe(ProbeSettings):
    """AUROC of a linear probe on every layer, and on the layer chosen on other families.

    Each row is the log-odds of one prompt by the probe that was fitted without its family; attribution computes the
    AUROC, so checkpoints are compared prompt by prompt. A raw AUROC is high even where nothing was learned: read it
    beside ``probe_gain``.
    """

    judged: ClassVar[bool] = False
    kind: Literal["probe"] = "probe"
    version: Literal[1] = 1
    id: str = "probe"
    each_layer: bool = True

    def info(self) -> MeasureInfo:
        """Return how the values are read."""
        return MeasureInfo(
            id=self.id,
            version=str(self.version),
            unit="AUROC",
            direction="neutral",
            estimator="auroc",
            label="Harm told from hidden states",
        )

    def needs(self, items: Sequence[Item]) -> list[StatesNeed]:
        """Return the hidden states of every prompt."""
        return self.states(items, fresh=False)

    def conditions(self, evidence: Evidence, template: str | None) -> Iterable[ConditionInfo]:
        """Return one condition per form, position and layer."""
        for form, found in probed_forms(evidence, self):
            if isinstance(found, str):
                yield state_condition(f"{form}-states", form, template)
            else:
                for _, _, name in probed_layers(self, found):
                    yield state_condition(name, form, template)

    def rows(self, evidence: Evidence) -> Iterable[Row]:
        """Yield one row per condition and prompt."""
        for form, found in probed_forms(evidence, self):
            yield from unread(evidence, self, self.id, form, found)
            if isinstance(found, str):
                continue
            for position, layer, name in probed_layers(self, found):
                for item, score in zip(found.items, found.scores(position, layer).tolist(), strict=True):
                    yield Row(
                        checkpoint=evidence.checkpoint, measure=self.id, condition=name, item=item.id, value=score
                    )
