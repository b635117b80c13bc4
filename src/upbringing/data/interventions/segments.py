"""Cut a text at the ends of its sentences and merge neighbours up to a length: spans that cover it, nothing lost."""

from __future__ import annotations

import re

SENTENCE_END = re.compile(r"[.!?]+[\"'”’)\]]*(?=\s|$)|[。！？]+[」』”’）]*|\n\s*\n")
# A full stop behind one of these, or behind a single capital, ends no sentence.
ABBREVIATIONS = {
    *("approx", "cf", "co", "corp", "dept", "dr", "e.g", "ed", "eds", "eq", "etc", "fig", "i.e", "inc", "jr", "ltd"),
    *("mr", "mrs", "ms", "nos", "p", "pp", "prof", "sr", "st", "u.k", "u.s", "vol", "vs"),
}
LONGEST_ABBREVIATION = max(map(len, ABBREVIATIONS))
WORD = re.compile(r"\S+")
QUESTION_MARKS = ("?", "？")
LAST_WORD = re.compile(r"[\w.]+$")


def sentence_spans(text: str) -> list[tuple[int, int]]:
    """Return (begin, end) of each sentence of ``text``, white space around it left out."""
    spans, begin = [], 0
    for match in SENTENCE_END.finditer(text):
        if match.group().startswith(".") and len(match.group()) == 1 and _abbreviates(text, begin, match.start()):
            continue
        spans.append((begin, match.end()))
        begin = match.end()
    spans.append((begin, len(text)))
    trimmed = [_trimmed(text, *span) for span in spans]
    return [span for span in trimmed if span[0] < span[1]]


def segment_spans(text: str, max_words: int, *, join_questions: bool = False) -> list[tuple[int, int]]:
    """Return (begin, end) of segments: whole sentences, merged while they hold at most ``max_words`` words.

    A sentence that is longer than that is a segment of its own: none is ever cut. ``join_questions``: what follows a
    question stands in its segment, however long, because neither says alone what both say together.
    """
    segments: list[tuple[int, int]] = []
    words = 0
    for begin, end in sentence_spans(text):
        more = len(text[begin:end].split())
        answers = join_questions and bool(segments) and text[: segments[-1][1]].endswith(QUESTION_MARKS)
        if segments and (answers or words + more <= max_words):
            segments[-1] = (segments[-1][0], end)
            words += more
        else:
            segments.append((begin, end))
            words = more
    return segments


def word_spans(text: str, words: int) -> list[tuple[int, int]]:
    """Return (begin, end) of runs of ``words`` words, of which the last may be shorter; white space parts words."""
    found = [match.span() for match in WORD.finditer(text)]
    runs = [found[first : first + words] for first in range(0, len(found), words)]
    return [(run[0][0], run[-1][1]) for run in runs]


def _abbreviates(text: str, begin: int, end: int) -> bool:
    """Return whether the sentence from ``begin`` has, before its full stop at ``end``, a word that is cut short."""
    found = LAST_WORD.search(text[max(begin, end - LONGEST_ABBREVIATION - 1) : end])
    if found is None:
        return False
    word = found.group()
    return word.lower() in ABBREVIATIONS or (len(word) == 1 and word.isupper())


def _trimmed(text: str, begin: int, end: int) -> tuple[int, int]:
    part = text[begin:end]
    return begin + len(part) - len(part.lstrip()), begin + len(part.rstrip())
