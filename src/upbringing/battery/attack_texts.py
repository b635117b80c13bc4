"""What an attack adds to a prompt."""

from __future__ import annotations

from upbringing.base.short_names import short_name
from upbringing.formats.items import Message


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
