"""Turns, prompts and answers in a row of a file, in the forms that are published."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from upbringing.base.errors import DataError
from upbringing.data.documents import Turn

ROLES = ("system", "user", "assistant")
BOTH = (
    "has messages, from which chats are read, beside chosen and rejected, from which preferences are: leave out what "
    "is not meant"
)
HALF_PAIR = re.compile("[\ud800-\udfff]")


def text_of(row: Mapping[str, Any], column: str, where: str) -> str:
    """Return the text in ``column``; raises ``DataError`` where it is none, or blank."""
    value = row.get(column)
    if not isinstance(value, str) or not value.strip():
        raise DataError(f"{where}: {column} must be text, found {value!r:.80}")
    if not value.isascii() and (half := HALF_PAIR.search(value)):
        raise DataError(f"{where}: character {half.start()} of {column} is half a surrogate pair: it is no text")
    return value


def prompt_of(row: Mapping[str, Any], where: str) -> tuple[Turn, ...]:
    """Return the turns of ``prompt``, which is a list of them or what the user says."""
    if isinstance(row.get("prompt"), list):
        return turns_of(row, "prompt", where)
    return (Turn("user", text_of(row, "prompt", where)),)


def turns_of(row: Mapping[str, Any], column: str, where: str) -> tuple[Turn, ...]:
    """Return the turns in ``column``, a list of messages with ``role`` and ``content``."""
    messages = row.get(column)
    if not isinstance(messages, list) or not messages:
        raise DataError(f"{where}: {column} must be a list of turns, found {messages!r}")
    turns = []
    for message in messages:
        role = message.get("role") if isinstance(message, dict) else None
        if role not in ROLES:
            raise DataError(f"{where}: a turn's role is one of {', '.join(ROLES)}, found {role!r}")
        if message.get("weight", 1) != 1:  # hosted fine-tuning's word for a turn that is not learned
            raise DataError(
                f"{where}: a turn has weight {message['weight']!r}, and all that the assistant says is learned: leave "
                "the chat out, or end it at the turn that is to be learned"
            )
        turns.append(Turn(role, text_of(message, "content", where)))
    return tuple(turns)


def preference_of(row: Mapping[str, Any], where: str) -> tuple[tuple[Turn, ...], str, str]:
    """Return prompt, chosen and rejected answer of a row.

    Answers are texts, or lists of turns that end with the assistant's. What such lists say before is the prompt, or
    repeats ``prompt`` where that stands beside them. Source: the formats of preference data in TRL's documentation
    (standard and conversational, with explicit and implicit prompt), and UltraFeedback, whose prompt is the text of
    the only turn. Raises ``DataError`` where the two lists, or list and prompt, say something else.
    """
    answers = {name: _conversation(row, name, where) for name in ("chosen", "rejected")}
    (before, chosen), (others, rejected) = answers["chosen"], answers["rejected"]
    if before != others:
        raise DataError(f"{where}: chosen and rejected answer different prompts: a pair is two answers to one")
    if row.get("prompt") is None and before:
        return before, chosen, rejected
    prompt = prompt_of(row, where)
    if before not in ((), prompt):
        raise DataError(f"{where}: prompt and the turns before the answers differ: leave the column prompt out")
    return prompt, chosen, rejected


def is_both(row: Mapping[str, Any], where: str) -> bool:
    """Return whether a row with ``messages`` is a preference too, its answers stated, as in UltraFeedback (binarized).

    Raises ``DataError`` unless the messages are the prompt with the chosen answer: the row would be one thing to a
    stage that learns chats, and another to one that learns preferences.
    """
    if row.get("chosen") is None or row.get("rejected") is None:
        return False
    try:
        prompt, chosen, _ = preference_of(row, where)
    except DataError as error:
        raise DataError(f"{error}. It {BOTH}") from None
    if turns_of(row, "messages", where) != (*prompt, Turn("assistant", chosen)):
        raise DataError(f"{where}: messages are not the prompt with the chosen answer. It {BOTH}")
    return True


def _conversation(row: Mapping[str, Any], column: str, where: str) -> tuple[tuple[Turn, ...], str]:
    """Return the turns before an answer, and the answer."""
    if not isinstance(row[column], list):
        return (), text_of(row, column, where)
    *before, last = turns_of(row, column, where)
    if last.role != "assistant":
        raise DataError(f"{where}: {column} ends with a turn of the {last.role}, not with the assistant's answer")
    return tuple(before), last.content
