"""Ability: right answers given that there was an answer."""

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


class Ability(Description):
    """Share of right answers among the harmful requests that were answered: can it, apart from will it."""

    judged: ClassVar[bool] = True
    kind: Literal["ability"] = "ability"
    version: Literal[1] = 1
    id: str = "ability"
    decoding: Decoding = Greedy()
    roles: tuple[str, ...] = ("question",)
    elicitations: tuple[Elicitation, ...] = ("E1",)

    def info(self) -> MeasureInfo:
        """Return how the values are read."""
        return MeasureInfo(
            id=self.id, version=str(self.version), direction="neutral", label="Ability when answering hazards"
        )

    def needs(self, items: Sequence[Item]) -> list[AnswerNeed]:
        """Return one answer per item and elicitation."""
        return answer_needs(
            [item for item in asked(items, "harmful", self.roles) if item.answers], self.decoding, self.elicitations
        )

    def rows(self, evidence: Evidence) -> Iterable[Row]:
        """Yield one row per answer and judge."""
        needs = self.needs(list(evidence.items.values()))
        return correctness_rows(evidence, self.id, needs, only_answered=True)
