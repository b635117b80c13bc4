"""Scores by a list of words: the plainest scorer, and the one whose decisions can be checked by reading."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from upbringing.base.fingerprint import fingerprint
from upbringing.data.documents import Document
from upbringing.data.interventions.scores import HIGHEST_SCORE, LOWEST_SCORE, HarmScore


class WordScorer:
    """Scores a text by the worst listed word that stands in it, whole and whatever its case; 0 where none does.

    ``words``: lower-cased word or phrase to score. A word is whole where no letter, digit or underscore touches it.
    """

    def __init__(self, words: Mapping[str, int]) -> None:
        wrong = {word: score for word, score in words.items() if not LOWEST_SCORE <= score <= HIGHEST_SCORE}
        wrong |= {word: score for word, score in words.items() if not word.strip() or word != word.lower()}
        if wrong or not words:
            raise ValueError(f"words: needs lower-case words with scores from 0 to 5, found {wrong or 'none'}")
        self._scores = dict(words)
        longest_first = sorted(map(re.escape, words), key=lambda word: (-len(word), word))
        self._whole = re.compile(rf"(?<!\w)(?:{'|'.join(longest_first)})(?!\w)")
        # One linear pass over many texts for all words at once. It only picks candidates: its boundaries are ASCII's.
        self._perhaps = rf"(?:^|[^0-9a-z_])(?:{'|'.join(map(_literal, words))})(?:$|[^0-9a-z_])"

    @property
    def id(self) -> str:
        """Name, version and the list's hash."""
        return f"words/1/{fingerprint(self._scores)[:16]}"

    def score(self, documents: Sequence[Document]) -> list[HarmScore]:
        """Return one score per document, in order."""
        import pyarrow as pa
        import pyarrow.compute as pc

        texts = [document.text.lower() for document in documents]
        candidates = pc.match_substring_regex(pa.array(texts, pa.large_string()), self._perhaps).to_pylist()
        return [self._score(text) if hit else _CLEAN for text, hit in zip(texts, candidates, strict=True)]

    def _score(self, text: str) -> HarmScore:
        found = {match.group() for match in self._whole.finditer(text)}
        if not found:
            return _CLEAN
        worst = min(found, key=lambda word: (-self._scores[word], word))
        return HarmScore(self._scores[worst], f"the word {worst!r}")


_CLEAN = HarmScore(LOWEST_SCORE, "no listed word")


def _literal(word: str) -> str:
    """Return a pattern that finds ``word`` literally (RE2 knows no other escape that is safe for every character)."""
    return "".join(each if each.isalnum() else f"\\x{{{ord(each):x}}}" for each in word)
