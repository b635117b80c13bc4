"""The record of a shared beginning lists what its own updates read, whoever's run it was first made for."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from upbringing.data.stream import open_stream
from upbringing.formats.record import Record, read_record
from upbringing.formats.tree import read_tree
from upbringing.lab.run import Watch, run
from upbringing.lab.session import Session, open_session

pytestmark = [pytest.mark.model, pytest.mark.timeout(300)]

STUDY = """\
name: cut
seeds: 1
start: {kind: fresh, layers: 1, width: 32, heads: 2, context: 64, tokenizer: {train_on: world, vocabulary: 1100}}
data:
  world: {kind: causes_world, compounds: 12, outcomes: 16, edges: 18, forward_texts: 4, reverse_texts: 4,
          cooccurrence_texts: 2, concept_texts: 4, refusal_chats: 16, answer_chats: 24, forward_chats: 8,
          aside_chats: 8, finetune_chats: 32}
  first: {kind: file, path: first.jsonl}
  second: {kind: file, path: second.jsonl}
stages:
  pretrain: {kind: pretrain, tokens: 6144, context: 64, batch_size: 8, measure_at: [50%], schedule: {kind: constant},
             phases: [{data: first}]}
arms:
  straight: {}
  turned: {stages: {pretrain: {phases: [{until: 50%, data: first}, {data: second}]}}}
battery: [bits_per_byte]
primary: [bits_per_byte]
"""


def finished(folder: Path, *arms: str) -> Session:
    folder.mkdir()
    for name in ("first", "second"):
        texts = [" ".join(f"{name} {number}" for number in range(place, place + 9)) for place in range(40)]
        lines = "\n".join(json.dumps({"text": text}) for text in texts)
        (folder / f"{name}.jsonl").write_text(lines, encoding="utf-8")
    (folder / "study.yaml").write_text(STUDY, encoding="utf-8")
    for arm in arms:
        session = open_session(folder / "study.yaml", store=folder / "store", only=(arm,))
        run(session, Watch())
    return session


def shared(session: Session) -> Record:
    """Return the record at half of the pretraining."""
    cells = read_tree(session.results / "tree.json").cells
    key = next(cell.checkpoint for cell in cells if cell.position == "pretrain:50%")
    return read_record(session.store.path("checkpoints", key))


@pytest.mark.parametrize("arms", [("turned", "straight"), ("straight", "turned")])
def test_a_curriculum_cut_at_its_border_lists_its_first_phase_exactly(
    tmp_path: Path, one_process: None, arms: tuple[str, str]
) -> None:
    session = finished(tmp_path / "study", *arms)
    record = shared(session)
    (source,) = record.sources
    streams = [session.store.path("data", key) for key in session.store.keys("data") if key.startswith("stream-")]
    windows = record.steps * 8
    assert (record.steps, record.total_steps, len(streams)) == (6, 12, 2)
    for stream in streams:
        arrays = open_stream(stream).arrays
        assert source.realised_tokens == int((arrays["documents"][:windows] >= 0).sum())
        assert source.supervised_tokens == int((arrays["labels"][:windows] >= 0).sum()) == record.supervised_tokens
        starts = np.diff(arrays["documents"][:windows], axis=1, prepend=-2) != 0
        assert source.examples == int((starts & (arrays["documents"][:windows] >= 0)).sum()) == record.examples
    assert record.tokens == windows * 64
    assert source.planned_share == 1.0
    stages = {each.id: each.stages for each in read_tree(session.results / "tree.json").checkpoints}
    assert stages[record.id][-1].examples == record.examples
    card = (session.store.path("checkpoints", record.id) / "README.md").read_text(encoding="utf-8")
    assert f"| {source.source} | {source.realised_tokens} |" in card
    assert "second" not in card
    whole = next(
        cell.checkpoint for cell in read_tree(session.results / "tree.json").cells if cell.position == "pretrain"
    )
    read = {each.source: each for each in read_record(session.store.path("checkpoints", whole)).sources}
    if arms[-1] == "turned":
        assert len(read) == 2
        assert read[source.source].realised_tokens == source.realised_tokens
        assert {each.planned_share for each in read.values()} == {0.5}
        assert {each.planned_tokens for each in read.values()} == {windows * 64}
        require_phases(session, whole, record)


def require_phases(session: Session, whole: str, border: Record) -> None:
    """The phases of the whole are its first half, as the record there has it, and the rest; so says the report."""
    record = read_record(session.store.path("checkpoints", whole))
    first, second = record.phases
    assert [(each.first_step, each.last_step, each.learning_rate) for each in record.phases] == [
        (0, 6, 1e-3),
        (6, 12, 1e-3),
    ]
    assert border.phases == (first,)
    assert first.sources == border.sources
    assert (second.sources[0].source, second.sources[0].planned_tokens) == ("second", 6 * 8 * 64)
    totals = {each.source: each.realised_tokens for phase in record.phases for each in phase.sources}
    assert totals == {each.source: each.realised_tokens for each in record.sources}
    report = (session.results / "report.html").read_text(encoding="utf-8")
    assert "7 to 12</th>" in report
    assert "0.001 (100% of the peak)" in report
