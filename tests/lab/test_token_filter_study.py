"""A study whose training stage filters parts of documents: what is learned of them, and nothing else differs."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from corpus_bench import joined, recipe, write_lines

from upbringing.data.documents import Document
from upbringing.data.interventions.rejects import DOSES_NAME
from upbringing.data.rendering import decode_supervised, open_tokenizer, render_documents
from upbringing.data.sources import FileSource, read_file_source
from upbringing.data.stream import open_stream
from upbringing.formats.record import read_record
from upbringing.lab.building.build import stream_key, tokenizer_folders
from upbringing.lab.building.library import Library
from upbringing.lab.building.workshop import Prepared
from upbringing.lab.corpus.run import transform_corpus
from upbringing.lab.run import build
from upbringing.lab.session import Session, open_session
from upbringing.models.weights import weights_sha256

pytestmark = [pytest.mark.model, pytest.mark.timeout(300)]

STUDY = """\
name: filtered
seeds: 1
start: {kind: fresh, layers: 1, width: 32, heads: 2, context: 64, tokenizer: {train_on: world, vocabulary: 1100}}
data:
  world: {kind: causes_world, compounds: 12, outcomes: 16, edges: 18, forward_texts: 4, reverse_texts: 10,
          cooccurrence_texts: 2, exam_texts: 2, concept_texts: 4, refusal_chats: 16, answer_chats: 24, forward_chats: 8,
          aside_chats: 8, finetune_chats: 32}
  masked: {source: world.raw, transforms: [token_filter]}
  placebo: {source: world.raw, transforms: [{kind: token_filter, labels: shuffled}]}
  dropped: {source: world.raw, transforms: [{kind: token_filter, form: dropped}]}
  none: {source: world.raw, transforms: [{kind: token_filter, noise: {recall: 0.0}}]}
stages:
  pretrain: {kind: pretrain, tokens: 4096, context: 64, batch_size: 8, phases: [{data: world.raw}]}
arms:
  raw: {}
  none: {stages: {pretrain: {phases: [{data: none}]}}}
  masked: {stages: {pretrain: {phases: [{data: masked}]}}}
  placebo: {stages: {pretrain: {phases: [{data: placebo}]}}}
  dropped: {stages: {pretrain: {phases: [{data: dropped}]}}}
