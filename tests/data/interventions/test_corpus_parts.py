"""The per-document parts of a corpus run: hashes, sketches, duplicates, words, reserved strings, routes."""

from __future__ import annotations

import random

import numpy as np
import pytest

from upbringing.data.interventions.duplicates import (
    NearDuplicates,
    band_hashes,
    first_of_alike,
    first_of_equal,
    key_hash,
    shingle_hashes,
    text_hash,
)
from upbringing.data.interventions.reserved import reserved_places
from upbringing.data.interventions.routing import Route, check_cover, route_of

WORDS = [f"{one}{other}a" for one in "bdfgklmnprst" for other in "aeiou"]


def runs(text: str, words: int) -> set[int]:
    hashes, _ = shingle_hashes([text], words)
    return {int(each) for each in hashes}


def test_equal_texts_are_those_that_differ_in_case_space_and_composition_alone() -> None:
    assert text_hash("Café  au\nlait") == text_hash("cafe\u0301 AU lait")
    assert text_hash("one two") != text_hash("onetwo")
    assert text_hash("one. two") != text_hash("one two")


def test_the_quick_hash_of_ascii_is_the_hash_of_lower_words_joined_by_one_space() -> None:
    draw = random.Random(4)
    characters = [chr(code) for code in range(128)] + [" ", "  ", "\n\n", "\x1c \x1f"] * 20
    for _ in range(3000):
        text = "".join(draw.choices(characters, k=draw.randint(0, 40)))
        assert text_hash(text) == key_hash(" ".join(text.lower().split())), repr(text)
        assert text_hash(f"{text}é") == key_hash(" ".join(f"{text}é".lower().split())), repr(text)


def test_shingles_are_the_runs_of_words_and_nothing_else() -> None:
    hashes, offsets = shingle_hashes(["a b c d", "", "x, y!", "A-B  (c) d", "…"], 3)
    assert offsets.tolist() == [0, 2, 2, 3, 5, 5]
    assert hashes[0:2].tolist() == hashes[3:5].tolist(), "case and punctuation do not count"
    assert len(set(hashes.tolist())) == 3
    assert runs("a b c", 1) == runs("c b a", 1)
    assert runs("a b c", 2).isdisjoint(runs("c b a", 2))
    assert runs("ab c", 1).isdisjoint(runs("a bc", 1))
    assert runs("“naïve” – été", 1) == runs("naïve ete\u0301 e\u0301te\u0301", 1) - runs("ete\u0301", 1)


def test_shingles_do_not_depend_on_what_else_is_in_the_batch() -> None:
    draw = random.Random(2)
    texts = [" ".join(draw.choices(WORDS, k=draw.randint(0, 30))) for _ in range(200)]
    near = NearDuplicates(words=3, bands=4, rows=2)
    together, have = band_hashes(texts, near)
    for place, text in enumerate(texts):
        alone, has = band_hashes([text], near)
        assert alone[0].tolist() == together[place].tolist()
        assert has[0] == have[place] == bool(text)


def test_the_chance_to_meet_is_the_one_that_is_documented() -> None:
    """Pairs of a known Jaccard similarity meet as often as 1 - (1 - s**rows)**bands says."""
    near = NearDuplicates(words=1, bands=4, rows=2)
    shared, own = 30, 15  # of single words: s = 30 / 60 = 0.5, and 1 - (1 - 0.25)**4 = 0.684
    draw, met, pairs = random.Random(1), 0, 600
    texts = []
    for pair in range(pairs):
        names = [f"w{pair}x{number}" for number in range(shared + 2 * own)]
        texts += [" ".join(names[: shared + own]), " ".join(names[:shared] + names[shared + own :])]
        draw.shuffle(names)
    bands, _ = band_hashes(texts, near)
    met = int((bands[0::2] == bands[1::2]).any(axis=1).sum())
    expected = 1 - (1 - 0.5**2) ** 4
    assert abs(met / pairs - expected) < 4 * (expected * (1 - expected) / pairs) ** 0.5


def test_the_first_of_equal_rows_by_hand() -> None:
    rows = np.array([[1, 2], [3, 4], [1, 2], [1, 5], [3, 4], [1, 2]], dtype=np.uint64)
    assert first_of_equal(rows).tolist() == [0, 1, 0, 3, 1, 0]
    assert first_of_equal(np.zeros((0, 2), dtype=np.uint64)).tolist() == []


def test_alike_documents_form_groups_through_others() -> None:
    one = np.array([1, 1, 2, 3, 4, 9], dtype=np.uint64)
    other = np.array([5, 6, 6, 7, 8, 9], dtype=np.uint64)
    everybody = np.ones(6, dtype=bool)
    assert first_of_alike([one, other], everybody).tolist() == [0, 0, 0, 3, 4, 5]
    without = np.array([True, False, True, True, True, True])
    assert first_of_alike([one, other], without).tolist() == [0, 1, 2, 3, 4, 5]


def test_planted_near_duplicates_are_found_and_others_are_not() -> None:
    draw = random.Random(4)
    texts = [" ".join(draw.choices(WORDS, k=200)) for _ in range(300)]
    texts += [text.replace(text.split()[90], "changed", 1).upper() for text in texts[:50]]
    bands, words = band_hashes(texts, NearDuplicates())
    first = first_of_alike((bands[:, band] for band in range(bands.shape[1])), words)
    assert first[300:].tolist() == list(range(50))
    assert first[:300].tolist() == list(range(300))


def test_reserved_strings_are_found_with_count_and_first_place() -> None:
    [place] = reserved_places("x <t> y <t>", ["<t>", "<u>"], file="f", row=3)
    assert (place.string, place.character, place.times, place.row) == ("<t>", 2, 2, 3)


def routes(*scores: tuple[int, int]) -> list[Route]:
    return [Route(scores=each, do="keep") for each in scores]


def test_routes_cover_each_score_once() -> None:
    check_cover(routes((0, 0), (4, 5), (1, 3)))
    assert route_of(routes((0, 0), (4, 5), (1, 3)), 2).scores == (1, 3)
    assert Route.model_validate({"scores": 3, "do": "drop"}).scores == (3, 3)
    for wrong, message in (
        (routes((0, 4)), "score 5 has no rule"),
        (routes((0, 3), (3, 5)), "score 3 has 2 rules"),
        (routes((0, 5), (4, 2)), "4 lies above 2"),
        ([Route(scores=(0, 5), do=())], "no transforms"),
    ):
        with pytest.raises(ValueError, match=message):
            check_cover(wrong)
