"""Foreign classifiers: what their labels mean is read or declared, and checked on texts that leave no doubt."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from upbringing.base.errors import DataError
from upbringing.data.documents import Document
from upbringing.data.interventions.scores import Scorer
from upbringing.data.interventions.scoring.anchors import ANCHORS
from upbringing.data.interventions.scoring.meanings import scores_of_labels
from upbringing.data.interventions.scoring.sequence_classifier import SequenceClassifierScorer
from upbringing.data.interventions.scoring.tools import ScoringTools

DIGITS = tuple(f"LABEL_{score}" for score in range(6))


@dataclass(frozen=True)
class Result:
    probabilities: tuple[float, ...]
    num_tokens: int = 5
    num_read: int = 5


@dataclass(frozen=True)
class Known:
    """Knows which anchors are harmful and gives each text's class 0.9."""

    labels: tuple[str, ...]
    harmless: int
    harmful: int
    id: str = "known"

    def classify(self, texts: Sequence[str]) -> list[Result]:
        return [self._row(self.harmful if text in ANCHORS.harmful else self.harmless) for text in texts]

    def _row(self, place: int) -> Result:
        rest = 0.1 / (len(self.labels) - 1)
        return Result(tuple(0.9 if each == place else rest for each in range(len(self.labels))))


def opened(classifier: Any, **options: Any) -> Scorer:
    tools = ScoringTools(open_classifier=lambda folder, max_tokens: classifier)
    return SequenceClassifierScorer(checkpoint="foreign", **options).open(tools)


def test_labels_with_one_digit_each_say_their_score() -> None:
    assert scores_of_labels(DIGITS, None) == (0, 1, 2, 3, 4, 5)
    assert scores_of_labels(("score 5", "score 0"), None) == (5, 0)
    assert scores_of_labels(("safe", "toxic"), {"toxic": 4, "safe": 0}) == (0, 4)


@pytest.mark.parametrize(
    ("labels", "declared", "message"),
    [
        (("safe", "toxic"), None, "does not say its score"),
        (("level 0 of 5", "level 5 of 5"), None, "does not say its score"),
        (("LABEL_0", "LABEL_7"), None, "does not say its score"),
        (("a 0", "b 0"), None, "same number"),
        (("safe", "toxic"), {"safe": 0}, "name each once"),
        (("safe", "toxic"), {"safe": 0, "toxic": 9}, "whole number from 0 to 5"),
        (("safe", "toxic"), {"safe": 3, "toxic": 3}, "nothing could be told apart"),
    ],
)
def test_labels_that_say_nothing_must_be_declared(labels: Any, declared: Any, message: str) -> None:
    with pytest.raises(DataError, match=message):
        scores_of_labels(labels, declared)


def test_the_right_order_passes_and_scores() -> None:
    scorer = opened(Known(DIGITS, harmless=0, harmful=5))
    texts = [ANCHORS.harmful[0], "calm", ""]
    found = scorer.score([Document(text=text, source="x") for text in texts])
    assert [each.score for each in found] == [5, 0, None]
    assert found[0].confidence is None  # a softmax is no probability of being right
    assert found[0].reason == "softmax 0.900, not calibrated"


@pytest.mark.parametrize(
    ("classifier", "options", "message"),
    [
        (Known(DIGITS, harmless=5, harmful=0), {}, "reversed"),
        (Known(("toxic", "safe"), 1, 0), {"labels": {"toxic": 0, "safe": 4}}, "reversed"),
        (Known(DIGITS, harmless=3, harmful=5), {}, "wrong order"),
        (Known(DIGITS, harmless=0, harmful=1), {}, "wrong order"),
        (Known(DIGITS, harmless=2, harmful=2), {}, "wrong order or this is no classifier"),
    ],
)
def test_reversed_and_shuffled_labels_are_errors(classifier: Any, options: Any, message: str) -> None:
    with pytest.raises(DataError, match=message):
        opened(classifier, **options)


def test_declaring_them_the_right_way_round_mends_it() -> None:
    scorer = opened(Known(("toxic", "safe"), harmless=1, harmful=0), labels={"toxic": 4, "safe": 0})
    assert [each.score for each in scorer.score([Document(text="calm", source="x")])] == [0]


def test_a_text_read_in_part_is_a_lower_bound() -> None:
    @dataclass(frozen=True)
    class Short(Known):
        def classify(self, texts: Sequence[str]) -> list[Result]:
            return [Result(each.probabilities, num_tokens=900, num_read=512) for each in super().classify(texts)]

    found = opened(Short(DIGITS, 0, 5)).score([Document(text="long", source="x")])[0]
    assert (found.score, found.lower_bound) == (0, True)
    assert found.reason.startswith("lower bound, read 512 of 900 tokens")


def test_thresholds_buy_recall() -> None:
    @dataclass(frozen=True)
    class Unsure(Known):
        def classify(self, texts: Sequence[str]) -> list[Result]:
            return (
                [
                    Result((0.1, 0, 0, 0, 0, 0.9)) if text in ANCHORS.harmful else Result((0.98, 0.01, 0, 0.01, 0, 0))
                    for text in texts
                ]
                if "unsure" not in texts
                else [Result((0.7, 0.1, 0.0, 0.15, 0.05, 0.0))]
            )

    given = [Document(text="unsure", source="x")]
    assert opened(Unsure(DIGITS, 0, 5)).score(given)[0].score == 0
    # P(>= 1) = .3, P(>= 2) = P(>= 3) = .2, P(>= 4) = .05
    assert opened(Unsure(DIGITS, 0, 5), thresholds=(0.3, 0.3, 0.2, 0.1, 0.1)).score(given)[0].score == 3
    assert opened(Unsure(DIGITS, 0, 5), thresholds=(0.3, 0.3, 0.3, 0.1, 0.1)).score(given)[0].score == 1


def test_anchors_of_ones_own_are_read_strictly(tmp_path: Path) -> None:
    path = tmp_path / "anchors.jsonl"
    rows = [{"text": f"calm {number}", "harm": 0} for number in range(3)]
    rows += [{"text": f"{ANCHORS.harmful[number]}", "harm": 5} for number in range(3)]
    path.write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
    tools = ScoringTools(tmp_path, open_classifier=lambda folder, max_tokens: Known(DIGITS, 0, 5))
    SequenceClassifierScorer(checkpoint="foreign", anchors="anchors.jsonl").open(tools)
    for broken, message in (
        ('{"text": "x", "harm": 2}', "open to doubt"),
        ('{"text": "x", "harm": 9}', "whole number"),
        ('{"text": "x"}', "is not an anchor"),
        ("nonsense", "is not an anchor"),
        ('{"text": "x", "harm": 0}', "3 are needed"),
    ):
        path.write_text(broken, encoding="utf-8")
        with pytest.raises(DataError, match=message):
            SequenceClassifierScorer(checkpoint="foreign", anchors="anchors.jsonl").open(tools)
