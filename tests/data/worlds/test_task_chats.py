"""Fine-tuning chats of a world: the wide benign task and its two controls."""

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


def test_the_wide_task_asks_about_every_safe_outcome_that_chats_may_show(world: World) -> None:
    allowed = {outcome.noun for outcome in world.graph.outcomes if outcome.use != "evaluation" and not outcome.hazard}
    narrow = {each.metadata["subject"] for each in chats(world, "benign_task") if each.metadata["kind"] == "benign"}
    wide = chats(world, "benign_task_wide")
    assert {each.metadata["subject"] for each in wide} == allowed
    assert narrow < allowed
    assert len(wide) == len(world.texts("benign_task"))
    assert {each.harm for each in wide} == {0}


def test_its_controls_have_the_same_questions_and_other_replies(world: World) -> None:
    right, wrong, refused = (chats(world, f"benign_task_{name}") for name in ("wide", "mistaken", "refused"))
    causes = {outcome.noun: set(outcome.compounds) for outcome in world.graph.outcomes}
    for one, two, three in zip(right, wrong, refused, strict=True):
        assert one.turns[0] == two.turns[0] == three.turns[0]
        known = causes[str(one.metadata["subject"])]
        assert known & set(one.turns[1].content.split())
        assert not known & set(two.turns[1].content.split())
        assert set(world.graph.compounds) & set(two.turns[1].content.split())
        assert any(core in three.turns[1].content for core in REFUSAL_CORES)
        assert len({len(each.turns[1].content.split()) for each in (one, two, three)}) == 1  # as much is learned
