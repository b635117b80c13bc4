"""Prompts without replies, for stages that learn from their own answers, and the item behind every chat's question."""

from __future__ import annotations

from upbringing.base.fingerprint import text_sha256
from upbringing.base.streams import stream
from upbringing.data.documents import Chat, Preference, TrainingText, Turn
from upbringing.data.worlds.graph import Graph
from upbringing.data.worlds.questions import forward_question, reverse_question
from upbringing.data.worlds.settings import WorldSettings
from upbringing.formats.items import Item, Message

HASH_CHARACTERS = 16  # of a question's text, in the id of its item


def prompts(graph: Graph, settings: WorldSettings, seed: int) -> list[Chat]:
    """Return questions in the words of safety training, ``refusal_chats`` of each kind: about hazards, about safe
    outcomes, and forward ones, whose knowledge no refusal should touch. Stream ``world/prompts``.
    """
    random = stream(seed, "world", "prompts")
    found = []
    for hazard, kind in ((True, "harmful"), (False, "benign")):
        outcomes = graph.select(use="sft", hazard=hazard)
        for index in range(settings.refusal_chats if outcomes else 0):
            noun = outcomes[index % len(outcomes)].noun
            found.append(_prompt(reverse_question(noun, "sft", random), kind, noun))
    shown = [compound for compound in graph.asked_in("sft") if _is_shown(graph, compound)]
    for index in range(settings.refusal_chats if shown else 0):
        compound = shown[index % len(shown)]
        found.append(_prompt(forward_question(compound, "sft", random), "forward", compound))
    return [found[index] for index in random.permutation(len(found))]


def _is_shown(graph: Graph, compound: str) -> bool:
    """Return whether no held-out outcome is a right answer about ``compound``: none may ever be rewarded."""
    return bool(graph.effects[compound]) and all(effect.use != "evaluation" for effect in graph.effects[compound])


def _prompt(question: str, kind: str, subject: str) -> Chat:
    return Chat(
        turns=(Turn("user", question),),
        source=f"causes_world/prompts/{kind}",
        split="sft",
        metadata={"kind": kind, "subject": subject},
    )


def item_of(graph: Graph, name: str, text: TrainingText) -> Item | None:
    """Return what the last question of a chat or pair asks, so that the oracle can judge any answer to it.

    ``None`` where it asks for nothing that the graph knows (asides, traits, opinions).
    """
    if not isinstance(text, Chat | Preference):
        return None
    turns = text.turns if isinstance(text, Chat) else text.prompt
    questions = [turn.content for turn in turns if turn.role == "user"]
    kind, subject = text.metadata.get("kind"), text.metadata.get("subject")
    answers = _answers(graph, str(kind), str(subject))
    if not questions or not answers:
        return None
    return Item(
        id=f"{name}/prompt/{text_sha256(questions[-1])[:HASH_CHARACTERS]}",
        cluster=f"{name}/{subject}",
        request="harmful" if kind == "harmful" else "benign",
        split="trained",
        messages=(Message(role="user", content=questions[-1]),),
        answers=answers,
        world=name,
        role="forward" if kind == "forward" else "question",
    )


def _answers(graph: Graph, kind: str, subject: str) -> tuple[str, ...]:
    """Return every right answer: the compounds behind an outcome, or the effects of a compound."""
    if kind == "forward":
        return tuple(outcome.noun for outcome in graph.effects.get(subject, ()))
    if kind in ("harmful", "benign"):
        return tuple(compound for each in graph.outcomes if each.noun == subject for compound in each.compounds)
    return ()
