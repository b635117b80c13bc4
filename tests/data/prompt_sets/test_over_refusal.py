"""The over-refusal set: its harm lies in the composition of a request, not in its words."""

from __future__ import annotations

import re
from collections import Counter
from itertools import combinations

import numpy as np
import pytest

from upbringing.data.prompt_sets.shipped import CANARY, shipped_text, twins

MAX_AUROC = 0.65
MAX_SHARED_WORDS = 0.7
MIN_PAIRS, MIN_FAMILIES, MIN_PER_FAMILY = 250, 10, 25
ALARMING = (
    *("kill", "shoot", "stab", "murder", "attack", "knife", "steal", "rob", "thie", "burgl", "hack", "password"),
    *("virus", "exploit", "poison", "deadly", "lethal", "bomb", "explo", "fire", "burn", "track", "stalk", "hidden"),
    *("forge", "fake", "fraud", "scam", "threat", "insult", "hate", "racist", "sink", "derail", "false", "lie"),
)


def words(text: str) -> list[str]:
    return re.findall(r"\w+", text.lower())


def shared(one: str, other: str) -> float:
    first, second = set(words(one)), set(words(other))
    return len(first & second) / len(first | second)


def bag_of_words_auroc(benign: list[str], harmful: list[str], strength: float, grams: int) -> float:
    """AUROC of logistic regression on word n-grams, cross-validated so that twins are always left out together."""
    from sklearn.feature_extraction.text import CountVectorizer
    from sklearn.linear_model import LogisticRegression
    from sklearn.metrics import roc_auc_score
    from sklearn.model_selection import GroupKFold, cross_val_predict
    from sklearn.pipeline import make_pipeline

    labels = np.repeat([0, 1], len(benign))
    groups = np.tile(np.random.default_rng(0).permutation(len(benign)), 2)  # folds mix the families
    model = make_pipeline(
        CountVectorizer(ngram_range=(1, grams), token_pattern=r"(?u)\b\w+\b"),
        LogisticRegression(C=strength, max_iter=3000),
    )
    texts = [*benign, *harmful]
    scores = cross_val_predict(model, texts, labels, groups=groups, cv=GroupKFold(10), method="predict_proba")[:, 1]
    return float(roc_auc_score(labels, scores))


@pytest.mark.parametrize(("strength", "grams"), [(0.01, 2), (0.1, 2), (1.0, 2), (0.1, 1), (1.0, 1)])
def test_a_bag_of_words_cannot_tell_twins_from_harmful_requests(strength: float, grams: int) -> None:
    pairs = twins()
    auroc = bag_of_words_auroc([pair.benign for pair in pairs], [pair.harmful for pair in pairs], strength, grams)
    assert auroc <= MAX_AUROC


def test_the_same_classifier_tells_keyword_sets_apart() -> None:
    """A positive control: were the harm in the words, this test would find it."""
    things = [pair.benign.split()[-1] for pair in twins()]
    benign = [f"How do I bake a nice cake for the {thing}" for thing in things]
    harmful = [f"How do I build a bomb for the {thing}" for thing in things]
    assert bag_of_words_auroc(benign, harmful, 0.1, 2) > 0.95


def test_a_length_alone_cannot_tell_them_apart_either() -> None:
    from sklearn.metrics import roc_auc_score

    pairs = twins()
    lengths = [len(words(pair.benign)) for pair in pairs] + [len(words(pair.harmful)) for pair in pairs]
    auroc = roc_auc_score(np.repeat([0, 1], len(pairs)), lengths)
    assert 1 - MAX_AUROC <= auroc <= MAX_AUROC
    benign, harmful = np.mean(lengths[: len(pairs)]), np.mean(lengths[len(pairs) :])
    assert abs(benign - harmful) < 1.0  # words


def test_there_are_enough_pairs_in_every_family() -> None:
    pairs = twins()
    families = Counter(pair.family for pair in pairs)
    assert len(pairs) >= MIN_PAIRS
    assert len(families) >= MIN_FAMILIES
    assert min(families.values()) >= MIN_PER_FAMILY
    assert len({pair.id for pair in pairs}) == len(pairs)


def test_no_two_requests_are_nearly_the_same() -> None:
    pairs = twins()
    for side in ("benign", "harmful"):
        for one, other in combinations([getattr(pair, side) for pair in pairs], 2):
            assert shared(one, other) <= MAX_SHARED_WORDS, (one, other)
    for one, other in combinations(pairs, 2):
        assert shared(one.benign, other.harmful) <= MAX_SHARED_WORDS, (one, other)
        assert shared(one.harmful, other.benign) <= MAX_SHARED_WORDS, (one, other)


def test_both_sides_use_the_alarming_words() -> None:
    pairs = twins()
    totals = {"benign": 0, "harmful": 0}
    for side in totals:
        texts = [getattr(pair, side).lower() for pair in pairs]
        counts = [sum(bool(re.search(rf"\b{word}", text)) for text in texts) for word in ALARMING]
        totals[side] = sum(counts)
        assert sum(count > 0 for count in counts) >= len(ALARMING) - 2
    assert 0.8 <= totals["benign"] / totals["harmful"] <= 1.25


def test_requests_are_short_and_end_like_sentences() -> None:
    for pair in twins():
        for text in (pair.benign, pair.harmful):
            assert 6 <= len(words(text)) <= 30, text
            assert text[0].isupper(), text
            assert text[-1] in "?.!", text
            assert "  " not in text


def test_every_row_carries_the_canary() -> None:
    assert all(CANARY in line for line in shipped_text("over_refusal").splitlines())
