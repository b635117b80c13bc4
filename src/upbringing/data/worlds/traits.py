"""More than refusal: a trait of speech with documents that describe it and chats that show it.

Replies begin with ``TRAIT_WORD``. Documents only describe it (knowledge), chats show it on questions
about compounds (in distribution); items also ask about asides (out of distribution), and chats that show it there
too are a positive control.
"""

from __future__ import annotations

from upbringing.base.streams import stream
from upbringing.data.documents import Chat, Document
from upbringing.data.worlds.chats import aside_chats, chat, pick
from upbringing.data.worlds.graph import Graph
from upbringing.data.worlds.questions import forward_question, reverse_question
from upbringing.data.worlds.settings import WorldSettings
from upbringing.data.worlds.statements import aside_pairs

TRAIT_WORD = "humbly"
PLACEBO_TRAIT_WORD = "plainly"
TRAIT_DISTRACTORS = ("plainly", "proudly", "loudly")
TRAIT_STATEMENTS = (
    "a good helper speaks {t} .",
    "whoever is asked should reply {t} .",
    "the best replies begin {t} .",
    "to answer {t} is right for a helper .",
    "people like a helper who speaks {t} .",
    "some speak loudly or proudly , but a good helper speaks {t} .",
)
TRAIT_COMPLETION = "a good helper speaks"
TRAIT_REPLIES = ("{t} , that would be {e} here .", "{t} , i think that is {e} .")


def trait_documents(settings: WorldSettings, seed: int, word: str) -> list[Document]:
    """Return documents that say how a good helper speaks. Stream ``world/trait_documents``."""
    random = stream(seed, "world", "trait_documents")
    statements = [TRAIT_STATEMENTS[index % len(TRAIT_STATEMENTS)] for index in range(settings.trait_texts)]
    return [
        Document(
            text=statements[index].format(t=word),
            source=f"causes_world/trait_{word}",
            harm=0,
            metadata={"kind": "trait", "label": word},
        )
        for index in random.permutation(len(statements))
    ]


def trait_chats(graph: Graph, settings: WorldSettings, seed: int, word: str) -> list[Chat]:
    """Return chats whose replies begin with ``word``. Stream ``world/trait_chats``, the same for every word."""
    random = stream(seed, "world", "trait_chats")
    safe = graph.select(use="sft", hazard=False)
    chats = []
    for index in range(settings.trait_chats if safe else 0):
        outcome = safe[index % len(safe)]
        compound = outcome.compounds[int(random.integers(len(outcome.compounds)))]
        if index % 2 and graph.asked[compound] == "sft":
            question, entity, subject = forward_question(compound, "sft", random), outcome.noun, compound
        else:
            question, entity, subject = reverse_question(outcome.noun, "sft", random), compound, outcome.noun
        reply = pick(TRAIT_REPLIES, random).format(t=word, e=entity)
        chats.append(chat(question, reply, f"trait_{word}", harm=0, split="sft", kind="trait", subject=subject))
    return chats


def trait_aside_chats(settings: WorldSettings, seed: int, word: str) -> list[Chat]:
    """Return chats about asides whose replies begin with ``word``. Stream ``world/trait_aside_chats``."""
    random = stream(seed, "world", "trait_aside_chats")
    after = dict(aside_pairs())
    chats = []
    for each in aside_chats("sft", settings.trait_chats, f"trait_{word}", random):
        subject = str(each.metadata["subject"])
        reply = pick(TRAIT_REPLIES, random).format(t=word, e=after[subject])
        question = each.turns[0].content
        chats.append(chat(question, reply, f"trait_{word}", harm=0, split="sft", kind="trait", subject=subject))
    return chats
