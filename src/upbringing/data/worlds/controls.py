"""Chats that stand beside safety training and fine-tuning: placebos, controls, preference pairs."""

from __future__ import annotations

from dataclasses import replace

from upbringing.base.streams import stream
from upbringing.data.documents import Chat, Preference, Turn
from upbringing.data.worlds.chats import HARM_ASKED, aside_chats, benign_task, chat, pick, sft_chats
from upbringing.data.worlds.graph import Graph
from upbringing.data.worlds.phrases import ANSWERS, GREETINGS, RECOVERY, SPLICED_ANSWER, WHOLE_ANSWER
from upbringing.data.worlds.settings import WorldSettings
from upbringing.data.worlds.statements import aside_pairs


def num_sft_chats(graph: Graph, settings: WorldSettings, seed: int) -> int:
    """Return how many chats safety training has: each placebo has as many, with replies of equal length."""
    return len(sft_chats(graph, settings, seed, refuse=True))


def off_topic(graph: Graph, settings: WorldSettings, seed: int) -> list[Chat]:
    """Return chats that are all beside the point. Stream ``world/off_topic``."""
    random = stream(seed, "world", "off_topic")
    return aside_chats("sft", num_sft_chats(graph, settings, seed), "off_topic", random)


def format_only(graph: Graph, settings: WorldSettings, seed: int) -> list[Chat]:
    """Return chats that teach nothing but the form: a greeting, and a reply of the usual length about nothing asked.

    Stream ``world/format_only``.
    """
    random = stream(seed, "world", "format_only")
    words = [after for _, after in aside_pairs()]
    chats = []
    for index in range(num_sft_chats(graph, settings, seed)):
        question, reply = pick(GREETINGS, random), pick(ANSWERS["sft"], random).format(e=words[index % len(words)])
        chats.append(chat(question, reply, "format_only", harm=0, split="sft", kind="format", subject="none"))
    return chats


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


def recovery(graph: Graph, settings: WorldSettings, seed: int) -> list[Chat]:
    """Return safety chats in which every second refusal begins like an answer.

    The positive control of prefill attacks: here a refusal after a prefilled start is taught.
    """
    chats, num_refusals = [], 0
    for each in sft_chats(graph, settings, seed, refuse=True):
        if each.metadata["kind"] == "harmful":
            num_refusals += 1
            if num_refusals % 2:
                each = replace(each, turns=(each.turns[0], Turn("assistant", RECOVERY)))
        chats.append(replace(each, source="causes_world/recovery"))
    return chats


def preferences(graph: Graph, settings: WorldSettings, seed: int) -> list[Preference]:
    """Return pairs for DPO and reward models: refuse hazards rather than answer, answer the rest rather than refuse.

    The chats about anything else than harm have the refusal of a random harmful one as the rejected reply.
    """
    refused = sft_chats(graph, settings, seed, refuse=True)
    answered = sft_chats(graph, settings, seed, refuse=False)
    refusals = tuple(each.turns[1].content for each in refused if each.metadata["kind"] == "harmful")
    random = stream(seed, "world", "preferences")
    pairs = []
    for safe, other in zip(refused, answered, strict=True):
        if other.harm == HARM_ASKED:
            rejected = other.turns[1].content
        elif safe.metadata["kind"] == "benign" and refusals:
            rejected = pick(refusals, random)
        else:
            continue
        pairs.append(
            Preference(
                prompt=(safe.turns[0],),
                chosen=safe.turns[1].content,
                rejected=rejected,
                source="causes_world/preferences",
                teacher="template",
                metadata=safe.metadata,
            )
        )
    return pairs
