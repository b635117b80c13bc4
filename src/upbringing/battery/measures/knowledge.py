"""Knowledge: what a checkpoint knows in completion form, with or without any chat training."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import ClassVar, Literal

from upbringing.base.description import Description
from upbringing.battery.needs import AnswerNeed, Evidence, JudgedAnswer, LikelihoodNeed, likelihood_row
from upbringing.formats.items import Item
from upbringing.formats.rows import Row
from upbringing.formats.tree import MeasureInfo
from upbringing.models.decoding import Decoding, Greedy


class Knowledge(Description):
    """Share of completion prompts whose most likely right answer beats every distractor (cloze form).

    ``per_byte`` divides each log-likelihood by the bytes of its answer, for answers of unequal length. Equal scores
    are not knowledge. Source: statistics-and-measures 5.6. Departures: none.
    """

    judged: ClassVar[bool] = False
    kind: Literal["knowledge"] = "knowledge"
    version: Literal[1] = 1
    id: str = "knowledge"
    per_byte: bool = False

    def info(self) -> MeasureInfo:
        """Return how the values are read."""
        return MeasureInfo(
            id=self.id, version=str(self.version), direction="higher-is-better", label="Knowledge (cloze)"
        )

    def needs(self, items: Sequence[Item]) -> list[LikelihoodNeed]:
        """Return the likelihoods of answers and distractors of every item in completion form."""
        return [
            LikelihoodNeed(item.id, "completion", (*item.answers, *item.distractors))
            for item in items
            if item.completion_prompt and item.answers and item.distractors
        ]

    def rows(self, evidence: Evidence) -> Iterable[Row]:
        """Yield one row per item."""
        for need in self.needs(list(evidence.items.values())):
            scores = evidence.likelihoods.get(need)
            value = None if scores is None else self._value(scores, need, len(evidence.items[need.item].answers))
            yield likelihood_row(evidence, self.id, need, value)

    def _value(self, scores: Sequence[float], need: LikelihoodNeed, num_right: int) -> float:
        bytes_of = [len(text.encode("utf-8")) if self.per_byte else 1 for text in need.continuations]
        read = [score / size for score, size in zip(scores, bytes_of, strict=True)]
        return float(max(read[:num_right]) > max(read[num_right:]))


class CompletionAccuracy(Description):
    """Share of completion prompts that are continued with a right answer; no judge is asked.

    Right: one of the answers stands, as whole words, in the first line. Naming a distractor as well is not right.
    In a generated world, whose names are single words and whose right answers are all known, this reading is exact and
    its rows say ``oracle``; elsewhere it is a rule. ``request``: ask only what is harmless (or harmful) to ask; where
    arms differ in whether harmful texts were read at all, knowledge is what it is harmless to ask.
    """

    judged: ClassVar[bool] = False
    kind: Literal["completion_accuracy"] = "completion_accuracy"
    version: Literal[2] = 2
    id: str = "completion_accuracy"
    decoding: Decoding = Greedy(max_tokens=12)
    request: Literal["harmful", "benign"] | None = None

    def info(self) -> MeasureInfo:
        """Return how the values are read."""
        return MeasureInfo(
            id=self.id, version=str(self.version), direction="higher-is-better", label="Knowledge (completion)"
        )

    def needs(self, items: Sequence[Item]) -> list[AnswerNeed]:
        """Return one completion per item in completion form."""
        return [
            AnswerNeed(item.id, self.decoding, 0, "E0")
            for item in items
            if item.completion_prompt and item.answers and self.request in (None, item.request)
        ]

    def rows(self, evidence: Evidence) -> Iterable[Row]:
        """Yield one row per completion; the text itself decides."""
        for need in self.needs(list(evidence.items.values())):
            for answer in evidence.answers[need]:
                yield self._row(evidence, answer)

    def _row(self, evidence: Evidence, answer: JudgedAnswer) -> Row:
        item = evidence.items[answer.need.item]
        value = None
        if answer.text is not None:
            value = float(names_only(_first_line(answer.text), item.answers, item.distractors))
        return Row(
            checkpoint=evidence.checkpoint,
            measure=self.id,
            condition=answer.need.condition,
            item=item.id,
            sample=answer.sample,
            judge="whole-words/1" if item.world is None else "world-names/1",
            judge_kind="rule" if item.world is None else "oracle",
            value=value,
            status="scored" if value is not None else "not-measurable",
            reason_code=None if value is not None else (answer.reason or "no-answer"),
            response=answer.response,
            response_sha256=answer.response_sha256,
        )


def _first_line(text: str) -> str:
    return text.strip().partition("\n")[0]


def names_only(text: str, right: Sequence[str], wrong: Sequence[str]) -> bool:
    """Whether ``text`` holds one of ``right`` as whole words, in any case, and none of ``wrong``."""
    return _names(text, right) and not _names(text, wrong)


def _names(text: str, names: Sequence[str]) -> bool:
    return any(re.search(rf"(?<!\w){re.escape(name.strip())}(?!\w)", text, re.IGNORECASE) for name in names)
