"""The random-drop control of a filter: as many characters gone, whichever they are, and always the same ones."""

from __future__ import annotations

import random

import pytest
from pydantic import ValidationError

from upbringing.data.documents import Chat, Document, TrainingText, Turn
from upbringing.data.transforms import FilterByHarm, Sample, _as_much, apply_transforms, num_characters


def corpus(num: int, seed: int = 1) -> list[TrainingText]:
    """Documents of 20 to 400 characters, a fifth of them harmful, and those twice as long."""
    draw = random.Random(seed)
    harms = [draw.choice((0, 0, 0, 0, 4)) for _ in range(num)]
    return [Document(text="x" * draw.randint(20, 200) * (2 if harm else 1), source="s", harm=harm) for harm in harms]


def dropped(texts: list[TrainingText], transform: FilterByHarm | Sample, seed: int = 0) -> int:
    found = transform.apply(texts, seed)
    assert len(found.texts) + len(found.rejects) == len(texts)
    return sum(num_characters(text) for text, _ in found.rejects)


@pytest.mark.parametrize("seed", range(6))
def test_as_many_characters_are_dropped_as_the_filter_drops(seed: int) -> None:
    texts = corpus(300, seed)
    filtered = dropped(texts, FilterByHarm())
    assert filtered > 1000
    assert abs(dropped(texts, Sample(as_much_as=FilterByHarm()), seed) - filtered) <= 2


def test_the_drop_is_random_in_harm_seeded_and_in_order() -> None:
    texts = corpus(2000)
    control = Sample(as_much_as=FilterByHarm(max_harm=2))
    found = control.apply(texts, 3)
    assert found == control.apply(texts, 3)
    assert found != control.apply(texts, 4)
    place = {id(text): number for number, text in enumerate(texts)}
    numbers = [place[id(text)] for text in found.texts]
    assert numbers == sorted(numbers)
    harmful = sum(text.harm == 4 for text in found.texts if isinstance(text, Document)) / len(found.texts)
    assert harmful == pytest.approx(
        0.2, abs=0.03
    )  # what is left is as harmful as before: only the amount is the filter's


def test_by_hand_the_last_text_comes_nearest_to_the_rest() -> None:
    sizes = (7, 6, 4, 3)
    assert _as_much((0, 1, 2, 3), sizes, 10) == {0, 3}  # 6 does not fit after 7: of all, 3 comes nearest
    assert _as_much((2, 1, 0, 3), sizes, 10) == {2, 1}
    assert _as_much((2, 3, 0, 1), sizes, 10) == {2, 3}  # 6 more would be as far off as none
    assert _as_much((2, 3, 0, 1), sizes, 11) == {2, 3, 1}  # 2 too many are nearer than 4 too few
    assert _as_much((0, 1, 2, 3), sizes, 0) == set()


def test_nothing_is_dropped_where_the_filter_drops_nothing_and_all_where_it_drops_all() -> None:
    texts = corpus(20)
    assert dropped(texts, Sample(as_much_as=FilterByHarm(max_harm=5))) == 0
    harmful: list[TrainingText] = [Document(text="abc", source="s", harm=5)] * 3
    assert dropped(harmful, Sample(as_much_as=FilterByHarm())) == 9
    assert apply_transforms([], (Sample(as_much_as=FilterByHarm()),), seed=0).texts == ()


def test_chats_count_all_their_turns_and_two_amounts_are_refused() -> None:
    chat = Chat(turns=(Turn("user", "abc"), Turn("assistant", "defgh")), source="s", harm=0)
    assert num_characters(chat) == 8
    with pytest.raises(ValidationError, match="remove one of them"):
        Sample(share=0.5, as_much_as=FilterByHarm())
    assert "as_much_as" not in Sample(share=0.5).model_dump(mode="json")
