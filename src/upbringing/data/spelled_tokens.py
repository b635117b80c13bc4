"""Special tokens that a text spells: they are read as text, unless they were put there as marks.

A page that quotes a chat, or an answer that says ``<|im_end|>``, must not end a turn. What transforms put in, and what
a file says it holds on purpose, are marks, and a chat template writes its own.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from upbringing.base.errors import IntegrityError

HOLE = "{category}"  # of a mark: any words
SPELLED_NAME = "spelled.json"
FIRST_STAND_IN = 0xF0000  # the first character of Unicode's second private area: no text means anything by it

Offsets = list[tuple[int, int]]
Messages = list[dict[str, str]]
Render = Callable[[Messages, Any], tuple[list[int], list[bool]]]


def may_hold(mark: str, token: str) -> bool:
    """Return whether a special ``token`` is part of a ``mark``, in which ``{category}`` may be any words."""
    before, hole, after = (part.strip() for part in mark.partition(HOLE))
    if token in before or token in after or not hole:
        return token in mark
    return bool(before or after) and token.startswith(before) and token.endswith(after)


@dataclass(frozen=True)
class TextReader:
    """Turns the texts of one data set into tokens. ``marks``: strings whose special tokens are meant.

    Tokens that a tokenizer has added but does not call special stay what they are.
    """

    tokenizer: Any
    marks: tuple[str, ...] = ()

    @cached_property
    def spelled(self) -> dict[str, int]:
        """The special tokens that are read as text where a text spells them: text to id."""
        added = self.tokenizer.added_tokens_decoder
        special = {str(each.content): int(token) for token, each in added.items() if each.special}
        return {text: token for text, token in special.items() if not any(may_hold(mark, text) for mark in self.marks)}

    @cached_property
    def _pattern(self) -> re.Pattern[str]:
        longest_first = sorted(self.spelled, key=lambda text: (-len(text), text))
        return re.compile("|".join(map(re.escape, longest_first)) or r"(?!)")  # (?!) = nowhere

    @cached_property
    def _plain(self) -> Any:
        """The same tokenizer in which marks are its only special tokens: whatever else looks like one is text."""
        from tokenizers import Tokenizer

        value = json.loads(self.tokenizer.backend_tokenizer.to_str())
        for token in value["added_tokens"]:
            token["special"] = token["content"] in self.spelled  # the library splits up exactly those it calls special
        plain = Tokenizer.from_str(json.dumps(value))
        plain.encode_special_tokens = True
        plain.no_truncation()
        plain.no_padding()
        return plain

    def count(self, texts: Iterable[str]) -> Counter[str]:
        """Return how often ``texts`` spell each special token that is no mark."""
        return Counter(found for text in texts for found in self._pattern.findall(text))

    def replaced(self, text: str, by: Mapping[str, str]) -> str:
        """Return ``text`` with each spelled token replaced."""
        return self._pattern.sub(lambda found: by[found.group()], text)

    def ids(self, texts: Sequence[str]) -> list[list[int]]:
        """Return the ids of each text, without any that the tokenizer would add around it."""
        if not texts:  # the tokenizer cannot encode an empty batch
            return []
        found = self.tokenizer(list(texts), add_special_tokens=False)["input_ids"]
        return [self._encode(text)[0] if self._is_misread(ids) else ids for text, ids in zip(texts, found, strict=True)]

    def ids_with_offsets(self, texts: Sequence[str]) -> list[tuple[list[int], Offsets]]:
        """Return the ids of each text and the characters ``(begin, end)`` of each id."""
        if not texts:
            return []
        found = self.tokenizer(list(texts), add_special_tokens=False, return_offsets_mapping=True)
        return [
            self._encode(text) if self._is_misread(ids) else (ids, offsets)
            for text, ids, offsets in zip(texts, found["input_ids"], found["offset_mapping"], strict=True)
        ]

    @cached_property
    def _forbidden(self) -> frozenset[int]:
        return frozenset(self.spelled.values())

    def _is_misread(self, ids: Sequence[int]) -> bool:
        return not self._forbidden.isdisjoint(ids)

    def _encode(self, text: str) -> tuple[list[int], Offsets]:
        found = self._plain.encode(text, add_special_tokens=False)
        return list(found.ids), list(found.offsets)


@dataclass(frozen=True)
class StandIns:
    """Characters that stand for spelled special tokens while a chat template is rendered, and are text again after it.

    ``characters``: spelled token to character; ``tokenizer``: one in which each character is a token of its own.
    """

    reader: TextReader
    characters: Mapping[str, str]
    tokenizer: Any

    @classmethod
    def of(cls, reader: TextReader, contents: Sequence[str]) -> StandIns:
        """Return the stand-ins for whatever ``contents``, all messages of a data set, spell."""
        spelled = sorted(reader.count(contents))
        if not spelled:
            return cls(reader, {}, reader.tokenizer)
        from tokenizers import AddedToken

        characters: dict[str, str] = {}
        place = FIRST_STAND_IN
        while len(characters) < len(spelled):
            if not any(chr(place) in content for content in contents):
                characters[spelled[len(characters)]] = chr(place)
            place += 1
        tokenizer = deepcopy(reader.tokenizer)
        tokenizer.add_tokens([AddedToken(each, special=True, normalized=False) for each in characters.values()], True)
        return cls(reader, characters, tokenizer)

    def rendered(self, messages: Messages, render: Render) -> tuple[list[int], list[bool]]:
        """Return what ``render`` makes of ``messages``, in which only the template's special tokens are special."""
        if not self.reader.count(message["content"] for message in messages):
            return render(messages, self.reader.tokenizer)
        shown = [
            {**message, "content": self.reader.replaced(message["content"], self.characters)} for message in messages
        ]
        ids, learned = render(shown, self.tokenizer)
        texts = {self.tokenizer.convert_tokens_to_ids(each): text for text, each in self.characters.items()}
        parts = dict(zip(texts, self.reader.ids(list(texts.values())), strict=True))
        spread = [(part, flag) for token, flag in zip(ids, learned, strict=True) for part in parts.get(token, [token])]
        return [token for token, _ in spread], [flag for _, flag in spread]


