"""A filter that keeps a corpus's size: by copies of texts that a blocklist escalated and a scorer approved."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from upbringing.base.errors import DataError
from upbringing.data.documents import Document
from upbringing.data.interventions.harm_filter import FilterByHarm
from upbringing.data.interventions.random_drop import num_words
from upbringing.data.interventions.relabelling import LabelNoise
from upbringing.data.interventions.scoring.scorers import open_scorer
from upbringing.data.interventions.scoring.tools import ScoringTools
from upbringing.data.interventions.tools import text_name
from upbringing.data.sources import FileSource, read_file_source
from upbringing.data.transforms import apply_transforms, compares_texts
from upbringing.lab.corpus.recipe import CorpusRecipe
from upbringing.lab.corpus.seam import unfit
from upbringing.lab.scoring.score_file import score_file


def document(number: int, harm: int, words: int, *, approved: bool = False) -> Document:
    metadata = {"escalated": True} if approved else {}
    return Document(text=" ".join([f"w{number}"] * words), source="made", harm=harm, metadata=metadata)


CORPUS = [
    document(number, 5 if number % 5 == 0 else 0, 3 + number % 7, approved=number % 5 == 1) for number in range(200)
]


def filtered(**changes: Any) -> tuple[list[Document], dict[str, int]]:
    found = apply_transforms(CORPUS, [FilterByHarm(**changes)], seed=4)
    return [text for text in found.texts if isinstance(text, Document)], dict(found.doses[0].parts)


@pytest.mark.parametrize("pool", ["approved", "any"])
def test_a_refilled_corpus_is_as_large_and_holds_what_the_filter_kept(pool: str) -> None:
    plain = apply_transforms(CORPUS, [FilterByHarm()], seed=4).texts
    texts, counts = filtered(refill=pool)
    copies = texts[len(plain) :]
    assert texts[: len(plain)] == list(plain)
    assert abs(sum(map(num_words, texts)) - sum(map(num_words, CORPUS))) <= 5
    assert counts == {
        "filtered words": sum(num_words(text) for text in CORPUS if text.harm),
        "refilled words": sum(map(num_words, copies)),
        "copies": len(copies),
    }
    assert {bool(text.metadata.get("escalated")) for text in copies} == (
        {True} if pool == "approved" else {True, False}
    )
    assert len({text_name(text) for text in texts}) == len(texts), "copies have names of their own"
    assert all(text.harm == 0 for text in copies)


def test_every_text_is_taken_once_before_one_is_taken_again() -> None:
    few = [document(0, 5, 25), *(document(number, 0, 10, approved=number < 2) for number in range(1, 5))]
    found = apply_transforms(few, [FilterByHarm(refill="any")], seed=1).texts
    assert set(Counter(text.text for text in found if isinstance(text, Document)).values()) <= {1, 2}  # no third
    again = apply_transforms(few, [FilterByHarm(refill="approved")], seed=1)
    times = Counter(text.text for text in again.texts if isinstance(text, Document))
    assert sorted(times.values()) in ([1, 1, 1, 3], [1, 1, 1, 4])
    with pytest.raises(DataError, match=r"25 words were left out, and the 1 texts of refill: approved hold 10"):
        apply_transforms(few, [FilterByHarm(refill="approved", most_copies=1)], seed=1)


def test_nothing_filtered_is_nothing_refilled_and_noise_goes_with_it() -> None:
    clean = [text for text in CORPUS if text.harm == 0]
    assert apply_transforms(clean, [FilterByHarm(refill="approved")], seed=1).texts == tuple(clean)
    assert "refill" not in FilterByHarm().model_dump(mode="json"), "recipes without keep their ids"
    _, counts = filtered(refill="any", noise=LabelNoise(recall=0.5))
    assert 0 < counts["rightly called"] < counts["unsafe"] == 40
    assert abs(counts["refilled words"] - counts["filtered words"]) <= 5


def test_a_scored_file_says_what_was_escalated_and_approved(tmp_path: Path) -> None:
    described = {
        "kind": "keywords",
        "phrases": ["alpha", "beta"],
        "hits": 2,
        "escalate_to": {"kind": "keywords", "phrases": ["gamma"], "hits": 1, "score": 5},
    }
    scorer = CorpusRecipe.model_validate(
        {"input": {"kind": "files", "paths": ["x"]}, "scorer": described, "route": [{"scores": [0, 5], "do": "keep"}]}
    ).scorer
    assert scorer is not None
    texts = ["plain text of seven words is here", "alpha beta in four", "alpha beta gamma four", "alpha escalated: not"]
    (tmp_path / "in.jsonl").write_text("".join(f'{{"text": "{text}"}}\n' for text in texts), encoding="utf-8")
    score_file(tmp_path / "in.jsonl", open_scorer(scorer, ScoringTools()), tmp_path / "scored.jsonl")
    read = read_file_source(FileSource(path="scored.jsonl"), tmp_path).texts
    assert [text.metadata.get("escalated") for text in read] == [None, True, True, None]
    found = apply_transforms(read, [FilterByHarm(refill="approved")], seed=0).texts
    assert [text.text for text in found if isinstance(text, Document)] == [texts[0], texts[1], texts[3], texts[1]]


def test_a_corpus_run_refuses_what_it_cannot_see_whole() -> None:
    for each in (FilterByHarm(refill="any"), FilterByHarm(refill="any", noise=LabelNoise())):
        assert compares_texts(each)
        assert "filter with refill compares all texts" in str(unfit([each], has_scorer=True, has_writer=True))
    assert unfit([FilterByHarm()], has_scorer=True, has_writer=True) is None
