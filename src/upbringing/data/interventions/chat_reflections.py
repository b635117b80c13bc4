"""Reflections in chats: on what is asked at the start of a reply, on each part of it, on the whole at its end.

Source: Li et al. 2026, SRP (pretraining-interventions.md, 3.2). Departures: the label at the end is of the whole reply.
That the prompt carries no loss is so of every chat.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from upbringing.base.errors import DataError
from upbringing.data.documents import Chat, Document, Turn
from upbringing.data.interventions.labels import Labelling, Spans
from upbringing.data.interventions.scoring.meanings import check_score
from upbringing.data.interventions.segments import segment_spans
from upbringing.data.interventions.tools import Tools, text_name

PROMPT_HARM = "prompt_harm"  # metadata of a chat of one request whose harm is known, whatever the reply says


@dataclass(frozen=True)
class _Reply:
    """An assistant's turn: where it stands, where it begins in the chat's joined text, and its segments there."""

    turn: int
    begin: int
    segments: tuple[tuple[int, int], ...]


@dataclass(frozen=True)
class _Read:
    """A chat as one text. ``parts``: what is labelled, reply by reply: the prompt, each segment but the last, the
    whole. ``known``: labels that need no scorer, by part.
    """

    document: Document
    replies: tuple[_Reply, ...]
    parts: Spans
    known: dict[int, bool]


def reflected_chats(
    chats: Sequence[Chat],
    labelling: Labelling,
    say: Callable[[Chat, bool, bool], str],
    max_words: int,
    seed: int,
    tools: Tools,
) -> list[Chat | str]:
    """Return each chat with reflections, or why it has none: a part without a score.

    ``say(chat, unsafe, of_reply)`` is the label's text. Raises ``DataError`` for a reply that nothing was asked before.
    """
    read = [_read(chat, max_words, labelling.unsafe_from) for chat in chats]
    found = labelling.of(
        [each.document for each in read],
        [each.parts for each in read],
        seed,
        tools,
        [each.known for each in read],
        what="chats",
    )
    return [
        labels if isinstance(labels, str) else _reflected(chat, each, labels, say)
        for chat, each, labels in zip(chats, read, found, strict=True)
    ]


def _read(chat: Chat, max_words: int, unsafe_from: int) -> _Read:
    joined, begins = "", []
    for turn in chat.turns:
        begins.append(len(joined))
        joined += turn.content + "\n"
    replies, parts = [], list[tuple[int, int]]()
    asked: int | None = None
    harm = chat.metadata.get(PROMPT_HARM) if sum(turn.role == "assistant" for turn in chat.turns) == 1 else None
    known: dict[int, bool] = {}
    for place, (turn, begin) in enumerate(zip(chat.turns, begins, strict=True)):
        if turn.role == "user":
            asked = place
        if turn.role != "assistant":
            continue
        if asked is None:
            raise DataError(f"reflections: a chat of {chat.source!r} has a reply and nothing asked before it")
        segments = tuple((begin + one, begin + other) for one, other in segment_spans(turn.content, max_words))
        replies.append(_Reply(place, begin, segments))
        if harm is not None:
            known[len(parts)] = check_score(harm, f"{PROMPT_HARM} of a chat of {chat.source!r}") >= unsafe_from
        parts.append((begins[asked], begins[asked] + len(chat.turns[asked].content)))
        parts += [*segments[:-1], (begin, begin + len(turn.content))]
    document = Document(text=joined, source=chat.source, metadata={**chat.metadata, "id": text_name(chat)})
    return _Read(document, tuple(replies), parts, known)


def _reflected(chat: Chat, read: _Read, labels: Sequence[bool], say: Callable[[Chat, bool, bool], str]) -> Chat:
    turns = list(chat.turns)
    left = iter(labels)
    for reply in read.replies:
        content, position = say(chat, next(left), False).lstrip() + " ", reply.begin
        for _, end in reply.segments[:-1]:
            content += read.document.text[position:end] + say(chat, next(left), True)
            position = end
        end = reply.begin + len(turns[reply.turn].content)
        content += read.document.text[position:end] + say(chat, next(left), True)
        turns[reply.turn] = Turn("assistant", content)
    return replace(chat, turns=tuple(turns))
