"""Packing: every text once an epoch, nothing left waiting, windows nearly full, prefixes that do not move."""

from __future__ import annotations

import random
from collections import Counter
from itertools import count, islice

import pytest

from upbringing.base.errors import DataError
from upbringing.data.packing import PADDING, Window, pack
from upbringing.data.rendering import Rendered


def text(token: int, size: int, *, divisible: bool = False) -> Rendered:
    return Rendered([token] * size, [True] * size, "made", None, divisible=divisible)


def fill(windows: list[Window]) -> float:
    return sum(int((window.documents != PADDING).sum()) for window in windows) / sum(
        len(window.tokens) for window in windows
    )


def contents(window: Window) -> list[tuple[int, int]]:
    """Each document of a window as (its token, its length)."""
    return [
        (int(window.tokens[window.documents == number][0]), int((window.documents == number).sum()))
        for number in range(int(window.documents.max()) + 1)
    ]


def test_texts_stand_where_least_room_is_left() -> None:
    sizes = (4, 7, 3, 6)  # longest first: 7, then 6 apart; 4 joins the 6 exactly, 3 joins the 7 exactly
    windows = list(pack([[text(place, size) for place, size in enumerate(sizes)]], 10, padding_token=99, seed=1))
    assert sorted(contents(window) for window in windows) == [[(0, 4), (3, 6)], [(1, 7), (2, 3)]]
    assert sorted(window.texts for window in windows) == [(0, 3), (1, 2)]


def test_chats_of_a_third_of_a_window_fill_nearly_all_of_it() -> None:
    draw = random.Random(4)
    texts = [text(place, draw.randint(60, 130)) for place in range(400)]
    windows = list(pack([texts], 256, padding_token=0, seed=1))
    in_order, used = 1, 0
    for each in texts:
        in_order, used = (
            (in_order, used + len(each.ids)) if used + len(each.ids) <= 256 else (in_order + 1, len(each.ids))
        )
    assert fill(windows) > 0.9
    assert len(windows) < 0.9 * in_order


def test_every_text_is_packed_once_and_finished_once() -> None:
    draw = random.Random(1)
    sizes = [draw.randint(2, 40) for _ in range(3000)]  # several look-aheads, and documents longer than a window
    windows = list(
        pack([[text(place, size, divisible=True) for place, size in enumerate(sizes)]], 24, padding_token=0, seed=1)
    )
    packed: Counter[int] = Counter()
    for window in windows:
        for token, length in contents(window):
            packed[token] += length
    assert packed == Counter(dict(enumerate(sizes)))
    finished = [number for window in windows for number in window.finished]
    assert sorted(finished) == list(range(3000))


def test_a_text_is_finished_with_its_last_piece() -> None:
    windows = list(pack([[text(0, 25, divisible=True), text(1, 9)]], 10, padding_token=0, seed=1))
    pieces = [window for window in windows if window.texts == (0,)]
    assert [window.finished for window in pieces] == [(), (), (0,)]
    assert contents(windows[-1]) == [(0, 5)]  # the emptiest window waits for more
    assert [window.finished for window in windows if window.texts == (1,)] == [(1,)]


def test_any_part_of_an_epoch_has_the_lengths_of_all() -> None:
    draw = random.Random(3)
    sizes = [draw.choice((20, 300)) for _ in range(1000)]
    windows = list(pack([[text(place, size) for place, size in enumerate(sizes)]], 512, padding_token=0, seed=1))
    for num in (80, 160):
        short = [length == 20 for window in windows[:num] for _, length in contents(window)]
        assert sum(short) / len(short) == pytest.approx(sizes.count(20) / len(sizes), abs=0.1)


@pytest.mark.parametrize("sizes", [(3, 15), (10, 10), (5,), (1, 1, 14, 14)])
def test_a_small_source_keeps_no_text_waiting(sizes: tuple[int, ...]) -> None:
    epochs = ([text(place, size) for place, size in enumerate(sizes)] for _ in count())
    completed = [
        number for window in islice(pack(epochs, 16, padding_token=0, seed=1), 40) for number in window.finished
    ]
    first_missing = next(number for number in count() if number not in set(completed))
    assert first_missing >= len(completed) - 40 // 2 - len(sizes)
    assert first_missing > 10


def test_a_longer_run_begins_with_the_windows_of_a_shorter_one() -> None:
    def windows(num_epochs: int, num: int) -> list[list[tuple[int, int]]]:
        draw = random.Random(2)
        epochs = [[text(draw.randint(0, 9), draw.randint(2, 9)) for _ in range(50)] for _ in range(num_epochs)]
        return [contents(window) for window in islice(pack(epochs, 16, padding_token=0, seed=1), num)]

    assert windows(2, 20) == windows(9, 20)
    assert windows(9, 20) == windows(9, 60)[:20]


def test_a_chat_that_is_longer_than_a_window_is_refused() -> None:
    with pytest.raises(DataError, match="raise the context"):
        list(pack([[text(0, 17)]], 16, padding_token=0, seed=1))
