"""The quick pass ahead of a word list misses nothing that reading word by word finds."""

from __future__ import annotations

import random
import subprocess
import sys

import pytest

from upbringing.data.documents import Document
from upbringing.data.interventions.scoring import phrase_candidates
from upbringing.data.interventions.scoring.keywords import Keywords, KeywordScorer
from upbringing.data.interventions.scoring.phrase_candidates import UNREAD, Hint, hints
from upbringing.data.interventions.scoring.phrases import PhraseMatcher, phrases_of

PARTS = ["bad", "BAD", "Ｂad", "c", "C", "4", "naïf", "NAI\u0308F", "straße", "STRASSE", "é", "x", "\ud800", "™", "ﬁ"]
APART = [" ", "  ", "-", "_", ".", "\n", "", "–", "\u00a0"]
PHRASES = phrases_of(["bad", "c 4", "naïf", "strasse x", "c++"], "made")


def test_hints_by_hand() -> None:
    cases = {
        "badly": Hint(may_hit=False, has_words=True),
        "a BAD one": Hint(may_hit=True, has_words=True),
        "C-4": Hint(may_hit=True, has_words=True),
        "éBAD": Hint(may_hit=True, has_words=True),  # é is a letter of words, though not to the quick pass
        "bad_x": Hint(may_hit=True, has_words=True),
        "...": Hint(may_hit=False, has_words=False),
        "": Hint(may_hit=False, has_words=False),
    }
    assert dict(zip(cases, hints(list(cases), phrases_of(["bad", "c 4"], "made")), strict=True)) == cases


def test_scores_are_those_of_reading_every_word(monkeypatch: pytest.MonkeyPatch) -> None:
    draw = random.Random(3)
    texts = ["".join(draw.choice(PARTS) + draw.choice(APART) for _ in range(draw.randint(0, 6))) for _ in range(3000)]
    documents = [Document(text=text, source="made") for text in texts]
    description = KeywordScorer(phrases=("bad",), hits=2, score=4)
    keywords = Keywords(description, PhraseMatcher(PHRASES), None)
    quick = keywords.score(documents)
    assert 100 < sum(not hint.may_hit for hint in hints(texts, PHRASES)) < 2900
    monkeypatch.setattr("upbringing.data.interventions.scoring.keywords.hints", lambda texts, _: [UNREAD] * len(texts))
    assert keywords.score(documents) == quick


def test_the_pass_loads_no_pandas() -> None:
    """An array made of Python values would load it, for half a second of every process."""
    script = (
        "import sys; from upbringing.data.interventions.scoring.phrase_candidates import hints; "
        "hints(['a bad one'], (('bad',),)); assert 'pandas' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", script], check=True)


def test_long_texts_and_long_lists_are_read_word_by_word(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(phrase_candidates, "PIECE_CHARACTERS", 5)
    assert hints(["good good", "good"], PHRASES) == [UNREAD, Hint(may_hit=False, has_words=True)]
    many = phrases_of([f"word{number}" for number in range(1001)], "made")
    assert hints(["x"], many) == [UNREAD]