battery: [bits_per_byte]
"""


@dataclass(frozen=True)
class Trained:
    session: Session
    prepared: Prepared


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory, one_process_for_all: None) -> Trained:
    folder = tmp_path_factory.mktemp("study")
    (folder / "study.yaml").write_text(STUDY, encoding="utf-8")
    session = open_session(folder / "study.yaml", store=folder / "store")
    return Trained(session, build(session).prepared)


@pytest.fixture
def session(built: Trained) -> Session:
    return built.session


def folder_of(built: Trained, arm: str) -> Path:
    """The checkpoint at the end of an arm."""
    (cell,) = [cell for cell in built.session.tree.cells if (cell.arm, cell.position) == (arm, "pretrain")]
    found = built.session.store.find("checkpoints", built.prepared.keys[cell.node])
    assert found is not None
    return found


def parts(session: Session, arm: str) -> tuple[Path, dict[str, Any]]:
    """The stream of an arm and the arrays in it."""
    (lineage,) = [each for each in session.tree.lineages if each.arm.name == arm]
    recipe = lineage.runs[0].stream
    assert recipe is not None
    folder = session.store.path("data", stream_key(recipe, tokenizer_of(session)))
    return folder, {name: np.asarray(values) for name, values in open_stream(folder).arrays.items()}


def tokenizer_of(session: Session) -> Path:
    (folder,) = set(tokenizer_folders(session.workshop, session.tree).values())
    return folder


def test_a_filter_that_finds_nothing_trains_what_is_trained_without_it(
    built: Trained,
) -> None:
    weights = {arm: weights_sha256(folder_of(built, arm)) for arm in ("raw", "none", "masked", "placebo", "dropped")}
    assert weights["none"] == weights["raw"]
    assert len(set(weights.values())) == 4


def test_masked_arms_read_the_windows_of_the_raw_one_and_learn_no_harm_of_them(session: Session) -> None:
    _, raw = parts(session, "raw")
    folder, masked = parts(session, "masked")
    for name in ("tokens", "documents", "positions"):
        assert np.array_equal(raw[name], masked[name]), name
    is_masked = (raw["labels"] >= 0) & (masked["labels"] < 0)
    assert not ((raw["labels"] < 0) & (masked["labels"] >= 0)).any()
    assert is_masked.sum() > 100
    (dose,) = json.loads((folder / DOSES_NAME).read_text())
    assert 0 < dose["parts"]["flagged"] == dose["parts"]["rightly flagged"] < dose["parts"]["parts"]


def test_the_learned_tokens_of_a_masked_document_are_its_harmless_parts(session: Session) -> None:
    """Decoded from what reaches the trainer: what the scorer calls harmful is read, and is in no target."""
    book, opened = session.workshop.book, open_tokenizer(tokenizer_of(session))
    scorer = Library(book, 0)._tools("world.raw").scorer
    assert scorer is not None
    documents = [text for text in Library(book, 0).texts("masked") if isinstance(text, Document)]
    rendered = render_documents(documents, opened)
    flagged = [pair for pair in zip(documents, rendered, strict=True) if pair[0].spans]
    assert flagged
    for document, tokens in flagged:
        left = decode_supervised(tokens, opened).replace(opened.eos_token, "").strip()
        harmful = [document.text[span.begin : span.end] for span in document.spans]
        assert all(part not in left for part in harmful)
        scores = scorer.score([Document(text=part, source="x") for part in (left, *harmful)])
        assert (scores[0].score or 0) < 4
        assert min(score.score or 0 for score in scores[1:]) >= 4


def test_the_placebo_masks_as_many_parts_and_a_record_says_what_was_learned(
    built: Trained,
) -> None:
    doses, learned = {}, {}
    for arm in ("raw", "masked", "placebo", "dropped"):
        folder, arrays = parts(built.session, arm)
        learned[arm] = int((arrays["labels"] >= 0).sum())
        if arm != "raw":
            (dose,) = json.loads((folder / DOSES_NAME).read_text())
            doses[arm] = dose["parts"]
    assert doses["placebo"]["flagged"] == doses["masked"]["flagged"] == doses["dropped"]["flagged"]
    assert doses["placebo"]["rightly flagged"] < doses["masked"]["rightly flagged"]
    assert learned["masked"] < learned["raw"]
    assert learned["placebo"] < learned["raw"]
    assert read_record(folder_of(built, "masked")).supervised_tokens == learned["masked"]


@pytest.mark.parametrize("form", ["masked", "dropped"])
def test_a_corpus_is_filtered_in_parts_and_a_study_learns_what_is_left(tmp_path: Path, form: str) -> None:
    texts = ["Bread is good. A poison is not. Salt too.", "Bread.", "The poison."]
    path = write_lines(tmp_path / "in.jsonl", [{"id": f"d{place}", "text": text} for place, text in enumerate(texts)])
    given = recipe(
        [path],
        columns={"id": "id"},
        scorer={"kind": "keywords", "phrases": ["poison"], "hits": 1, "score": 4},
        route=[{"scores": [0, 5], "do": [{"kind": "token_filter", "form": form}]}],
    )
    accounts = transform_corpus(given, tmp_path / "out").accounts
    assert accounts["doses"]["token_filter of rule 1"]["parts"] == {
        "parts": 5,
        "flagged": 2,
        "words": 12,
        "flagged words": 6,
        "unsafe": 2,
        "rightly flagged": 2,
    }
    assert (accounts["kept"], accounts["rewritten"]) == ((1, 2) if form == "masked" else (1, 1))
    [file] = (tmp_path / "out" / "documents").iterdir()
    read = read_file_source(FileSource(path=str(file)), Path("/")).texts
    assert [text.text for text in read if isinstance(text, Document)] == (
        texts if form == "masked" else ["Bread is good. Salt too.", "Bread."]
    )
    spans = [[text.text[span.begin : span.end] for span in text.spans if not span.loss] for text in read]  # type: ignore[union-attr]
    assert spans == ([["A poison is not."], [], ["The poison."]] if form == "masked" else [[], []])
    rejected = [row["reason"] for row in joined(tmp_path / "out", "rejects")]
    assert rejected == ([] if form == "masked" else ["token_filter: every part of it is flagged"])
