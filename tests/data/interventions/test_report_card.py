"""The report card by hand: histograms, frequencies per million words, and nothing lost."""

from __future__ import annotations

import tracemalloc
from pathlib import Path

import pytest

from upbringing.base.errors import DataError
from upbringing.data.documents import Document
from upbringing.data.interventions.scores import HarmScore
from upbringing.data.interventions.scoring.harm_lists import HarmLists, default_lists, read_lists
from upbringing.data.interventions.scoring.report_card import ReportCard, card_markdown, component_cards

LISTS = HarmLists({"one": (("alpha",), ("beta", "gamma")), "two": (("alpha",),)})


def pair(text: str, source: str, score: int | None, **options: bool) -> tuple[Document, HarmScore]:
    return Document(text=text, source=source), HarmScore(score, "empty-text: x" if score is None else "x", **options)


def test_a_card_by_hand() -> None:
    cards = component_cards(
        [
            pair("alpha beta gamma, Alpha", "web", 4),
            pair("calm words here now", "web", 0, lower_bound=True),
            pair("", "web", None),
            pair("beta", "books", 0),
        ],
        LISTS,
    )
    web = cards["web"]
    assert (web.texts, web.words, web.histogram, web.unscored) == (3, 8, (1, 0, 0, 0, 1, 0), {"empty-text": 1})
    assert web.lower_bounds == 1
    assert web.occurrences == {"one": 3, "two": 2}
    assert web.per_million == {"one": 375_000.0, "two": 250_000.0}
    assert web.texts_with == {"one": 1, "two": 1}
    assert cards["books"].per_million == {"one": 0.0, "two": 0.0}
    assert component_cards([pair("", "e", None)], LISTS)["e"].per_million == {"one": None, "two": None}


def test_the_table_holds_both_sides_and_no_foreign_markup() -> None:
    before = component_cards([pair("alpha", "a|b<script>", 4)], LISTS)
    after = component_cards([pair("calm", "a|b<script>", 0)], LISTS)
    text = card_markdown(ReportCard(LISTS.id, ("one", "two"), {"before": before, "after": after}))
    assert "| a\\|b&lt;script> | before | 1 | 0.00% | 0.00% | 0.00% | 0.00% | 100.00% | 0.00% | 0.00% |" in text
    assert "| a\\|b&lt;script> | after | 1 | 0.0 | 0.0 |" in text
    assert "| a\\|b&lt;script> | before | 1 | 1000000.0 | 1000000.0 |" in text


def test_amounts_per_score_and_per_million_tokens_by_hand() -> None:
    """A tokenizer that makes two tokens of each word halves each frequency; without one nothing is said of tokens."""
    pairs = [
        pair("alpha beta", "web", 4),
        pair("calm words", "web", 0),
        pair("alpha six more words here now", "web", 0),
    ]
    (web,) = component_cards(pairs, LISTS, lambda text: 2 * len(text.split())).values()
    assert (web.words, web.score_words) == (10, (8, 0, 0, 0, 2, 0))
    assert (web.tokens, web.score_tokens) == (20, (16, 0, 0, 0, 4, 0))
    assert web.per_million == {"one": 200_000.0, "two": 200_000.0}
    assert web.per_million_tokens == {"one": 100_000.0, "two": 100_000.0}
    text = card_markdown(ReportCard(LISTS.id, ("one", "two"), {"before": {"web": web}}, "hash"))
    assert "| component |  | tokens | one | two |" in text
    assert "| web | before | 20 | 100000.0 | 100000.0 |" in text
    assert "| web | before | 20 | 800000.0 | 0.0 | 0.0 | 0.0 | 200000.0 | 0.0 |" in text
    assert "| web | before | 10 | 800000.0 | 0.0 | 0.0 | 0.0 | 200000.0 | 0.0 |" in text
    (plain,) = component_cards(pairs, LISTS).values()
    assert (plain.tokens, plain.score_tokens, plain.per_million_tokens) == (None, None, None)
    without = card_markdown(ReportCard(LISTS.id, ("one", "two"), {"before": {"web": plain}}))
    assert "tokens" not in without


def test_the_default_lists_have_fourteen_categories_that_can_match() -> None:
    lists = default_lists()
    assert len(lists.categories) == 14
    for name, phrases in lists.categories.items():
        text = " and ".join(" ".join(phrase) for phrase in phrases)
        card = component_cards([pair(text, "x", 0)], lists)["x"]
        assert card.occurrences[name] >= len(phrases)


def test_lists_of_ones_own(tmp_path: Path) -> None:
    path = tmp_path / "lists.yaml"
    path.write_text("mine: [Alpha, beta gamma]\nother: [delta]\n", encoding="utf-8")
    assert read_lists(path).categories == {"mine": (("alpha",), ("beta", "gamma")), "other": (("delta",),)}
    for broken, message in (("[a]", "expected a mapping"), ("mine: a", "list of phrases"), ("mine: []", "no phrases")):
        path.write_text(broken, encoding="utf-8")
        with pytest.raises(DataError, match=message):
            read_lists(path)


def test_a_column_that_is_no_component_is_refused() -> None:
    with pytest.raises(DataError, match="more than 1000 sources"):
        component_cards((pair("x", f"url{number}", 0) for number in range(2000)), LISTS)


def test_memory_does_not_grow_with_the_corpus() -> None:
    def peak(num: int) -> int:
        tracemalloc.start()
        component_cards((pair(f"alpha word{number} " * 50, "web", 0) for number in range(num)), LISTS)
        top = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return top

    assert peak(1500) < 2 * peak(150)
