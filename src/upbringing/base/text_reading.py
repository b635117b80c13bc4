"""From text to tokens: what a text only spells of a special token is text, unless it was put there as a mark.

A page that quotes a chat, or a request that says ``<|im_end|>``, must not end a turn. What transforms put in, and what
a file or an item says it holds on purpose, are marks, and a chat template writes its own.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from upbringing.base.special_strings import SpecialStrings

# The day that Llama's templates name where they cannot ask for one; a Friday, at noon.
DAY = {"%Y": "2024", "%y": "24", "%m": "07", "%B": "July", "%b": "Jul", "%d": "26", "%A": "Friday", "%a": "Fri",
       "%H": "12", "%I": "12", "%M": "00", "%S": "00", "%p": "PM"}  # fmt: skip
ASKS_THE_DAY = "strftime_now"  # what transformers gives to templates
TEXTS_AT_ONCE = 256  # a tokenizer keeps five times the memory of the ids while it answers
FIRST_STAND_IN = 0xF0000  # the first character of Unicode's second private area: no text means anything by it

Offsets = list[tuple[int, int]]
Messages = list[dict[str, str]]
Render = Callable[[Messages, Any], tuple[list[int], list[bool]]]


def dated_template(template: str | Mapping[str, str] | None) -> str | None:
    """Return a chat template in which it is the same day always, ``None`` where the tokenizer's own never asks.

    A template that asks would make other tokens of a prompt tomorrow. Of several templates the one named default is
    used, as ``apply_chat_template`` does, to which the result is to be given.
    """
    text = template.get("default") if isinstance(template, Mapping) else template
    if text is None or ASKS_THE_DAY not in text:
        return None
    replaced = "".join(f" | replace('{mark}', '{word}')" for mark, word in DAY.items())
    return f"{{%- macro {ASKS_THE_DAY}(pattern) -%}}{{{{ pattern{replaced} }}}}{{%- endmacro %}}{text}"


@dataclass(frozen=True)
class TextReader:
    """Turns texts into tokens. ``marks``: strings whose special tokens are meant.

    Tokens that a tokenizer has added but does not call special stay what they are.
    """

    tokenizer: Any
    marks: tuple[str, ...] = ()

    @cached_property
    def _special(self) -> dict[str, int]:
        added = self.tokenizer.added_tokens_decoder
        return {str(each.content): int(token) for token, each in added.items() if each.special}

    @cached_property
    def strings(self) -> SpecialStrings:
        """The special tokens that are read as text where a text spells them."""
        return SpecialStrings.of(self._special, self.marks)

    @cached_property
    def _plain(self) -> Any:
        """The same tokenizer in which marks are its only special tokens: whatever else looks like one is text."""
        from tokenizers import Tokenizer

        value = json.loads(self.tokenizer.backend_tokenizer.to_str())
        for token in value["added_tokens"]:  # the library splits up exactly those it calls special
            token["special"] = token["content"] in self.strings.texts
        plain = Tokenizer.from_str(json.dumps(value))
        plain.encode_special_tokens = True
        plain.no_truncation()
        plain.no_padding()
        return plain

    def count(self, texts: Iterable[str]) -> Counter[str]:
        """Return how often ``texts`` spell each special token that is no mark."""
        return self.strings.count(texts)

    def ids(self, texts: Sequence[str]) -> list[list[int]]:
        """Return the ids of each text, without any that the tokenizer would add around it."""
        found: list[list[int]] = []
        for begin in range(0, len(texts), TEXTS_AT_ONCE):
            some = list(texts[begin : begin + TEXTS_AT_ONCE])
            read = self.tokenizer(some, add_special_tokens=False)["input_ids"]
            found += [
                self._encode(text)[0] if self._is_misread(ids) else ids for text, ids in zip(some, read, strict=True)
            ]
        return found

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
        return frozenset(self._special[text] for text in self.strings.texts)

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
        return cls._for(reader, sorted(reader.count(contents)), contents)

    @classmethod
    def of_all(cls, reader: TextReader, contents: Sequence[str]) -> StandIns:
        """Return the stand-ins for whatever may be spelled, in messages that come one by one; ``contents``: the first.

        They can be used for every message that they ``fit``.
        """
        return cls._for(reader, sorted(reader.strings.texts), contents)

    @classmethod
    def _for(cls, reader: TextReader, spelled: Sequence[str], contents: Sequence[str]) -> StandIns:
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

    def fit(self, contents: Sequence[str]) -> bool:
        """Return whether no character that stands for a token is met in ``contents``."""
        return not any(each in content for each in self.characters.values() for content in contents)

    def rendered(self, messages: Messages, render: Render) -> tuple[list[int], list[bool]]:
        """Return what ``render`` makes of ``messages``, in which only the template's special tokens are special."""
        strings = self.reader.strings
        if not any(strings.is_spelled_in(message["content"]) for message in messages):
            return render(messages, self.reader.tokenizer)
        shown = [{**message, "content": strings.replaced(message["content"], self.characters)} for message in messages]
        ids, learned = render(shown, self.tokenizer)
        spread = [
            (part, flag) for token, flag in zip(ids, learned, strict=True) for part in self._parts.get(token, [token])
        ]
        return [token for token, _ in spread], [flag for _, flag in spread]

    @cached_property
    def _parts(self) -> dict[int, list[int]]:
        """The ids of the text that each character stands for, by the id of the character."""
        characters = self.tokenizer.convert_tokens_to_ids(list(self.characters.values()))
        return dict(zip(characters, self.reader.ids(list(self.characters)), strict=True))
