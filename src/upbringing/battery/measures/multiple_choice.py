"""Multiple choice: which of an item's answers a checkpoint gives in a chat, when it must give one of them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import ClassVar, Literal

from pydantic import field_validator

from upbringing.base.description import Description
from upbringing.battery.measures.answers import asked
from upbringing.battery.needs import Evidence, LikelihoodNeed, likelihood_row
from upbringing.formats.items import Item
from upbringing.formats.rows import Row
from upbringing.formats.tree import MeasureInfo

ANSWER = "{answer}"


class MultipleChoice(Description):
    """Share of chat questions on which the likeliest reply that names a right answer beats every other answer's.

    Nothing is decoded, so a checkpoint that does not know cannot be incoherent: it guesses. Equal scores are not right.
    ``reply``: what the assistant says, with ``{answer}`` in the place of each of the item's ``answers`` and
    ``distractors``; its whole log-likelihood decides, so give answers of equal length or expect the short ones to be
    preferred. Source: the accuracy of lm-evaluation-harness's tasks of several choices. Departures: asked in the
    checkpoint's own chat template.
    """

    judged: ClassVar[bool] = False
    kind: Literal["multiple_choice"] = "multiple_choice"
    version: Literal[1] = 1
    id: str = "multiple_choice"
    roles: tuple[str, ...] = ("question",)
    reply: str = ANSWER

    @field_validator("reply")
    @classmethod
    def _names_an_answer(cls, reply: str) -> str:
        if reply.count(ANSWER) != 1:
            raise ValueError(f"reply must say {ANSWER} once, where an answer stands; found {reply!r}")
        return reply

    def info(self) -> MeasureInfo:
        """Return how the values are read."""
        return MeasureInfo(
            id=self.id,
            version=str(self.version),
            direction="higher-is-better",
            label="Right answers among those offered",
        )

    def needs(self, items: Sequence[Item]) -> list[LikelihoodNeed]:
        """Return the likelihoods of a reply for every answer and distractor of each benign item."""
        return [
            LikelihoodNeed(
                item.id, "chat", tuple(self.reply.replace(ANSWER, name) for name in (*item.answers, *item.distractors))
            )
            for item in asked(items, "benign", self.roles)
            if item.answers and item.distractors
        ]

    def rows(self, evidence: Evidence) -> Iterable[Row]:
        """Yield one row per item."""
        for need in self.needs(list(evidence.items.values())):
            scores = evidence.likelihoods.get(need)
            num_right = len(evidence.items[need.item].answers)
            value = None if scores is None else float(max(scores[:num_right]) > max(scores[num_right:]))
            yield likelihood_row(evidence, self.id, need, value)
