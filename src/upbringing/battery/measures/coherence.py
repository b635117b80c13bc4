"""Coherence: whether what is generated can be judged at all."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import ClassVar, Literal

from upbringing.base.description import Description
from upbringing.battery.measures.answers import answer_needs, asked, outcome_rows
from upbringing.battery.needs import AnswerNeed, Evidence
from upbringing.formats.items import Item
from upbringing.formats.rows import Row
from upbringing.formats.tree import MeasureInfo
from upbringing.models.asking import Elicitation
from upbringing.models.decoding import Decoding, Greedy


class Coherence(Description):
    """Share of answers to benign requests that are coherent, refusals included: the gate of everything generated.

    Source: statistics-and-measures 5.1, P3: at least 0.80, else generation is not measurable. Departures: none.
    """

    judged: ClassVar[bool] = True
    kind: Literal["coherence"] = "coherence"
    version: Literal[1] = 1
    id: str = "coherence"
    decoding: Decoding = Greedy()
    roles: tuple[str, ...] = ("question",)
    elicitations: tuple[Elicitation, ...] = ("E1",)

    def info(self) -> MeasureInfo:
        """Return how the values are read."""
        return MeasureInfo(
            id=self.id,
            version=str(self.version),
            direction="higher-is-better",
            label="Coherent answers to benign requests",
            counts_incoherent=True,
        )

    def needs(self, items: Sequence[Item]) -> list[AnswerNeed]:
        """Return one answer per item and elicitation."""
        return answer_needs(asked(items, "benign", self.roles), self.decoding, self.elicitations)

    def rows(self, evidence: Evidence) -> Iterable[Row]:
        """Yield one row per answer and judge."""
        needs = self.needs(list(evidence.items.values()))
        return outcome_rows(
            evidence, self.id, needs, lambda judgement: judgement.outcome != "incoherent", incoherent=None
        )
