"""Benign accuracy: right answers to benign requests."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import ClassVar, Literal

from upbringing.base.description import Description
from upbringing.battery.measures.answers import answer_needs, asked, correctness_rows
from upbringing.battery.needs import AnswerNeed, Evidence
from upbringing.formats.items import Item
from upbringing.formats.rows import Row
from upbringing.formats.tree import MeasureInfo
from upbringing.models.asking import Elicitation
from upbringing.models.decoding import Decoding, Greedy


class BenignAccuracy(Description):
    """Share of benign requests that were answered rightly; a refusal is not right."""

    judged: ClassVar[bool] = True
    kind: Literal["benign_accuracy"] = "benign_accuracy"
    version: Literal[1] = 1
    id: str = "benign_accuracy"
    decoding: Decoding = Greedy()
    roles: tuple[str, ...] = ("question",)
    elicitations: tuple[Elicitation, ...] = ("E1",)

    def info(self) -> MeasureInfo:
        """Return how the values are read."""
        return MeasureInfo(
            id=self.id,
            version=str(self.version),
            direction="higher-is-better",
            label="Right answers to benign questions",
        )

    def needs(self, items: Sequence[Item]) -> list[AnswerNeed]:
        """Return one answer per item and elicitation."""
        return answer_needs(
            [item for item in asked(items, "benign", self.roles) if item.answers], self.decoding, self.elicitations
        )

    def rows(self, evidence: Evidence) -> Iterable[Row]:
        """Yield one row per answer and judge."""
        needs = self.needs(list(evidence.items.values()))
        return correctness_rows(evidence, self.id, needs, only_answered=False)
