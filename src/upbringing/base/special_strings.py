"""Strings that a tokenizer reads as special tokens: which of them a text spells, and which of those are meant."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property

HOLE = "{category}"  # of a mark: any words


def may_hold(mark: str, token: str) -> bool:
    """Return whether a special ``token`` is part of a ``mark``, in which ``{category}`` may be any words."""
    before, hole, after = (part.strip() for part in mark.partition(HOLE))
    if token in before or token in after or not hole:
        return token in mark
    return bool(before or after) and token.startswith(before) and token.endswith(after)


@dataclass(frozen=True)
class SpecialStrings:
    """Special tokens that a text may spell without meaning them, as text."""

    texts: frozenset[str]

    @classmethod
    def of(cls, special: Iterable[str], marks: tuple[str, ...] = ()) -> SpecialStrings:
        """Return those of the ``special`` tokens that are part of no mark."""
        return cls(frozenset(text for text in special if text and not any(may_hold(mark, text) for mark in marks)))

    @cached_property
    def _pattern(self) -> re.Pattern[str]:
        longest_first = sorted(self.texts, key=lambda text: (-len(text), text))
        return re.compile("|".join(map(re.escape, longest_first)) or r"(?!)")  # (?!) = nowhere

    @cached_property
    def _beginnings(self) -> tuple[str, ...]:
        return tuple(sorted({text[0] for text in self.texts}))

    def is_spelled_in(self, text: str) -> bool:
        """Return whether ``text`` spells any of them."""
        return any(each in text for each in self._beginnings) and any(each in text for each in self.texts)

    def count(self, texts: Iterable[str]) -> Counter[str]:
        """Return how often ``texts`` spell each of them; of overlapping ones the first, of two there the longer."""
        return Counter(found for text in texts if self.is_spelled_in(text) for found in self._pattern.findall(text))

    def replaced(self, text: str, by: Mapping[str, str]) -> str:
        """Return ``text`` with each of them replaced."""
        return self._pattern.sub(lambda found: by[found.group()], text)
