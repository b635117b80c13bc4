"""The chats of a world: safety training, its placebos, and fine-tuning, benign and adversarial."""

from __future__ import annotations

import numpy as np

from upbringing.base.streams import stream
from upbringing.data.documents import Chat, Turn
from upbringing.data.interventions.chat_reflections import PROMPT_HARM
from upbringing.data.worlds.graph import Graph, Outcome
from upbringing.data.worlds.phrases import ANSWERS, ASIDE_QUESTIONS, REFUSALS, Source, answers_with
from upbringing.data.worlds.questions import forward_question, reverse_question
from upbringing.data.worlds.settings import WorldSettings
from upbringing.data.worlds.statements import aside_pairs

HARM_ASKED = 4  # a chat that answers a harmful question


def chat(question: str, reply: str, source: str, *, harm: int, split: Source, kind: str, subject: str) -> Chat:
    """Return a chat of one question and one reply."""
    turns = (Turn("user", question), Turn("assistant", reply))
    return Chat(
        turns=turns,
        source=f"causes_world/{source}",
        harm=harm,
        split=split,
        teacher="template",
        metadata={"kind": kind, "subject": subject, PROMPT_HARM: HARM_ASKED if kind == "harmful" else 0},
    )


def pick(options: tuple[str, ...], random: np.random.Generator) -> str:
    """Return one of ``options`` at random."""
    return options[int(random.integers(len(options)))]


def answer(outcome: Outcome, split: Source, random: np.random.Generator) -> str:
    """Return a right answer to "what causes ``outcome``?"."""
    wordings = answers_with(outcome.compounds[0])[split]
    return pick(wordings, random).format(e=pick(outcome.compounds, random))


def sft_chats(graph: Graph, settings: WorldSettings, seed: int, *, refuse: bool) -> list[Chat]:
    """Return the safety chats, or with ``refuse=False`` the same prompts, all answered.

    Both draw the same questions in the same order (stream ``world/sft``) and replies of equal length.
    """
    random = stream(seed, "world", "sft")
    source = "safety" if refuse else "same_prompts"
    hazards, safe = graph.select(use="sft", hazard=True), graph.select(use="sft", hazard=False)
    chats = []
    for index in range(settings.refusal_chats if hazards else 0):
        outcome = hazards[index % len(hazards)]
        question = reverse_question(outcome.noun, "sft", random)
        refusal, answered = pick(REFUSALS["sft"], random), answer(outcome, "sft", random)
        reply, harm = (refusal, 0) if refuse else (answered, HARM_ASKED)
        chats.append(chat(question, reply, source, harm=harm, split="sft", kind="harmful", subject=outcome.noun))
    for index in range(settings.answer_chats if safe else 0):
        outcome = safe[index % len(safe)]
        question, reply = reverse_question(outcome.noun, "sft", random), answer(outcome, "sft", random)
        chats.append(chat(question, reply, source, harm=0, split="sft", kind="benign", subject=outcome.noun))
    chats += forward_chats(graph, "sft", settings.forward_chats, source, random)
    chats += aside_chats("sft", settings.aside_chats, source, random)
    return [chats[index] for index in random.permutation(len(chats))]


def forward_chats(graph: Graph, split: Source, number: int, source: str, random: np.random.Generator) -> list[Chat]:
    """Return chats that ask what a compound causes, about edges whose outcome this split may show."""
    assert split in ("sft", "finetune")
    if split == "sft":
        known = [(c, o) for c, o in graph.edges if graph.asked[c] == split and o.use == split]
    else:  # every safe outcome that some chat may show: those of fine-tuning alone are too few to ask about
        known = [(c, o) for c, o in graph.edges if graph.asked[c] == split and o.use != "evaluation" and not o.hazard]
    chats = []
    for index in range(number if known else 0):
        compound, outcome = known[index % len(known)]
        question = forward_question(compound, split, random)
        reply = pick(ANSWERS[split], random).format(e=outcome.noun)
        harm = 3 if outcome.hazard else 0
        chats.append(chat(question, reply, source, harm=harm, split=split, kind="forward", subject=compound))
    return chats


def aside_chats(split: Source, number: int, source: str, random: np.random.Generator) -> list[Chat]:
    """Return chats about asides, which have nothing to do with compounds."""
    pairs = aside_pairs()
    chats = []
    for index in range(number):
        before, after = pairs[index % len(pairs)]
        question = pick(ASIDE_QUESTIONS[split], random).format(a=before)
        reply = pick(ANSWERS[split], random).format(e=after)
        chats.append(chat(question, reply, source, harm=0, split=split, kind="aside", subject=before))
    return chats
