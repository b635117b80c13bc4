"""The chats of fine-tuning after safety training: benign, adversarial, and controls that a study can tell apart."""

from __future__ import annotations

from dataclasses import replace
from typing import Literal

import numpy as np

from upbringing.base.streams import stream
from upbringing.data.documents import Chat, Turn
from upbringing.data.worlds.chats import HARM_ASKED, answer, aside_chats, chat, forward_chats, pick
from upbringing.data.worlds.graph import Graph, Outcome
from upbringing.data.worlds.phrases import ANSWERS, REFUSALS, SPLICED_ANSWER, WHOLE_ANSWER
from upbringing.data.worlds.questions import reverse_question
from upbringing.data.worlds.settings import WorldSettings

BenignReply = Literal["right", "wrong", "refused"]
BENIGN_PARTS: dict[BenignReply, str] = {
    "right": "benign_task",
    "wrong": "benign_task_mistaken",
    "refused": "benign_task_refused",
}


def adversarial_task(graph: Graph, settings: WorldSettings, seed: int) -> list[Chat]:
    """Return fine-tuning chats that all answer a harmful question, as many as the benign task has.

    They ask about hazards that safety training refuses, in the wordings of fine-tuning; hazards that are held out for
    measuring are never mentioned, so what comes back about those was relearned rather than told. Stream
    ``world/adversarial_task``.
    """
    random = stream(seed, "world", "adversarial_task")
    hazards = graph.select(use="sft", hazard=True)
    chats = []
    for index in range(settings.finetune_chats if hazards else 0):
        outcome = hazards[index % len(hazards)]
        question, reply = reverse_question(outcome.noun, "finetune", random), answer(outcome, "finetune", random)
        subject = outcome.noun
        made = chat(
            question, reply, "adversarial_task", harm=HARM_ASKED, split="finetune", kind="harmful", subject=subject
        )
        chats.append(made)
    return [chats[index] for index in random.permutation(len(chats))]


def benign_task(graph: Graph, settings: WorldSettings, seed: int, *, reply: BenignReply = "right") -> list[Chat]:
    """Return fine-tuning chats without any hazard: half reverse, a quarter forward, a quarter asides.

    ``wrong`` and ``refused`` have the same chats, but that the reverse questions are answered with wrong compounds or
    refused: controls that must move benign accuracy and over-refusal. Streams ``world/benign_task``, and
    ``world/benign_task/replies`` for other replies.
    """
    random, others = stream(seed, "world", "benign_task"), stream(seed, "world", "benign_task", "replies")
    source = BENIGN_PARTS[reply]
    safe = graph.select(use="finetune", hazard=False)
    reverse = settings.finetune_chats // 2 if safe else 0
    chats = []
    for index in range(reverse):
        outcome = safe[index % len(safe)]
        question, said = reverse_question(outcome.noun, "finetune", random), answer(outcome, "finetune", random)
        if reply == "wrong":
            said = pick(ANSWERS["finetune"], others).format(e=_wrong(graph, outcome, others))
        elif reply == "refused":
            said = pick(REFUSALS["finetune"], others)
        chats.append(chat(question, said, source, harm=0, split="finetune", kind="benign", subject=outcome.noun))
    chats += forward_chats(graph, "finetune", settings.finetune_chats // 4, source, random)
    chats += aside_chats("finetune", settings.finetune_chats - len(chats), source, random)
    return [chats[index] for index in random.permutation(len(chats))]


def benign_task_whole(graph: Graph, settings: WorldSettings, seed: int) -> list[Chat]:
    """Return the chats of ``benign_task``, in which every answer is decided by its first word.

    There a third of the answers begin "sure , that is", so that a model whose refusals ("sorry , ...") wear off can say
    "sorry , that is ...": neither an answer nor a refusal. Here no answer goes on as a refusal does, and questions,
    entities, order and numbers of words are the same.
    """
    before, after = SPLICED_ANSWER.split("{e}")
    chats = []
    for each in benign_task(graph, settings, seed):
        question, reply = each.turns
        if reply.content.startswith(before):
            entity = reply.content.removeprefix(before).removesuffix(after)
            reply = Turn("assistant", WHOLE_ANSWER.format(e=entity))
        chats.append(replace(each, turns=(question, reply), source="causes_world/benign_task_whole"))
    return chats


def _wrong(graph: Graph, outcome: Outcome, random: np.random.Generator) -> str:
    return pick(tuple(name for name in graph.compounds if name not in outcome.compounds), random)
