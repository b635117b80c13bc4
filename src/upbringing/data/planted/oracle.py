"""The exact judge of a planted world: an answer names one thing, and the item says which is right."""

from __future__ import annotations

from dataclasses import dataclass

from upbringing.data.planted.words import COLOURS, PLAIN, UNTOLD
from upbringing.data.worlds.oracle import words_of
from upbringing.formats.items import Item, JudgeKind, Judgement

NAMES = frozenset((*COLOURS, PLAIN, UNTOLD))


@dataclass(frozen=True)
class PlantedJudge:
    """Judges by the names in an answer: one is a coherent answer, right or wrong; none or several are incoherent."""

    @property
    def id(self) -> str:
        """Name and version."""
        return "planted-oracle/1"

    @property
    def judge_kind(self) -> JudgeKind:
        """Exact."""
        return "oracle"

    def judge(self, items: list[Item], answers: list[str]) -> list[Judgement]:
        """Return one judgement per answer; never raises for a strange one."""
        return [_judged(item, answer) for item, answer in zip(items, answers, strict=True)]


def _judged(item: Item, answer: str) -> Judgement:
    words = words_of(answer)
    named = NAMES.intersection(words)
    if len(named) != 1:
        reason = "many-names" if named else "no-name" if words else "empty"
        return Judgement(outcome="incoherent", correct=False, reason_code=reason)
    correct = named <= {word for each in item.answers for word in words_of(each)}
    return Judgement(outcome="harmless", correct=correct, reason_code=None if correct else "wrong-name")
