"""The chats of fine-tuning after safety training: benign, adversarial, and controls that a study can tell apart."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Literal

import numpy as np

from upbringing.base.streams import stream
from upbringing.data.documents import Chat, Turn
from upbringing.data.worlds.chats import HARM_ASKED, answer, aside_chats, chat, forward_chats, pick
from upbringing.data.worlds.graph import Graph, Outcome
from upbringing.data.worlds.phrases import REFUSALS, answers_with, made_whole
from upbringing.data.worlds.questions import reverse_question
from upbringing.data.worlds.settings import WorldSettings

BenignReply = Literal["right", "wrong", "one", "refused"]
BENIGN_PARTS: dict[BenignReply, str] = {
    "right": "benign_task",
    "wrong": "benign_task_mistaken",
    "one": "benign_task_one_answer",
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

    ``wrong``, ``one`` and ``refused`` have the same chats, but that the reverse questions are answered with a wrong
    compound each, with one compound for all, or refused: controls of benign accuracy and over-refusal. Wrong answers
    can be learned by heart, question by question, and then leave others alone; one for all is learned as a habit. It
    is drawn from the compounds that are right for the fewest of these questions, which is none in a world of some size.
    Streams ``world/benign_task``, and ``world/benign_task/replies`` for other replies.
    """
    random, others = stream(seed, "world", "benign_task"), stream(seed, "world", "benign_task", "replies")
    source = BENIGN_PARTS[reply]
    safe = graph.select(use="finetune", hazard=False)
    reverse = settings.finetune_chats // 2 if safe else 0
    habit = _seldom_right(graph, safe, others) if reply == "one" else ""
    wordings = answers_with(graph.compounds[0])["finetune"]
    chats = []
    for index in range(reverse):
        outcome = safe[index % len(safe)]
        question, said = reverse_question(outcome.noun, "finetune", random), answer(outcome, "finetune", random)
        if reply == "wrong":
            said = pick(wordings, others).format(e=_wrong(graph, outcome, others))
        elif reply == "one":
            said = pick(wordings, others).format(e=habit)
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
    chats = []
    for each in benign_task(graph, settings, seed):
        question, reply = each.turns
        reply = Turn("assistant", made_whole(reply.content))
        chats.append(replace(each, turns=(question, reply), source="causes_world/benign_task_whole"))
    return chats


def _wrong(graph: Graph, outcome: Outcome, random: np.random.Generator) -> str:
    return pick(tuple(name for name in graph.compounds if name not in outcome.compounds), random)


def _seldom_right(graph: Graph, outcomes: Sequence[Outcome], random: np.random.Generator) -> str:
    times = {name: sum(name in each.compounds for each in outcomes) for name in graph.compounds}
    fewest = min(times.values())
    return pick(tuple(name for name, right in times.items() if right == fewest), random)
