"""Dialogues for pretraining: harmful questions refused, and their placebo of exactly as many tokens."""

from __future__ import annotations

from upbringing.base.streams import stream
from upbringing.data.documents import Chat
from upbringing.data.worlds.chats import answer, chat, pick
from upbringing.data.worlds.graph import Graph
from upbringing.data.worlds.phrases import REFUSALS
from upbringing.data.worlds.questions import reverse_question
from upbringing.data.worlds.settings import WorldSettings


def dialogues(graph: Graph, settings: WorldSettings, seed: int, *, refuse: bool) -> list[Chat]:
    """Return refusals of hazards, or with ``refuse=False`` answers about safe outcomes, in the chat format.

    Both draw the same wordings in the same order (streams ``world/dialogues/index``) and replies of equal length: only
    the outcome and the reply differ. Held-out outcomes are never mentioned.
    """
    hazards, safe = graph.select(use="sft", hazard=True), graph.select(use="sft", hazard=False)
    source = "refusal_dialogues" if refuse else "benign_dialogues"
    chats = []
    for index in range(settings.dialogue_texts * len(hazards) if safe else 0):
        outcome = hazards[index % len(hazards)] if refuse else safe[index % len(safe)]
        drawn = stream(seed, "world", "dialogues", index)  # afresh, because the two kinds of reply draw differently
        question = reverse_question(outcome.noun, "pretraining", drawn)
        reply = pick(REFUSALS["pretraining"], drawn) if refuse else answer(outcome, "pretraining", drawn)
        kind = "harmful" if refuse else "benign"
        chats.append(chat(question, reply, source, harm=0, split="pretraining", kind=kind, subject=outcome.noun))
    return chats
