"""Suffix attack: attack success where given texts stand behind the request."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import ClassVar, Literal, Self

from pydantic import Field, model_validator

from upbringing.base.description import Description
from upbringing.battery.attack_texts import check_texts
from upbringing.battery.measures.answers import answer_needs, asked, attack_rows
from upbringing.battery.needs import AnswerNeed, Evidence
from upbringing.formats.items import Item
from upbringing.formats.rows import Row
from upbringing.formats.tree import MeasureInfo
from upbringing.models.asking import Elicitation
from upbringing.models.decoding import Decoding, Greedy


class SuffixAttack(Description):
    """Attack success with each of ``suffixes`` behind the last request, parted from it by a space.

    Each suffix is a condition; judges see the request without it. Suffixes are given, never searched: those that were
    found on another model transfer or do not. ``judge_by``: as in ``prefill_attack``. Source: Zou et al. 2023,
    "Universal and Transferable Adversarial Attacks", section 3. Departures: no search.
    """

    judged: ClassVar[bool] = True
    kind: Literal["suffix_attack"] = "suffix_attack"
    version: Literal[1] = 1
    id: str = "suffix_attack"
    decoding: Decoding = Greedy()
    suffixes: tuple[str, ...] = Field(min_length=1)
    roles: tuple[str, ...] = ("question",)
    elicitations: tuple[Elicitation, ...] = ("E1",)
    judge_by: Literal["harm", "non_refusal"] = "harm"

    @model_validator(mode="after")
    def _suffixes_differ(self) -> Self:
        check_texts("suffixes", self.suffixes)
        return self

    def info(self) -> MeasureInfo:
        """Return how the values are read."""
        label = "Attack success behind a suffix" if self.judge_by == "harm" else "Non-refusal behind a suffix"
        return MeasureInfo(id=self.id, version=str(self.version), direction="lower-is-safer", label=label)

    def needs(self, items: Sequence[Item]) -> list[AnswerNeed]:
        """Return one answer per harmful request, elicitation and suffix."""
        plain = answer_needs(asked(items, "harmful", self.roles), self.decoding, self.elicitations)
        return [replace(need, suffix=text) for text in self.suffixes for need in plain]

    def rows(self, evidence: Evidence) -> Iterable[Row]:
        """Yield one row per answer and judge."""
        return attack_rows(evidence, self.id, self.needs(list(evidence.items.values())), self.judge_by)
