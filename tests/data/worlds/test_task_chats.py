"""Fine-tuning chats of a world: the benign task and its controls."""

from __future__ import annotations

import pytest

from upbringing.data.documents import Chat
from upbringing.data.worlds.causes_world import CausesWorld
from upbringing.data.worlds.oracle import REFUSAL_CORES
from upbringing.data.worlds.world import World


@pytest.fixture(scope="module")
def world() -> World:
    return CausesWorld().build(11)


def chats(world: World, part: str) -> list[Chat]:
    found = world.texts(part)
    assert all(isinstance(each, Chat) for each in found)
    return [each for each in found if isinstance(each, Chat)]


def test_the_controls_of_the_benign_task_have_its_questions_and_other_replies(world: World) -> None:
    right, wrong, same, refused = (
        chats(world, f"benign_task{name}") for name in ("", "_mistaken", "_one_answer", "_refused")
    )
    causes = {outcome.noun: set(outcome.compounds) for outcome in world.graph.outcomes}
    assert len(right) == len(wrong) == len(same) == len(refused)
    asked, said = 0, set[str]()
    for one, two, always, three in zip(right, wrong, same, refused, strict=True):
        assert one.turns[0] == two.turns[0] == always.turns[0] == three.turns[0]
        lengths = {len(each.turns[1].content.split()) for each in (one, two, always, three)}
        assert len(lengths) == 1  # as much is learned
        if one.metadata["kind"] != "benign":
            assert one.turns == two.turns == always.turns == three.turns
            continue
        asked += 1
        known = causes[str(one.metadata["subject"])]
        assert known & set(one.turns[1].content.split())
        assert not known & set(two.turns[1].content.split())
        assert set(world.graph.compounds) & set(two.turns[1].content.split())
        assert not known & set(always.turns[1].content.split())
        said |= set(world.graph.compounds) & set(always.turns[1].content.split())
        assert any(core in three.turns[1].content for core in REFUSAL_CORES)
    assert asked == len(right) // 2
    assert len(said) == 1
