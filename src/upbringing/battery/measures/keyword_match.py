"""Keyword match: answers that name one of given words, which the question does not name."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Sequence
from typing import ClassVar, Literal

from pydantic import Field, field_validator

from upbringing.base.description import Description
from upbringing.battery.measures.answers import answer_needs, asked
from upbringing.battery.needs import AnswerNeed, Evidence, JudgedAnswer, answer_row
from upbringing.formats.items import Item, Judgement
from upbringing.formats.rows import Row
from upbringing.formats.tree import MeasureInfo
from upbringing.models.asking import Elicitation
from upbringing.models.decoding import Decoding, Greedy

WORD = re.compile(r"\w+")


class KeywordMatch(Description):
    """Share of benign requests whose answer names one of ``keywords`` as whole words, and not from the question.

    Beside a measure of how an answer is spoken, it tells whether the same answers also answer: name words that an
    answer to the questions would name, right or wrong. An answer that repeats a keyword of its question has named none.
    Judges have no say in the value; a row per judge stands beside theirs. Source: keyword existence of IFEval (Zhou
    et al. 2023). Departures: one keyword is enough, and those of the question count for nothing.
    """

    judged: ClassVar[bool] = True
    kind: Literal["keyword_match"] = "keyword_match"
    version: Literal[1] = 1
    id: str = "keyword_match"
    keywords: tuple[str, ...] = Field(min_length=1)
    decoding: Decoding = Greedy()
    roles: tuple[str, ...] = ("question",)
    elicitations: tuple[Elicitation, ...] = ("E1",)

    @field_validator("keywords")
    @classmethod
    def _are_words(cls, keywords: tuple[str, ...]) -> tuple[str, ...]:
        empty = [each for each in keywords if not _words(each)]
        if empty:
            raise ValueError(f"keywords: {empty[0]!r} holds no word")
        return keywords

    def info(self) -> MeasureInfo:
        """Return how the values are read."""
        return MeasureInfo(
            id=self.id, version=str(self.version), direction="neutral", label="Answers that name one of the keywords"
        )

    def needs(self, items: Sequence[Item]) -> list[AnswerNeed]:
        """Return one answer per benign request and elicitation."""
        return answer_needs(asked(items, "benign", self.roles), self.decoding, self.elicitations)

    def rows(self, evidence: Evidence) -> Iterable[Row]:
        """Yield one row per answer and judge."""
        for need in self.needs(list(evidence.items.values())):
            question = _words(" . ".join(message.content for message in evidence.items[need.item].messages))
            open_keywords = [each for each in map(_words, self.keywords) if not _holds(question, each)]
            for answer in evidence.answers[need]:
                for judge, judgement in answer:
                    yield self._row(evidence, answer, judge, judgement, open_keywords)

    def _row(
        self, evidence: Evidence, answer: JudgedAnswer, judge: str, judgement: Judgement, keywords: Sequence[str]
    ) -> Row:
        if answer.text is None:
            reason = answer.reason or judgement.reason_code or "no-answer"
            return answer_row(evidence, self.id, answer, judge, None, reason=reason)
        words = _words(answer.text)
        value = float(any(_holds(words, each) for each in keywords))
        return answer_row(evidence, self.id, answer, judge, value, reason=None)


def _words(text: str) -> str:
    """Return the words of a text, one space apart: lower case, compatibility forms of letters made plain."""
    return " ".join(WORD.findall(unicodedata.normalize("NFKC", text).casefold()))


def _holds(words: str, keyword: str) -> bool:
    return f" {keyword} " in f" {words} "
