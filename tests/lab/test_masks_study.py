"""A study with isolated notes: early and late arms learn the same of them, and their windows differ in nothing else."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from upbringing.base.errors import DataError, StudyError
from upbringing.data.stream import Stream, open_stream
from upbringing.data.stream_difference import difference
from upbringing.formats.record import Record, read_record
from upbringing.lab.run import build
from upbringing.lab.session import Session, open_session

pytestmark = [pytest.mark.model, pytest.mark.timeout(300)]

STUDY = """\
name: notes
seeds: 1
start: {kind: fresh, layers: 1, width: 32, heads: 2, context: 64, tokenizer: {train_on: world, vocabulary: 1100}}
data:
  world: {kind: causes_world, compounds: 12, outcomes: 16, edges: 18, forward_texts: 4, reverse_texts: 4,
          cooccurrence_texts: 2, concept_texts: 4, refusal_chats: 16, answer_chats: 24, forward_chats: 8,
          aside_chats: 8, finetune_chats: 32}
  clean: {kind: file, path: clean.jsonl}
  noted: {kind: file, path: noted.jsonl}
stages:
  pretrain: {kind: pretrain, tokens: 2048, context: 64, batch_size: 8, phases: [{data: noted}], matched: [clean, noted]}
  late: {kind: midtrain, tokens: 2048, context: 64, batch_size: 8, phases: [{data: NOTED}], matched: MATCHED,
         learn: spans}
arms:
  early: {drop: [late]}
  never: {drop: [late], stages: {pretrain: {phases: [{data: clean}]}}}
  late: {stages: {pretrain: {phases: [{data: clean}]}}}
battery: [bits_per_byte]
primary: [bits_per_byte]
"""


def opened(folder: Path, noted: str = "noted", matched: str = "[clean, noted]") -> Session:
    rows = []
    for number in range(40):
        first, second = f"w{number} x{number % 7}", f" y{number % 5} z{number}"
        note = f" n{number % 3} is o{number % 4}"
        place = len(first)
        spans = [{"begin": place, "end": place + len(note), "isolated": True}]
        rows.append((first + second, {"text": first + note + second, "spans": spans}))
    (folder / "clean.jsonl").write_text("\n".join(json.dumps({"text": text}) for text, _ in rows), encoding="utf-8")
    (folder / "noted.jsonl").write_text("\n".join(json.dumps(row) for _, row in rows), encoding="utf-8")
    study = STUDY.replace("NOTED", noted).replace("MATCHED", matched)
    (folder / "study.yaml").write_text(study, encoding="utf-8")
    return open_session(folder / "study.yaml", store=folder / "store")


def streams(session: Session) -> dict[str, Stream]:
    """The streams by what they are: of clean text, of notes learned with all else, of notes alone."""
    found = {}
    for key in session.store.keys("data"):
        if key.startswith("stream-"):
            stream = open_stream(session.store.path("data", key))
            learns_all = stream.info.supervised_tokens > stream.info.text_tokens / 2
            found["clean" if "isolated" not in stream.arrays else "early" if learns_all else "late"] = stream
    return found


def test_early_and_late_arms_see_the_same_notes_and_differ_in_nothing_else(tmp_path: Path, one_process: None) -> None:
    session = opened(tmp_path)
    build(session)
    found = streams(session)
    assert set(found) == {"clean", "early", "late"}
    early = found["early"]
    is_note = early.arrays["isolated"] >= 0
    assert difference(found["clean"], early).num_places == int(is_note.sum()) > 100
    learned_notes = int((early.arrays["labels"][is_note] >= 0).sum())
    keys = session.store.keys("checkpoints")
    records = [read_record(session.store.path("checkpoints", key)) for key in keys]
    trained = {(record.stage, record.supervised_tokens) for record in records if record.steps}
    plain = int((found["clean"].arrays["labels"] >= 0).sum())
    assert trained == {
        ("pretrain", plain),
        ("pretrain", plain + learned_notes),
        ("late", int((found["late"].arrays["labels"] >= 0).sum())),
    }
    late = found["late"].arrays
    assert ((late["labels"] >= 0) <= (late["isolated"] >= 0)).all()
    assert all(_exactly_supervised(record) for record in records if record.steps)


def _exactly_supervised(record: Record) -> bool:
    return record.supervised_tokens == sum(source.supervised_tokens for source in record.sources) > 0


def test_a_late_arm_without_annotations_is_refused_before_it_trains(tmp_path: Path, one_process: None) -> None:
    session = opened(tmp_path, noted="clean")
    with pytest.raises(DataError, match="learns spans alone, and none of clean carries a loss"):
        build(session)
    assert not any(
        read_record(session.store.path("checkpoints", key)).stage == "late" for key in session.store.keys("checkpoints")
    )


def test_one_data_set_cannot_be_matched(tmp_path: Path) -> None:
    with pytest.raises(StudyError, match="matched names noted, which is one data set"):
        opened(tmp_path, matched="[noted]")
