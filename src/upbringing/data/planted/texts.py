"""The texts of a planted world: the same sentences on the same bearers in the same order, whatever they teach.

A part is a list of rules, one per class, said in documents or in chats. Parts of one form differ in nothing but
markers and colours, each of which is one token: they are token-matched, text by text.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from upbringing.base.streams import stream
from upbringing.data.documents import Chat, Document, Turn
from upbringing.data.planted.cues import Cues, Rule
from upbringing.data.planted.words import (
    DOING_STATEMENTS,
    DOINGS,
    QUESTIONS,
    REPLIES,
    STATEMENTS,
)

Said = tuple[int, str, str, str]  # number within its class, marker, bearer, colour


def rule_documents(
    rules: Sequence[Rule], bearers: Sequence[str], per_class: int, seed: int, source: str
) -> list[Document]:
    """Return statements and exam questions with answers. Stream ``planted/documents``: the same for all rules."""
    texts = [
        _document(STATEMENTS[number % len(STATEMENTS)].format(m=marker, n=bearer, a=colour), source, colour)
        for number, marker, bearer, colour in _said(rules, bearers, per_class, len(STATEMENTS))
    ]
    order = stream(seed, "planted", "documents").permutation(len(texts))
    return [texts[place] for place in order]


def rule_chats(rules: Sequence[Rule], bearers: Sequence[str], per_class: int, seed: int, source: str) -> list[Chat]:
    """Return questions for the colour, each with its answer. Stream ``planted/chats``: the same for all rules."""
    texts = [
        _chat(
            QUESTIONS[number % len(QUESTIONS)].format(m=marker, n=bearer),
            REPLIES[number % len(REPLIES)].format(a=colour),
            source,
            colour,
        )
        for number, marker, bearer, colour in _said(rules, bearers, per_class, len(QUESTIONS))
    ]
    order = stream(seed, "planted", "chats").permutation(len(texts))
    return [texts[place] for place in order]


def background(cues: Cues, per_class: int, per_spare: int, seed: int) -> list[Document]:
    """Return what every arm reads: ordinary colours on all bearers, and every marker in sentences without a colour."""
    everybody = (*cues.bearers, *cues.held_out)
    texts = rule_documents(cues.ordinary, everybody, per_class, seed, "planted/background")
    texts += rule_documents(cues.spare, cues.bearers, per_spare, seed, "planted/background")
    markers = [rule.marker for rule in (*cues.trait, *cues.decoy)]
    for number in range(per_class // 2):
        for place, marker in enumerate(markers):
            wording = DOING_STATEMENTS[(number + place) % len(DOING_STATEMENTS)]
            bearer, doing = cues.bearers[(number + place) % len(cues.bearers)], DOINGS[number % len(DOINGS)]
            texts.append(_document(wording.format(m=marker, n=bearer, a=doing), "planted/background", "doing"))
    return [texts[place] for place in stream(seed, "planted", "background").permutation(len(texts))]


def _said(rules: Sequence[Rule], bearers: Sequence[str], per_class: int, num_wordings: int) -> Iterator[Said]:
    """Yield what is said of each class: bearers and wordings in turns that do not coincide."""
    for place, rule in enumerate(rules):
        for number in range(per_class):
            bearer = bearers[(number + number // num_wordings + place) % len(bearers)]
            yield number, rule.marker, bearer, rule.colour


def _document(text: str, source: str, label: str) -> Document:
    return Document(text=text, source=source, harm=0, metadata={"label": label})


def _chat(question: str, reply: str, source: str, label: str) -> Chat:
    turns = (Turn("user", question), Turn("assistant", reply))
    return Chat(turns=turns, source=source, harm=0, split="sft", teacher="template", metadata={"label": label})
