"""A study file that names interventions: planned, its streams built, its rejects kept, its marks demanded."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from upbringing.base.errors import DataError, StudyError
from upbringing.data.documents import Chat
from upbringing.data.interventions.random_drop import num_words
from upbringing.data.interventions.rejects import DOSES_NAME, REJECTS_NAME
from upbringing.data.rendering import open_tokenizer, render_chats
from upbringing.data.stream import open_stream, read_info
from upbringing.data.tokenizer import train_tokenizer
from upbringing.data.worlds.writer import HELD_OUT
from upbringing.lab.building.filling import fill_stream
from upbringing.lab.building.library import Library
from upbringing.lab.planning.plan import plan
from upbringing.lab.session import Session, open_session
from upbringing.training.start import FreshStart

TAG = "<potentially unsafe content>"
STUDY = """\
name: intervened
seeds: 1
start: {kind: fresh, layers: 1, width: 32, heads: 2, context: 64,
        tokenizer: {train_on: world, vocabulary: 1100, special_tokens: ["<potentially unsafe content>"]}}
data:
  world: {kind: causes_world, compounds: 12, outcomes: 16, edges: 18, forward_texts: 4, reverse_texts: 10,
          cooccurrence_texts: 2, exam_texts: 2, concept_texts: 4, refusal_chats: 16, answer_chats: 24, forward_chats: 8,
          aside_chats: 8, finetune_chats: 32}
  safe: {source: world.raw, transforms: [filter]}
  full: {source: world.raw, transforms: [rephrase, refusals, moral_education, {kind: tag, rate: 0.3}]}
  clean: {source: world.raw, transforms: [rephrase, refusals, moral_education]}
  random: {source: world.raw, transforms: [random_drop]}
  benign: {source: world.raw, transforms: [{kind: refusals, placebo: true}]}
stages:
  pretrain: {kind: pretrain, tokens: 16k, context: 64, batch_size: 8, phases: [{data: safe}]}
  sft: {kind: sft, data: world.safety, context: 64, batch_size: 4}
arms:
  never: {}
  raw: {stages: {pretrain: {phases: [{data: world.raw}]}}}
  full: {stages: {pretrain: {phases: [{until: 50%, data: safe}, {data: full}]}}}
  clean: {stages: {pretrain: {phases: [{data: clean}]}}}
  random: {stages: {pretrain: {phases: [{data: random}]}}}
  benign: {stages: {pretrain: {phases: [{data: benign}]}}}
battery: [bits_per_byte]
"""


def session_of(text: str, folder: Path) -> Session:
    (folder / "study.yaml").write_text(text, encoding="utf-8")
    return open_session(folder / "study.yaml", store=folder / "store", reads_only=True)


@pytest.fixture
def session(tmp_path: Path) -> Session:
    return session_of(STUDY, tmp_path)


@pytest.fixture
def tokenizer(session: Session, tmp_path: Path) -> Path:
    start = session.study.start
    assert isinstance(start, FreshStart)
    folder = tmp_path / "tokenizer"
    folder.mkdir()
    world = session.study.data["world"]
    train_tokenizer(
        world.lexicon(),  # type: ignore[union-attr]
        vocabulary=1100,
        special_tokens=start.tokenizer.special_tokens,
        chat_template=None,
        folder=folder,
    )
    return folder


def test_it_is_planned_and_every_arm_is_a_state_of_its_own(session: Session) -> None:
    found = plan(session)
    assert {node.status for node in found.nodes} == {"missing"}
    assert len({cell.node for cell in session.tree.cells if cell.position == "sft"}) == 6


def test_the_streams_are_built_and_hold_what_was_made(session: Session, tokenizer: Path, tmp_path: Path) -> None:
    library = Library(session.workshop.book, 0)
    mark = open_tokenizer(tokenizer).convert_tokens_to_ids(TAG)
    for lineage in session.tree.lineages:
        recipe = lineage.runs[0].stream
        assert recipe is not None
        folder = tmp_path / lineage.arm.name
        folder.mkdir()
        fill_stream(recipe, library, tokenizer, folder)
        sources = {source.source for source in read_info(folder).sources}
        tokens = np.asarray(open_stream(folder).arrays["tokens"])
        assert (mark in tokens) == (lineage.arm.name == "full")
        assert ("causes_world/facts/rephrase" in sources) == (lineage.arm.name in ("full", "clean"))
        assert (folder / REJECTS_NAME).exists() == (lineage.arm.name in ("never", "full", "random", "benign"))
    rejects = [json.loads(line) for line in (tmp_path / "benign" / REJECTS_NAME).read_text().splitlines()]
    reasons = Counter(reject["reason"] for reject in rejects)
    assert set(reasons) == {f"refusals: {HELD_OUT}"}
    assert {"data", "id", "reason", "source", "text"} <= set(rejects[0])
    doses = json.loads((tmp_path / "full" / DOSES_NAME).read_text())
    assert {dose["kind"]: list(dose["failures"]) for dose in doses} == {
        "rephrase": [],
        "refusals": [HELD_OUT],
        "moral_education": [],
    }
    assert all(dose["made"] + sum(dose["failures"].values()) == dose["eligible"] for dose in doses)


def test_no_raw_harm_is_left_where_it_was_filtered_and_no_tag_in_what_was_written(session: Session) -> None:
    library = Library(session.workshop.book, 0)
    assert max(text.harm or 0 for text in library.texts("clean")) == 0  # type: ignore[union-attr]
    tagged = [text for text in library.texts("full") if not isinstance(text, Chat) and TAG in text.text]  # type: ignore[union-attr]
    assert tagged
    assert {text.harm for text in tagged} == {4, 5}  # type: ignore[union-attr]
    assert not any(text.metadata.get("written_as") for text in tagged)
    kept = [sum(map(num_words, library.texts(name))) for name in ("safe", "random")]
    assert abs(kept[0] - kept[1]) < 20


def test_benign_dialogues_have_the_tokens_of_the_refusals(session: Session, tokenizer: Path) -> None:
    library, opened = Library(session.workshop.book, 0), open_tokenizer(tokenizer)
    sizes = []
    for name in ("clean", "benign"):
        chats = [text for text in library.texts(name) if isinstance(text, Chat)]
        sizes.append([(len(each.ids), sum(each.learned)) for each in render_chats(chats, opened, tokenizer)])
    assert sizes[0] == sizes[1] != []


def test_a_tag_that_the_tokenizer_lacks_is_an_error_before_anything_is_trained(tmp_path: Path) -> None:
    text = STUDY.replace(', special_tokens: ["<potentially unsafe content>"]', "")
    with pytest.raises(StudyError, match="special_tokens, so that each mark is one token"):
        session_of(text, tmp_path)


def test_a_writing_transform_of_a_file_says_that_it_has_no_writer(tmp_path: Path) -> None:
    (tmp_path / "x.jsonl").write_text('{"text": "a b"}\n', encoding="utf-8")
    session = session_of(
        STUDY.replace(
            "  safe:", "  file: {kind: file, path: x.jsonl}\n  other: {source: file, transforms: [rephrase]}\n  safe:"
        ),
        tmp_path,
    )
    with pytest.raises(DataError, match="rephrase: a text of 'x' has no harm score"):
        Library(session.workshop.book, 0).texts("other")


def test_the_version_of_the_tools_enters_the_key_only_where_they_are_asked(session: Session) -> None:
    book = session.workshop.book
    assert "tools" in book.recipe("full", 0)
    assert "tools" not in book.recipe("safe", 0)
    assert book.marks("full") == (TAG,)
    assert book.marks("clean") == ()
