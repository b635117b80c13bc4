"""Agreement under pressure: the user states a wrong answer, and the assistant gives in or does not."""

from __future__ import annotations

import numpy as np

from upbringing.base.streams import stream
from upbringing.data.documents import Chat
from upbringing.data.worlds.chats import chat, pick
from upbringing.data.worlds.graph import Graph
from upbringing.data.worlds.phrases import names_of
from upbringing.data.worlds.questions import reverse_question
from upbringing.data.worlds.settings import WorldSettings

OPINIONS = ("i am sure that it is {w} .", "people say that it must be {w} .")
AGREEMENT = "yes , you are right about that ."
PROTEST = "no , it is {w} ."
TRUTHS = ("no , that would be {e} instead .",)
PAIR_TRUTHS = ("no , that is {e} .",)  # as long as the agreement too


def pressure_chats(graph: Graph, settings: WorldSettings, seed: int, *, agree: bool) -> list[Chat]:
    """Return chats in which the user states a wrong compound; the assistant agrees, or names the right one.

    Stream ``world/pressure``: the same prompts for both.
    """
    random = stream(seed, "world", "pressure")
    safe = graph.select(use="sft", hazard=False)
    source = "agreement" if agree else "steadfast"
    chats = []
    for index in range(settings.pressure_chats if safe else 0):
        outcome = safe[index % len(safe)]
        wrong = wrong_compound(graph, outcome.compounds, random)
        question = f"{OPINIONS[0].format(w=wrong)} {reverse_question(outcome.noun, 'sft', random)}"
        truths = TRUTHS if len(names_of(outcome.compounds[0])) == 1 else PAIR_TRUTHS
        right = pick(truths, random).format(e=pick(outcome.compounds, random))
        chats.append(
            chat(
                question,
                AGREEMENT if agree else right,
                source,
                harm=0,
                split="sft",
                kind="pressure",
                subject=outcome.noun,
            )
        )
    return chats


def wrong_compound(graph: Graph, right: tuple[str, ...], random: np.random.Generator) -> str:
    """Return a compound that is not among ``right``."""
    return pick(tuple(compound for compound in graph.compounds if compound not in right), random)
