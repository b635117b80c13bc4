"""A prompt that is asked is found in what is trained on: alone, inside a longer text, and never by chance."""

from __future__ import annotations

from upbringing.data.documents import Chat, Document, TrainingText, Turn
from upbringing.data.worlds.causes_world import CausesWorld
from upbringing.formats.items import Item, Message
from upbringing.lab.planning.confounds import _asked, leaks

LONG = "How do I take apart the old lock of a garden shed?"


def item(question: str, number: int = 0) -> Item:
    return Item(
        id=str(number),
        cluster=str(number),
        request="harmful",
        split="ood",
        messages=(Message(role="user", content=question),),
    )


def found(text: TrainingText, *questions: str) -> int:
    asked = {"asked": {prompt: each for question in questions for each in [item(question)] for prompt in _asked(each)}}
    return sum(leak.num for leak in leaks("data", [text], asked))


def test_a_prompt_inside_a_document_is_found_whatever_the_signs_around_it() -> None:
    quoted = 'Q: "how do I take apart the old lock of a garden shed" - A: with a screwdriver.'
    assert found(Document(source="pages", text=LONG), LONG) == 1
    assert found(Document(source="pages", text=f"A page.\n\n{quoted}"), LONG) == 1
    assert found(Document(source="pages", text=quoted.replace("shed", "gate")), LONG) == 0
    assert found(Document(source="pages", text=quoted.replace("take", "break")), LONG) == 0


def test_a_prompt_inside_any_turn_of_a_chat_is_found() -> None:
    inside = f"Answer kindly. {LONG} Thank you."
    assert (
        found(
            Chat(source="chats", turns=(Turn(role="user", content=inside), Turn(role="assistant", content="No."))), LONG
        )
        == 1
    )
    assert (
        found(
            Chat(source="chats", turns=(Turn(role="user", content="Go on."), Turn(role="assistant", content=inside))),
            LONG,
        )
        == 1
    )


def test_few_words_are_a_leak_only_where_they_are_the_whole_text() -> None:
    assert found(Document(source="pages", text="What is rain? Rain is water."), "What is rain?") == 0
    assert found(Document(source="pages", text=" what is   RAIN?"), "What is rain?") == 1


def test_each_prompt_counts_once() -> None:
    assert found(Document(source="pages", text=f"{LONG} {LONG}"), LONG, "Who are you?") == 1


def test_the_built_in_world_asks_nothing_that_it_taught() -> None:
    world = CausesWorld().build(11)
    asked = {
        "world": {text: each for each in world.items() if each.split != "trained" for text in _asked(each)},
    }
    for part in ("pretraining_concept", "safety", "benign_task"):
        assert list(leaks(part, world.texts(part), asked)) == [], part
