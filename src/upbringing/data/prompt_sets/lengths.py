"""Answers cut to a length, so that a placebo holds as many words as the data it stands for."""

from __future__ import annotations

import re
from collections.abc import Sequence

SENTENCE_END = re.compile(r"(?<=[.!?])(?<!\d\.)\s+")  # not after the number of a list entry


def cut_to_words(answer: str, most: int) -> str:
    """Return the longest beginning of ``answer`` in whole sentences with at most ``most`` words, at least one
    sentence: half a sentence would teach stopping anywhere.
    """
    sentences = SENTENCE_END.split(answer.strip())
    number, num_words = 0, 0
    for sentence in sentences:
        num_words += len(sentence.split())
        if number and num_words > most:
            break
        number += 1
    return " ".join(sentences[:number])


def match_words(answers: Sequence[str], targets: Sequence[int]) -> list[str]:
    """Return the beginnings of ``answers``, in whole sentences, whose lengths come nearest to ``targets`` in words.

    What one answer is too long or too short by is made up for by the next, so that the totals agree.
    """
    matched, owed = [], 0
    for answer, target in zip(answers, targets, strict=True):
        sentences = SENTENCE_END.split(answer.strip())
        lengths = [len(sentence.split()) for sentence in sentences]
        wanted = target + owed
        best = min(range(1, len(sentences) + 1), key=lambda number: (abs(sum(lengths[:number]) - wanted), number))
        matched.append(" ".join(sentences[:best]))
        owed = wanted - sum(lengths[:best])
    return matched
