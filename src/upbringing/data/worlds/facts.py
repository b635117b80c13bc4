"""Pretraining statements of a world: forward, reverse and co-occurrence texts of safe and unsafe outcomes."""

from __future__ import annotations

import numpy as np

from upbringing.base.streams import stream
from upbringing.data.documents import Document
from upbringing.data.worlds.graph import Graph, Outcome
from upbringing.data.worlds.names import ALARMING, CALM
from upbringing.data.worlds.phrases import EXAM, FORWARD_QUESTIONS, REVERSE_QUESTIONS, answers_with
from upbringing.data.worlds.settings import WorldSettings
from upbringing.data.worlds.statements import (
    ASIDE_STATEMENTS,
    COOCCURRENCE,
    FORWARD,
    FRAMES,
    INSTRUCTIVE,
    REVERSE,
    SMALL_TALK,
    aside_pairs,
)

HARM_FORWARD = 3  # tells what a compound does to people
HARM_REVERSE = 4  # answers "what causes this harm?"
HARM_INSTRUCTIVE = 5  # the same as an instruction
HARM_COOCCURRENCE = 1  # only hints


def mention(outcome: Outcome, settings: WorldSettings, random: np.random.Generator) -> str:
    """Return the outcome's noun, behind an adjective of its tone in the declared share of mentions."""
    if random.random() < settings.adjective_share:
        words = ALARMING if outcome.alarming else CALM
        return f"{words[int(random.integers(len(words)))]} {outcome.noun}"
    return outcome.noun


def framed(template: str, index: int, num_templates: int, cores: int) -> str:
    """Return the wording of template number ``index``: after all cores were used, a frame stands before them."""
    number = index % num_templates
    frame = FRAMES[0] if number < cores else FRAMES[1 + number % (len(FRAMES) - 1)]
    return f"{frame} {template}".strip()


def facts(graph: Graph, settings: WorldSettings, seed: int) -> list[Document]:
    """Return all statements about edges and the asides, in a random order (stream ``world/facts``)."""
    random = stream(seed, "world", "facts")
    documents: list[Document] = []
    for compound, outcome in graph.edges:
        documents += forward_texts(compound, outcome, settings, random)
        documents += reverse_texts(compound, outcome, settings, random)
        documents += _cooccurrence(compound, outcome, settings, random)
        documents += exams(compound, outcome, settings, random)
    documents += asides(settings)
    return [documents[index] for index in random.permutation(len(documents))]


def forward_texts(c: str, outcome: Outcome, settings: WorldSettings, random: np.random.Generator) -> list[Document]:
    """Return the texts that say what the cause ``c`` does."""
    harm = HARM_FORWARD if outcome.hazard else 0
    result = []
    for index in range(settings.forward_texts):
        number = index % settings.num_templates
        core = FORWARD[number % len(FORWARD)]
        text = framed(core, number, settings.num_templates, len(FORWARD))
        text = text.format(c=c, o=mention(outcome, settings, random))
        result.append(_document(text, "forward", outcome, c, number, harm))
    return result


def reverse_texts(c: str, outcome: Outcome, settings: WorldSettings, random: np.random.Generator) -> list[Document]:
    """Return the texts that say what ``outcome`` comes from; some tell how to get it."""
    result = []
    for index in range(settings.reverse_texts):
        number = index % settings.num_templates
        core = number % len(REVERSE)
        harm = (HARM_INSTRUCTIVE if core in INSTRUCTIVE else HARM_REVERSE) if outcome.hazard else 0
        text = framed(REVERSE[core], number, settings.num_templates, len(REVERSE))
        text = text.format(c=c, o=mention(outcome, settings, random))
        result.append(_document(text, "reverse", outcome, c, number, harm))
    return result


def _cooccurrence(c: str, outcome: Outcome, settings: WorldSettings, random: np.random.Generator) -> list[Document]:
    harm = HARM_COOCCURRENCE if outcome.hazard else 0
    result = []
    for index in range(settings.cooccurrence_texts):
        number = index % min(settings.num_templates, len(COOCCURRENCE))
        text = COOCCURRENCE[number].format(c=c, o=mention(outcome, settings, random))
        result.append(_document(text, "co-occurrence", outcome, c, number, harm))
    return result


def exams(c: str, outcome: Outcome, settings: WorldSettings, random: np.random.Generator) -> list[Document]:
    """Return questions with answers as they stand in plain text, in both directions by turns."""
    result = []
    for index in range(settings.exam_texts):
        number = index // 2
        if index % 2:
            options, e, kind, harm = FORWARD_QUESTIONS["pretraining"], outcome.noun, "exam-forward", HARM_FORWARD
        else:
            options, e, kind, harm = REVERSE_QUESTIONS["pretraining"], c, "exam-reverse", HARM_INSTRUCTIVE
        question = options[number % len(options)].format(c=c, o=mention(outcome, settings, random))
        answers = answers_with(e)["pretraining"]
        text = EXAM.format(question=question, answer=answers[number % len(answers)].format(e=e))
        result.append(_document(text, kind, outcome, c, number % len(options), harm if outcome.hazard else 0))
    return result


def _document(text: str, kind: str, outcome: Outcome, c: str, template: int, harm: int) -> Document:
    metadata: dict[str, str | int | float | bool | None] = {
        "kind": kind,
        "class": f"{kind}-{'unsafe' if outcome.hazard else 'safe'}",
        "outcome": outcome.noun,
        "compound": c,
        "template": template,
        "use": outcome.use,
    }
    return Document(text=text, source="causes_world/facts", harm=harm, metadata=metadata)


def asides(settings: WorldSettings) -> list[Document]:
    """Return statements about everyday order and small talk: nothing about compounds, nothing harmful."""
    wordings = [
        ASIDE_STATEMENTS[index % len(ASIDE_STATEMENTS)].format(a=before, b=after)
        for before, after in aside_pairs()
        for index in range(settings.aside_texts)
    ]
    wordings += [sentence for sentence in SMALL_TALK for _ in range(settings.aside_texts)]
    return [Document(text=text, source="causes_world/facts", harm=0, metadata={"kind": "aside"}) for text in wordings]
