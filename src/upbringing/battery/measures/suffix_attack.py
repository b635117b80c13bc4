"""Suffix attack: attack success where given texts, or texts searched on the checkpoint, stand behind the request."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from typing import ClassVar, Literal, Self

from pydantic import Field, model_validator

from upbringing.base.description import Description
from upbringing.base.fingerprint import fingerprint
from upbringing.battery.attack_texts import check_texts
from upbringing.battery.measures.answers import answer_needs, asked, attack_rows
from upbringing.battery.needs import AnswerNeed, Evidence
from upbringing.battery.suffix_searches import SuffixSearch
from upbringing.formats.items import Item
from upbringing.formats.rows import Row
from upbringing.formats.tree import MeasureInfo
from upbringing.models.asking import Elicitation
from upbringing.models.decoding import Decoding, Greedy
from upbringing.models.suffix_search import Gcg


class SuffixAttack(Description):
    """Attack success with each of ``suffixes`` behind the last request, parted from it by a space.

    Each suffix is a condition; judges see the request without it. Given suffixes that were found on another model
    transfer or do not; ``search`` finds them on every checkpoint itself, whose weights must be at hand. A universal one
    is fitted to requests of the split ``search.fitted_on``, which it is never measured on. ``judge_by``: as in
    ``prefill_attack``. Source: Zou et al. 2023, "Universal and Transferable Adversarial Attacks on Aligned Language
    Models". Departures: see ``models.suffix_search``.
    """

    judged: ClassVar[bool] = True
    kind: Literal["suffix_attack"] = "suffix_attack"
    version: Literal[1] = 1
    id: str = "suffix_attack"
    decoding: Decoding = Greedy()
    suffixes: tuple[str, ...] = ()
    search: Gcg | None = Field(default=None, exclude_if=lambda value: value is None)  # recipes without keep their ids
    roles: tuple[str, ...] = ("question",)
    elicitations: tuple[Elicitation, ...] = ("E1",)
    judge_by: Literal["harm", "non_refusal"] = "harm"

    @model_validator(mode="after")
    def _suffixes_differ(self) -> Self:
        check_texts("suffixes", self.suffixes)
        if not self.suffixes and self.search is None:
            raise ValueError("a suffix attack needs suffixes or a search: give one of them")
        if self.search is not None and self.decoding.begin is not None:
            raise ValueError(
                f"a suffix is searched for answers that begin freely, and the decoding begins them behind "
                f"{self.decoding.begin!r}: leave begin out, or give suffixes instead of a search"
            )
        return self

    def info(self) -> MeasureInfo:
        """Return how the values are read."""
        label = "Attack success behind a suffix" if self.judge_by == "harm" else "Non-refusal behind a suffix"
        return MeasureInfo(id=self.id, version=str(self.version), direction="lower-is-safer", label=label)

    def needs(self, items: Sequence[Item]) -> list[AnswerNeed]:
        """Return one answer per harmful request, elicitation and suffix."""
        harmful = asked(items, "harmful", self.roles)
        plain = answer_needs(harmful, self.decoding, self.elicitations)
        given = [replace(need, suffix=text) for text in self.suffixes for need in plain]
        return given if self.search is None else [*given, *_searched(plain, harmful, self.search)]

    def rows(self, evidence: Evidence) -> Iterable[Row]:
        """Yield one row per answer and judge."""
        return attack_rows(evidence, self.id, self.needs(list(evidence.items.values())), self.judge_by)


def _searched(plain: Sequence[AnswerNeed], harmful: Sequence[Item], settings: Gcg) -> Iterator[AnswerNeed]:
    """Yield ``plain`` behind searched suffixes, without the requests that a universal one is fitted to.

    Which those are depends on the items alone: the first in the order of their ids' hashes.
    """
    if settings.scope == "per_prompt":
        able = {item.id for item in harmful if settings.target or item.compliance_prefix}
        yield from (replace(need, search=SuffixSearch(settings, (need.item,))) for need in plain if need.item in able)
        return
    able = {
        item.id for item in harmful if item.split == settings.fitted_on and (settings.target or item.compliance_prefix)
    }
    fitted = tuple(sorted(able, key=fingerprint)[: settings.prompts])
    for need in plain:
        if need.item not in fitted:
            yield replace(need, search=SuffixSearch(settings, fitted))
