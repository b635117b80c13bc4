"""What a prefix of a stage has read: counted by hand, and the same whatever follows it."""

from __future__ import annotations

import numpy as np
import pytest

from upbringing.data.tally import TalliedPart, tallied
from upbringing.formats.record import SourceTokens

ONE, TWO = TalliedPart(4, {"first": 0.75, "replay": 0.25}), TalliedPart(4, {"second": 0.5, "first": 0.5})
AVAILABLE = {"first": ["a"] * 4, "second": ["b", "b", "c"], "replay": ["r"]}
WINDOWS = [
    {("a", None): (10, 9, 2)},
    {("a", "teacher"): (8, 5, 1), ("r", None): (2, 1, 1)},
    {("a", None): (10, 9, 2)},
    {("r", None): (7, 6, 3)},
    {("b", "other"): (4, 3, 1)},
    {("a", None): (5, 4, 1), ("c", None): (1, 0, 1)},
    {("a", None): (6, 5, 1)},
    {("b", None): (3, 2, 1)},
]


def test_a_prefix_counts_what_its_updates_read_and_nothing_later() -> None:
    tally = tallied(WINDOWS, 2, (ONE, TWO), AVAILABLE)
    assert tally.counts.shape == (4, 6, 3)
    assert tally.sources(1) == (
        SourceTokens(
            source="a",
            planned_share=0.75,
            realised_tokens=18,
            supervised_tokens=14,
            examples=3,
            repetition=0.75,
            teachers=("teacher",),
        ),
        SourceTokens(
            source="r", planned_share=0.25, realised_tokens=2, supervised_tokens=1, examples=1, repetition=1.0
        ),
    )
    border = {each.source: each for each in tally.sources(2)}
    assert set(border) == {"a", "r"}
    assert (border["a"].realised_tokens, border["a"].examples, border["a"].repetition) == (28, 5, 1.25)
    assert (border["r"].realised_tokens, border["r"].repetition) == (9, 4.0)


def test_the_planned_share_follows_the_parts_and_is_none_where_data_holds_several_sources() -> None:
    whole = {each.source: each for each in tallied(WINDOWS, 2, (ONE, TWO), AVAILABLE).sources(4)}
    assert whole["a"].planned_share == pytest.approx((4 * 0.75 + 4 * 0.5) / 8)
    assert whole["r"].planned_share == pytest.approx(0.125)
    assert whole["b"].planned_share is None
    assert whole["c"].planned_share is None
    assert whole["b"].repetition == 2 / 2
    assert whole["b"].teachers == ("other",)


def test_streams_that_begin_alike_agree_on_what_their_beginning_read() -> None:
    long = tallied(WINDOWS, 2, (ONE, TWO), AVAILABLE)
    short = tallied(WINDOWS[:4], 2, (ONE,), {key: AVAILABLE[key] for key in ("first", "replay")})
    other = tallied([*WINDOWS[:4], {("a", "late"): (9, 9, 9)}] * 2, 2, (TalliedPart(10, ONE.shares),), AVAILABLE)
    assert long.sources(2) == short.sources(2) == other.sources(2)
    assert np.array_equal(long.counts[:2].sum(axis=(0, 1)), short.counts.sum(axis=(0, 1)))
