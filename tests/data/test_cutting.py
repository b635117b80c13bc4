"""Long documents in pieces: every token once, isolated text whole and behind text that it sees."""

from __future__ import annotations

import random

import pytest

from upbringing.base.errors import DataError
from upbringing.data.cutting import pieces
from upbringing.data.rendering import IsolatedTokens, Rendered


def document(size: int, *isolated: tuple[int, int]) -> Rendered:
    """Tokens 0, 1, 2, ..; isolated texts as (place, size) of the tokens 1000, 1001, .. each."""
    parts = tuple(
        IsolatedTokens(place, list(range(1000, 1000 + length)), [True] * length) for place, length in isolated
    )
    return Rendered(list(range(size)), [True] * size, "made", None, divisible=True, isolated=parts)


def shape(text: Rendered, context: int) -> list[tuple[int, list[tuple[int, int]]]]:
    """Each piece as (own tokens, (place, size) of its isolated texts)."""
    return [
        (len(piece.ids), [(part.place, len(part.ids)) for part in piece.isolated]) for piece in pieces(text, context)
    ]


def test_pieces_by_hand() -> None:
    assert shape(document(25), 10) == [(10, []), (10, []), (5, [])]
    assert shape(document(8, (4, 2)), 10) == [(8, [(4, 2)])]
    assert shape(document(12, (4, 2)), 10) == [(8, [(4, 2)]), (4, [])]
    assert shape(document(12, (9, 3)), 10) == [(2, []), (7, [(7, 3)]), (3, [])]  # as much text before it as fits
    assert shape(document(14, (12, 3)), 10) == [(10, []), (4, [(2, 3)])]
    assert shape(document(12, (10, 3)), 10) == [(3, []), (7, [(7, 3)]), (2, [])]
    assert shape(document(9, (3, 4), (6, 5)), 10) == [(3, [(3, 4)]), (5, [(3, 5)]), (1, [])]


@pytest.mark.parametrize("isolated", [[(5, 10)], [(0, 11)], [(3, 5), (3, 5)]])
def test_isolated_text_that_fits_nowhere_is_refused(isolated: list[tuple[int, int]]) -> None:
    with pytest.raises(DataError, match="finds no room"):
        shape(document(12, *isolated), 10)


def test_whatever_the_places_every_token_stands_once_and_sees_its_text() -> None:
    draw = random.Random(5)
    for _ in range(2000):
        size, context = draw.randint(2, 60), draw.randint(8, 24)
        places = sorted(draw.sample(range(1, size), min(size - 1, draw.randint(0, 6))))
        text = document(size, *((place, draw.randint(1, context // 2)) for place in places))
        found = list(pieces(text, context))
        assert [token for piece in found for token in piece.ids] == text.ids
        assert all(0 < piece.size <= context and piece.ids for piece in found)
        held = [(piece.ids[part.place - 1] + 1, part.ids) for piece in found for part in piece.isolated]
        assert held == [(part.place, part.ids) for part in text.isolated]
        assert all(0 < part.place <= len(piece.ids) for piece in found for part in piece.isolated)
