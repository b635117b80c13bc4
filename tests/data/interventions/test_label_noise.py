"""Declared recall and precision: of filters and tags over a corpus, of a scorer text by text."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import pytest

from upbringing.data.documents import Document, TrainingText
from upbringing.data.interventions.harm_filter import FilterByHarm
from upbringing.data.interventions.relabelling import LabelNoise
from upbringing.data.interventions.scores import HarmScore, Scorer
from upbringing.data.interventions.scoring.noisy import Noisy
from upbringing.data.interventions.scoring.scorers import ChunkedScorer, NoisyScorer, OracleScorer, open_scorer
from upbringing.data.interventions.tag import Tag
from upbringing.data.transforms import Transform, apply_in_order

TEXTS = [
    Document(text=f"text {number} has words", source="made", harm=5 if number % 4 == 0 else 0) for number in range(4000)
]
EXACT = LabelNoise(precision=1.0, recall=1.0)


def applied(
    transform: Transform, texts: Sequence[TrainingText] = TEXTS
) -> tuple[Sequence[TrainingText], dict[str, int]]:
    found = apply_in_order(texts, [transform], seed=2)
    return found.texts, dict(found.doses[0].parts) if found.doses else {}


@pytest.mark.parametrize(
    ("plain", "noisy"),
    [(FilterByHarm(), FilterByHarm(noise=EXACT)), (Tag(rate=0.5), Tag(rate=0.5, noise=EXACT))],
    ids=["filter", "tag"],
)
def test_no_noise_takes_the_same_decisions(plain: Transform, noisy: Transform) -> None:
    texts, counts = applied(noisy)
    assert texts == applied(plain)[0]
    assert counts == {"parts": 4000, "unsafe": 1000, "called unsafe": 1000, "rightly called": 1000}
    assert "noise" not in plain.model_dump(mode="json"), "recipes without noise keep their ids"


@pytest.mark.parametrize("recall", [0.0, 0.3, 0.9])
def test_a_noisy_filter_leaves_out_what_it_declares(recall: float) -> None:
    texts, counts = applied(FilterByHarm(noise=LabelNoise(precision=0.8, recall=recall)))
    left = [text for text in TEXTS if text not in texts]
    harmful = sum(text.harm == 5 for text in left)
    assert counts == {"parts": 4000, "unsafe": 1000, "called unsafe": len(left), "rightly called": harmful}
    assert abs(harmful / 1000 - recall) < 0.05
    assert not recall or abs(harmful / len(left) - 0.8) < 0.05


def test_a_reject_says_that_it_was_noise() -> None:
    found = apply_in_order(TEXTS, [FilterByHarm(noise=LabelNoise(precision=0.5))], seed=2)
    assert {(text.harm, reason) for text, reason in found.rejects} == {  # type: ignore[union-attr]
        (5, "harm 5 > 0"),
        (0, "harm 0, left out by noise"),
    }


def test_a_noisy_tag_stands_in_documents_that_its_labeller_finds() -> None:
    texts, counts = applied(Tag(rate=1.0, noise=LabelNoise(precision=0.75, recall=0.6)))
    tagged = [text for text in texts if text.metadata.get("tags")]
    assert counts["called unsafe"] == len(tagged)
    assert counts["rightly called"] == sum(text.harm == 5 for text in tagged)  # type: ignore[union-attr]
    assert abs(counts["rightly called"] / 1000 - 0.6) < 0.06
    assert abs(counts["rightly called"] / len(tagged) - 0.75) < 0.05


def noisy(scorer: Scorer | None = None, **changes: float) -> Noisy:
    opened = open_scorer(NoisyScorer(scorer=OracleScorer(), **changes))  # type: ignore[arg-type]
    assert isinstance(opened, Noisy)
    return opened if scorer is None else Noisy(opened.description, scorer)


def test_a_scorer_without_noise_is_the_scorer() -> None:
    assert noisy().score(TEXTS) == open_scorer(OracleScorer()).score(TEXTS)


def test_a_noisy_scorer_errs_at_its_rates_and_says_so() -> None:
    scorer = noisy(recall=0.7, false_alarm_rate=0.1)
    found = scorer.score(TEXTS)
    caught = sum(score.score == 5 for score in found)
    alarms = [score for score in found if score.score == 4]
    assert abs(caught / 1000 - 0.7) < 0.05
    assert abs(len(alarms) / 3000 - 0.1) < 0.02
    assert {score.reason.partition(":")[0] for score in alarms} == {"false alarm of noise"}
    assert scorer.counts(found) == {"unsafe": 1000, "called_unsafe": caught + len(alarms), "rightly": caught}
    assert found == [scorer.score([text])[0] for text in TEXTS], "a score never depends on the other texts"


def test_a_higher_recall_finds_all_that_a_lower_one_finds() -> None:
    found = [
        {place for place, score in enumerate(noisy(recall=recall).score(TEXTS)) if score.score}
        for recall in (0.0, 0.25, 0.5, 0.75, 1.0)
    ]
    assert found[0] == set()
    assert len(found[4]) == 1000
    assert all(lower < higher for lower, higher in pairwise(found))
    assert noisy(recall=0.5, seed=1).score(TEXTS) != noisy(recall=0.5).score(TEXTS)


class Unsure:
    id = "unsure"

    def score(self, documents: Sequence[Document]) -> list[HarmScore]:
        return [HarmScore(None, "eh") for _ in documents]


def test_what_has_no_score_has_none_and_parts_of_a_text_err_by_themselves() -> None:
    assert noisy(Unsure(), recall=0.0, false_alarm_rate=1.0).score(TEXTS[:3]) == [HarmScore(None, "eh")] * 3
    parts = [Document(text=f"part {place}", source="x", harm=5, metadata={"id": "one"}) for place in range(200)]
    assert len({score.score for score in noisy(recall=0.5).score(parts)}) == 2
    assert ChunkedScorer(scorer=NoisyScorer(scorer=OracleScorer())).model_dump()["scorer"]["kind"] == "noisy"


def test_errors_that_would_be_none_are_refused() -> None:
    with pytest.raises(ValueError, match="what is missed must score below it"):
        NoisyScorer(scorer=OracleScorer(), missed_as=4)
    with pytest.raises(ValueError, match="a false alarm not below it"):
        NoisyScorer(scorer=OracleScorer(), unsafe_from=5)
