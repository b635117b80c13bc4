"""Noise and shuffling over blocks against a plain sort, by hand, with ties, and by what they keep."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import pytest

from upbringing.base.errors import DataError
from upbringing.base.streams import stream
from upbringing.data.interventions.relabelling import Block, LabelNoise, Relabelling

NOISE = LabelNoise(precision=0.8, recall=0.6)


def corpus(number: int) -> tuple[list[str], list[list[bool]]]:
    """Texts of 0 to 4 parts, every third part unsafe; two of them have the same name."""
    names = [f"d{place % (number - 1)}" for place in range(number)]
    truth = [[(place + part) % 3 == 0 for part in range(place % 5)] for place in range(number)]
    return names, truth


def sorted_plainly(names: Sequence[str], truth: Sequence[Sequence[bool]], seed: int) -> list[list[bool]]:
    """The smallest draws of all are unsafe, as many as are truly so."""
    draws = [stream(seed, "shuffled", name).random(len(labels)) for name, labels in zip(names, truth, strict=True)]
    keys = sorted(
        (draw, names[row], column, row) for row, each in enumerate(draws) for column, draw in enumerate(each.tolist())
    )
    chosen = {(row, column) for *_, column, row in keys[: sum(map(sum, truth))]}
    return [[(row, column) in chosen for column in range(len(labels))] for row, labels in enumerate(truth)]


def in_blocks(
    relabelling: Relabelling, names: Sequence[str], truth: Sequence[list[bool]], seed: int, size: int
) -> list[list[bool]]:
    """The labels of blocks of ``size`` texts, each labelled by itself."""
    starts = range(0, len(names), size)

    def blocks() -> Iterator[Block]:
        return (relabelling.block(names[at : at + size], truth[at : at + size], seed) for at in starts)

    whole = relabelling.whole(blocks)
    return [
        labels
        for at, block in zip(starts, blocks(), strict=True)
        for labels in block.by_text(relabelling.labels(block, whole, at))
    ]


def test_shuffling_by_hand() -> None:
    """Of three texts with 2, 0 and 1 parts, one of them unsafe, the part with the smallest draw is called so."""
    draws = [*stream(7, "shuffled", "a").random(2), *stream(7, "shuffled", "c").random(1)]
    smallest = int(np.argmin(draws))
    expected = [[smallest == 0, smallest == 1], [], [smallest == 2]]
    assert Relabelling(shuffled=True).of(["a", "b", "c"], [[False, True], [], [False]], 7) == expected
    assert Relabelling(shuffled=True).of(["a", "c"], [[False, False], [False]], 7) == [[False, False], [False]]
    assert Relabelling(shuffled=True).of(["a", "c"], [[True, True], [True]], 7) == [[True, True], [True]]
    assert Relabelling(shuffled=True).of([], [], 7) == []
    assert Relabelling().of(["a"], [[True, False]], 7) == [[True, False]]


def test_noise_by_hand() -> None:
    """Recall 0.6 on 1 of 4 parts at precision 0.8 needs 0.15 wrong ones of 3: a safe part is called unsafe at 0.05."""
    draws = stream(3, "label", "a").random(4)
    found = Relabelling(NOISE).of(["a"], [[True, False, False, False]], 3)
    assert found == [[bool(draws[0] < 0.6), *(bool(draw < 0.05) for draw in draws[1:])]]


@pytest.mark.parametrize("size", [1, 7, 1000])
@pytest.mark.parametrize("noise", [None, NOISE])
def test_blocks_give_the_labels_of_a_plain_sort(size: int, noise: LabelNoise | None) -> None:
    names, truth = corpus(120)
    noisy = Relabelling(noise).of(names, truth, 5)
    assert in_blocks(Relabelling(noise), names, truth, 5, size) == noisy
    expected = sorted_plainly(names, noisy, 5)
    assert in_blocks(Relabelling(noise, shuffled=True), names, truth, 5, size) == expected
    assert expected != noisy


def test_parts_with_equal_draws_are_told_apart_by_name_and_place() -> None:
    """Equal names draw alike, so the number stays right only if ties at the last label are broken."""
    names, truth = ["same"] * 5, [[True], [False], [True], [False], [False]]
    assert Relabelling(shuffled=True).of(names, truth, 1) == [[True], [True], [False], [False], [False]]
    assert in_blocks(Relabelling(shuffled=True), names, truth, 1, 2) == [[True], [True], [False], [False], [False]]


def test_a_precision_that_cannot_be_had_is_an_error() -> None:
    with pytest.raises(DataError, match="needs 18 safe parts that are called unsafe, and there are 1"):
        Relabelling(LabelNoise(precision=0.1)).of(["a"], [[True, True, False]], 3)
