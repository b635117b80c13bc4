"""Which texts may hold a listed phrase: one linear pass over many texts for all phrases at once.

Of most corpora most texts hold none, so only the others are read word by word. The pass is never more than a hint: it
knows letters and digits of ASCII alone as parts of words, so it finds at least what whole words would.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from upbringing.data.interventions.scoring.phrases import PIECE_CHARACTERS, WORD, Phrase, folded

MOST_PHRASES = 1000  # beyond, the automaton is slower than reading the words
APART = "[^0-9a-z]"


@dataclass(frozen=True)
class Hint:
    """``may_hit``: whether a phrase may stand in the text. ``has_words``: whether any word stands in it."""

    may_hit: bool
    has_words: bool


UNREAD = Hint(may_hit=True, has_words=True)
NO_HIT = Hint(may_hit=False, has_words=True)
NO_WORDS = Hint(may_hit=False, has_words=False)


def hints(texts: Sequence[str], phrases: Sequence[Phrase]) -> list[Hint]:
    """Return one hint per text, in order; texts and lists that are too long for the pass may always hit."""
    import pyarrow as pa
    import pyarrow.compute as pc

    if len(phrases) > MOST_PHRASES:
        return [UNREAD] * len(texts)
    # The pass ignores the case of ASCII by itself; all else is folded first, as where words are read.
    short = {
        place: text if text.isascii() else folded(text)
        for place, text in enumerate(texts)
        if len(text) <= PIECE_CHARACTERS
    }
    try:
        shown = _array([text.encode("utf-8", "replace") for text in short.values()])
        found = pc.match_substring_regex(shown, _pattern(phrases), ignore_case=True).to_pylist()
    except pa.ArrowInvalid:  # the list makes too large an automaton
        return [UNREAD] * len(texts)
    read = {
        place: UNREAD if hit else NO_HIT if WORD.search(text) is not None else NO_WORDS
        for (place, text), hit in zip(short.items(), found, strict=True)
    }
    return [read.get(place, UNREAD) for place in range(len(texts))]


def _array(values: Sequence[bytes]) -> Any:
    """Return an array over one joined buffer; ``pyarrow.array`` would load pandas and copy value by value."""
    import pyarrow as pa

    ends = np.cumsum([0, *map(len, values)], dtype=np.int64)
    buffers = [None, pa.py_buffer(ends), pa.py_buffer(b"".join(values))]
    return pa.Array.from_buffers(pa.large_binary(), len(values), buffers)


def _pattern(phrases: Sequence[Phrase]) -> str:
    """Return an RE2 pattern; words are letters and digits, which stand for themselves in it."""
    together = "|".join(f"{APART}+".join(phrase) for phrase in phrases)
    return f"(?:^|{APART})(?:{together})(?:$|{APART})"
