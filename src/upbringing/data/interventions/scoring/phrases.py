"""Phrases found in texts: by whole words, whatever their case, spacing and punctuation.

A word is a run of letters and digits after Unicode's compatibility form and case folding, so ``C-4``, ``c 4`` and
fullwidth letters are the same two words. Phrases in scripts written without spaces are refused: they would never match.
"""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from upbringing.base.errors import DataError

WORD = re.compile(r"[^\W_]+")
SPACELESS = ("CJK", "HIRAGANA", "KATAKANA", "THAI", "LAO", "KHMER", "MYANMAR")
SPACE = re.compile(r"\s")
PIECE_CHARACTERS = 1 << 20
Phrase = tuple[str, ...]


def folded(text: str) -> str:
    """Return ``text`` in the form in which words are compared."""
    return text.lower() if text.isascii() else unicodedata.normalize("NFKC", text).casefold()


def words_of(text: str) -> list[str]:
    """Return the words of ``text`` in order."""
    return WORD.findall(folded(text))


@dataclass(frozen=True)
class Found:
    """``counts``: how often each phrase occurs among ``num_words`` words."""

    num_words: int
    counts: Counter[Phrase]


@dataclass(frozen=True)
class PhraseMatcher:
    """Counts phrases in the words of a text. ``phrases``: distinct, as ``phrases_of`` returns them."""

    phrases: tuple[Phrase, ...]
    _by_first: dict[str, tuple[Phrase, ...]] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        by_first: dict[str, tuple[Phrase, ...]] = {}
        for phrase in self.phrases:
            by_first[phrase[0]] = (*by_first.get(phrase[0], ()), phrase)
        object.__setattr__(self, "_by_first", by_first)

    def count(self, text: str) -> Found:
        """Return the number of words of ``text`` and how often each phrase occurs; phrases may overlap.

        A long text is read in pieces, so that its words are never all in memory.
        """
        longest = max(map(len, self.phrases))
        found: Counter[Phrase] = Counter()
        num_words, carried = 0, list[str]()
        for piece in _pieces(text):
            words = words_of(piece)
            num_words += len(words)
            self._add(found, carried + words, len(carried))
            carried = (carried + words)[-(longest - 1) :] if longest > 1 else []
        return Found(num_words, found)

    def _add(self, found: Counter[Phrase], words: Sequence[str], num_known: int) -> None:
        """Count the phrases in ``words`` that do not end within the first ``num_known``, which were read before."""
        if self._by_first.keys().isdisjoint(words):
            return
        first = self._by_first
        for place in [place for place, word in enumerate(words) if word in first]:
            for phrase in first[words[place]]:
                end = place + len(phrase)
                if end > num_known and (len(phrase) == 1 or tuple(words[place:end]) == phrase):
                    found[phrase] += 1


def _pieces(text: str) -> Iterator[str]:
    """Yield ``text`` in pieces of about ``PIECE_CHARACTERS`` that end between words."""
    begin = 0
    while len(text) - begin > PIECE_CHARACTERS:
        gap = SPACE.search(text, begin + PIECE_CHARACTERS)
        if gap is None:
            break
        yield text[begin : gap.start()]
        begin = gap.end()
    yield text[begin:] if begin else text


def phrases_of(lines: Iterable[str], where: str) -> tuple[Phrase, ...]:
    """Return the distinct phrases in ``lines``, in order; blank lines and lines that begin with # are left out.

    Raises ``DataError`` for a line without any word, for a script without spaces, and where nothing is left.
    """
    found: dict[Phrase, None] = {}
    for number, line in enumerate(lines, start=1):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        phrase = tuple(words_of(line))
        if not phrase:
            raise DataError(f"{where} line {number}: {line.strip()!r} holds no word")
        if any(unicodedata.name(character, "").startswith(SPACELESS) for word in phrase for character in word):
            raise DataError(
                f"{where} line {number}: {line.strip()!r} is written without spaces between words, so whole words "
                "cannot be matched: use a classifier"
            )
        found[phrase] = None
    if not found:
        raise DataError(f"{where} holds no phrases")
    return tuple(found)


def read_phrases(path: Path) -> tuple[Phrase, ...]:
    """Return the phrases of a UTF-8 file, one a line."""
    try:
        text = path.read_bytes().decode("utf-8-sig")
    except OSError as error:
        raise DataError(f"cannot read {path}: {error.strerror}") from None
    except UnicodeDecodeError as error:
        raise DataError(f"{path.name}: byte {error.start} is not UTF-8: save the list as UTF-8") from None
    return phrases_of(text.splitlines(), path.name)
