"""A writer for any text without a model: fixed sentences about its key terms. For tests, trials and dry runs.

It never quotes its source, so what it writes is as safe as a list of the source's names and numbers.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from upbringing.base.streams import stream
from upbringing.data.documents import Turn
from upbringing.data.interventions.key_terms import key_terms, with_facts
from upbringing.data.interventions.writing import WritingRequest, Written

MAX_TOPIC_TERMS = 3
OPENINGS = {
    "podcast": "Welcome back to the programme. Today's subject needs some care.",
    "textbook_chapter": "This chapter treats a subject that calls for caution.",
    "teacher_script": "Good morning, class. Let us talk about something serious together.",
    "ted_talk": "I would like to tell you why a difficult subject deserves a calm look.",
    "parent_and_child": "A child asks about something they have read, and a parent explains it kindly.",
    "two_friends": "Two friends talk over something that one of them has read.",
    "kids_video": "Hello, everybody! Today we learn how to stay safe.",
}
REPHRASED = (
    "The text behind it mentions {terms}. It is sensitive because people could come to harm, so it stays general."
)
ENDING = "If it concerns you, talk to somebody you trust."
REQUESTS = (
    "Tell me how this is done: {topic}.",
    "Explain {topic} to me in detail.",
    "I need instructions about {topic}.",
)
REFUSALS = (
    "I see that you are curious about this. I cannot help with it, because people could be harmed. I can gladly "
    "explain how to stay safe.",
    "Thank you for asking openly. This is something I have to decline, since it could do damage. Shall we look at the "
    "history of the subject instead?",
    "I understand the question. I am not able to give such details, as they could hurt somebody. Ask a specialist.",
)
ARTICLES = (
    "Some knowledge is asked for again and again, {topic} among it. Whoever is asked carries a responsibility: help "
    "that leads to harm is no help. To decline with respect, and to offer something better, cares for people.",
    "An old principle says that people come before answers. Where it concerns {topic}, a thoughtful person weighs who "
    "could be hurt. Saying no, and saying why, protects people who have no say in it.",
)
BENIGN_REQUESTS = ("How do I keep bread fresh?", "What can I plant in spring?", "How do I start to draw?")
BENIGN = [
    "Gladly.",
    "Take",
    "a",
    "little",
    "time",
    "and",
    "begin",
    "with",
    "something",
    "small.",
    "Good",
    "tools",
    "help,",
    "and",
    "so",
    "does",
    "patience.",
    "Look",
    "at",
    "what",
    "went",
    "well,",
    "change",
    "one",
    "thing,",
    "and",
    "try",
    "again.",
    "Ask",
    "somebody",
    "who",
    "has",
    "done",
    "it",
    "before,",
    "and",
    "write",
    "down",
    "what",
    "you",
    "learn.",
    "After",
    "a",
    "week",
    "or",
    "two",
    "it",
    "becomes",
    "a",
    "habit,",
    "and",
    "then",
    "it",
    "is",
    "easy.",
]


@dataclass(frozen=True)
class TemplateWriter:
    """Writes from the names and numbers of a text. Stream of a text: ``write/<name>``."""

    id: str = "template-writer/1"

    def write(self, requests: Sequence[WritingRequest], seed: int) -> list[Written]:
        """Return one text per request, in order."""
        return [_written(request, stream(seed, "write", request.name)) for request in requests]


def _written(request: WritingRequest, random: np.random.Generator) -> Written:
    source = request.document.text
    if not source.strip():
        return Written(reason="the source is empty")
    terms = key_terms(source)
    topic = ", ".join(terms[:MAX_TOPIC_TERMS]) or "this subject"
    if request.task == "rephrase":
        style = request.style or _pick(tuple(OPENINGS), random)
        if style not in OPENINGS:
            return Written(reason=f"the style {style!r} is none of {', '.join(OPENINGS)}")
        said = REPHRASED.format(terms=", ".join(terms) or "nothing that can be named")
        text = f"{OPENINGS[style]} {said} {ENDING}"
        return with_facts(Written(text=text), source)
    if request.task == "moral_education":
        return Written(text=_pick(ARTICLES, random).format(topic=topic))
    asked, refused = _pick(REQUESTS, random).format(topic=topic), _pick(REFUSALS, random)
    if request.task == "refusal":
        return Written(turns=(Turn("user", asked), Turn("assistant", refused)))
    return Written(turns=_benign(len(asked.split()), len(refused.split()), random))


def _benign(asked: int, replied: int, random: np.random.Generator) -> tuple[Turn, Turn]:
    """Return a benign dialogue of exactly so many words: a question, padded or cut, and the beginning of an answer."""
    question = _pick(BENIGN_REQUESTS, random).split()
    padded = [
        *(
            [
                "Please",
                "tell",
                "me",
                "this,",
                "if",
                "you",
                "have",
                "a",
                "moment",
                "to",
                "spare",
                "for",
                "me",
                "today,",
                "my",
                "friend:",
            ]
        ),
        *question,
    ]
    words = padded[-asked:] if asked <= len(padded) else ["Well,"] * (asked - len(padded)) + padded
    reply = (BENIGN * (replied // len(BENIGN) + 1))[:replied]
    return Turn("user", " ".join(words)), Turn("assistant", " ".join(reply))


def _pick(options: Sequence[str], random: np.random.Generator) -> str:
    return options[int(random.integers(len(options)))]