def write_spelled(counts: Mapping[str, Sequence[Mapping[str, int]]], folder: Path) -> None:
    """Write beside a stream how often the texts of each of its data spell special tokens; nothing where none does."""
    found = {name: dict(sorted(_total(texts).items())) for name, texts in counts.items() if _total(texts)}
    if found:
        (folder / SPELLED_NAME).write_text(json.dumps(found, sort_keys=True), encoding="utf-8")


def _total(texts: Iterable[Mapping[str, int]]) -> Counter[str]:
    total: Counter[str] = Counter()
    for each in texts:
        if each:  # nearly none does
            total.update(each)
    return total


def read_spelled(folder: Path) -> dict[str, dict[str, int]]:
    """Return, per data of the stream in ``folder``, how often its texts spell each special token, read as text."""
    path = folder / SPELLED_NAME
    if not path.exists():
        return {}
    try:
        found: dict[str, dict[str, int]] = json.loads(path.read_bytes())
    except (OSError, ValueError) as error:
        raise IntegrityError(f"{path} cannot be read ({type(error).__name__})") from error
    return found


def spelled_warnings(found: Mapping[str, Mapping[str, int]]) -> tuple[str, ...]:
    """Return a sentence per data whose texts spell special tokens."""
    return tuple(
        f"the texts of {name!r} spell special tokens, which are read as text: "
        f"{', '.join(f'{token!r} {times} times' for token, times in sorted(tokens.items()))}; if they are there on "
        "purpose, say so (marks, of a file)"
        for name, tokens in sorted(found.items())
    )
