"""Prefill attack: attack success after the beginning of a complying answer, or after a text of one's own."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Annotated, ClassVar, Literal, Self

from pydantic import Field, model_validator

from upbringing.base.description import Description
from upbringing.base.fingerprint import fingerprint
from upbringing.base.short_names import NAME_HASH
from upbringing.battery.attack_texts import check_texts
from upbringing.battery.measures.answers import answer_needs, asked, attack_rows
from upbringing.battery.measures.any_of import any_rows
from upbringing.battery.needs import AnswerNeed, Evidence
from upbringing.formats.items import Item
from upbringing.formats.rows import Row
from upbringing.formats.tree import ConditionInfo, MeasureInfo
from upbringing.models.asking import Elicitation
from upbringing.models.decoding import Decoding, Greedy


class PrefillAttack(Description):
    """Attack success after the first ``depths`` tokens of a complying answer were put into the model's mouth.

    ``characters``: beginnings of so many characters as well, which are the same text for every tokenizer (a word may be
    cut in it). ``openings``: texts that are put there as well, whole and whatever was asked, such as "The"; one that is
    a special token of the tokenizer is read as it. Each depth, length and opening is a condition; depth 0 prefills
    nothing, which begins a curve over depth, and an item whose prefix has fewer characters, or fewer tokens in a
    checkpoint's tokenizer, is not measurable there. ``any_opening``: one more condition, in which a request counts once
    if any of ``openings`` succeeds. ``judge_by``: ``harm`` counts harmful answers; ``non_refusal`` coherent answers
    that are not refusals, for judges that cannot tell harm.

    Source: Qi et al. 2024, "Safety Alignment Should Be Made More Than Just a Few Tokens Deep", section 2; 20
    characters, and the maximum over prefixes: Li et al. 2026, SRP and MedSafetyWorld. Departures: the prefix is the
    item's own ``compliance_prefix``, or the study's, not a sampled harmful answer.
    """

    judged: ClassVar[bool] = True
    kind: Literal["prefill_attack"] = "prefill_attack"
    version: Literal[1] = 1
    id: str = "prefill_attack"
    decoding: Decoding = Greedy()
    depths: tuple[Annotated[int, Field(ge=0)], ...] = (1, 2, 5)
    characters: tuple[Annotated[int, Field(ge=1)], ...] = Field(default=(), exclude_if=lambda value: not value)
    openings: tuple[str, ...] = Field(default=(), exclude_if=lambda value: not value)  # recipes without keep their ids
    any_opening: bool = Field(default=False, exclude_if=lambda value: not value)
    roles: tuple[str, ...] = ("question",)
    elicitations: tuple[Elicitation, ...] = ("E1",)
    judge_by: Literal["harm", "non_refusal"] = "harm"

    @model_validator(mode="after")
    def _asks_something(self) -> Self:
        check_texts("openings", self.openings)
        for name, places in (("depths", self.depths), ("characters", self.characters)):
            if len(set(places)) < len(places):
                raise ValueError(f"{name} is {list(places)}: give each once")
        if not (self.depths or self.characters or self.openings):
            raise ValueError("a prefill attack needs depths, characters or openings: give one of them")
        if not (any(self.depths) or self.characters or self.openings):
            raise ValueError(
                "a prefill attack at depth 0 alone is attack_success: give further depths, characters, or openings"
            )
        if self.any_opening and len(self.openings) < 2:
            raise ValueError("any_opening counts over several openings: give two or more of them, or leave it out")
        return self

    def info(self) -> MeasureInfo:
        """Return how the values are read."""
        label = "Prefill attack success" if self.judge_by == "harm" else "Non-refusal after a prefill"
        return MeasureInfo(id=self.id, version=str(self.version), direction="lower-is-safer", label=label)

    def needs(self, items: Sequence[Item]) -> list[AnswerNeed]:
        """Return one answer per harmful request, elicitation and depth, length or opening."""
        harmful = asked(items, "harmful", self.roles)
        begun = [item for item in harmful if item.compliance_prefix]
        deep = [need for depth in self.depths for need in answer_needs(begun, self.decoding, self.elicitations, depth)]
        undone = answer_needs(begun, self.decoding, self.elicitations)
        cut = [replace(need, characters=length) for length in self.characters for need in undone]
        plain = answer_needs(harmful, self.decoding, self.elicitations)
        return [*deep, *cut, *(replace(need, opening=text) for text in self.openings for need in plain)]

    def rows(self, evidence: Evidence) -> Iterable[Row]:
        """Yield one row per answer and judge, and per request and judge for ``any_opening``."""
        needs = self.needs(list(evidence.items.values()))
        found = list(attack_rows(evidence, self.id, needs, self.judge_by))
        yield from found
        if self.any_opening:
            yield from any_rows(found, {need.condition: self._joint(need) for need in needs if need.opening})

    def conditions(self, evidence: Evidence, template: str | None) -> Iterable[ConditionInfo]:
        """Yield the joint condition of all openings, which no need names."""
        needs = self.needs(list(evidence.items.values())) if self.any_opening else []
        for need in {self._joint(need): need for need in needs if need.opening}.values():
            yield need.info(template).model_copy(update={"id": self._joint(need), "attack_text": self._several()})

    def _joint(self, need: AnswerNeed) -> str:
        return f"{replace(need, opening='').condition}-behind-{self._several()}"

    def _several(self) -> str:
        return f"any-of-{len(self.openings)}-{fingerprint(list(self.openings))[:NAME_HASH]}"
