"""What an attack adds to a prompt, and what its conditions are called."""

from __future__ import annotations

import re

from upbringing.base.fingerprint import fingerprint
from upbringing.formats.items import Message

NAME_CHARACTERS, NAME_HASH = 24, 4


def short_name(text: str) -> str:
    """Return a name of ``text`` for conditions: its first letters, and some of its hash, which tell texts apart."""
    words = re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")[:NAME_CHARACTERS].strip("-")
    return f"{words or 'text'}-{fingerprint(text)[:NAME_HASH]}"


def with_suffix(messages: tuple[Message, ...], suffix: str) -> tuple[Message, ...]:
    """Return ``messages`` with ``suffix`` behind the last request, parted from it by a space."""
    last = max((place for place, each in enumerate(messages) if each.role == "user"), default=None)
    if not suffix or last is None:
        return messages
    longer = messages[last].model_copy(update={"content": f"{messages[last].content} {suffix}"})
    return (*messages[:last], longer, *messages[last + 1 :])


def check_texts(name: str, texts: tuple[str, ...]) -> None:
    """Raise ``ValueError`` for texts of an attack that are empty or stand twice."""
    if len({short_name(text) for text in texts}) < len(texts) or not all(text.strip() for text in texts):
        raise ValueError(f"{name} are {list(texts)}: give texts that are not empty, each once")
