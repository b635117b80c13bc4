"""Building with several processes: two builds of one store, and two processes that train each stage."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from upbringing.base.errors import StudyError
from upbringing.formats.record import Record, read_record
from upbringing.lab.session import open_session
from upbringing.lab.storage.store import Store

pytestmark = [pytest.mark.model, pytest.mark.slow, pytest.mark.timeout(900)]

STUDY = """\
name: small
seeds: 1
precision: fp32
start: {kind: fresh, layers: 1, width: 32, heads: 2, context: 64, tokenizer: {train_on: world, vocabulary: 1100}}
data:
  world: {kind: causes_world, compounds: 12, outcomes: 16, edges: 18, forward_texts: 4, reverse_texts: 4,
          cooccurrence_texts: 2, concept_texts: 4, refusal_chats: 16, answer_chats: 24, forward_chats: 8,
          aside_chats: 8, finetune_chats: 32}
stages:
  pretrain: {kind: pretrain, tokens: 12k, context: 64, batch_size: 8, phases: [{data: world.pretraining_concept}]}
  sft: {kind: sft, data: world.safety, context: 64, batch_size: 4, weights: {kind: lora, rank: 2}}
  dpo: {kind: dpo, data: world.preferences, context: 64, batch_size: 4}
arms:
  main: {}
  late: {stages: {pretrain: {phases: [{until: 50%, data: world.pretraining_concept}, {data: world.facts}]}}}
battery: [bits_per_byte]
"""
BUILD = [sys.executable, "-c", "from upbringing.cli import main; main()", "build"]


def environment(**more: str) -> dict[str, str]:
    return {**os.environ, "OMP_NUM_THREADS": "1", **more}


def records(store: Path) -> dict[str, Record]:
    """Records of trained checkpoints by what was done; the two arms are told apart by their data."""
    opened = Store(store)
    found = {}
    for key in opened.keys("checkpoints"):
        folder = opened.find("checkpoints", key, full=True)
        assert folder is not None
        record = read_record(folder)
        found[key] = record
    return found


def test_two_builds_of_one_store_train_every_node_once(tmp_path: Path) -> None:
    study = tmp_path / "study.yaml"
    study.write_text(STUDY, encoding="utf-8")
    store = tmp_path / "store"
    logs = [tmp_path / f"points-{number}" for number in range(2)]
    running = [
        subprocess.Popen(
            [*BUILD, str(study), "--store", str(store), "--quiet"], env=environment(UPBRINGING_FAULT_LOG=str(log))
        )
        for log in logs
    ]
    assert [each.wait(600) for each in running] == [0, 0]
    points = [log.read_text(encoding="utf-8").splitlines() for log in logs]
    built = records(store)
    for point in ("write record.json", "rename folder checkpoints"):
        assert sum(each.count(point) for each in points) == len(built), point
    assert len(built) == 1 + 3 + 2 * 2  # start; shared half and two second halves; sft and dpo of each arm


def test_a_study_trained_by_two_processes_has_the_losses_of_one(tmp_path: Path) -> None:
    found = []
    for number in (1, 2):
        study = tmp_path / f"study-{number}.yaml"
        study.write_text(STUDY + f"processes: {number}\n", encoding="utf-8")
        store = tmp_path / f"store-{number}"
        subprocess.run([*BUILD, str(study), "--store", str(store), "--quiet"], env=environment(), check=True)
        assert {each.profile.world_size for each in records(store).values()} == {number}
        found.append(sorted(losses(each) for each in records(store).values()))
    assert len(found[0]) == len(found[1])
    for alone, together in zip(*found, strict=True):
        assert together[0] == alone[0]
        assert together[1] == pytest.approx(alone[1], abs=1e-5)


def losses(record: Record) -> tuple[str, list[float]]:
    return f"{record.stage} {record.data_sha256}", [loss for _, loss in record.loss_curve]


def test_batches_that_cannot_be_shared_are_refused_before_anything_is_built(tmp_path: Path) -> None:
    study = tmp_path / "study.yaml"
    study.write_text(STUDY + "processes: 3\n", encoding="utf-8")
    with pytest.raises(StudyError, match="cannot be split"):
        open_session(study, store=tmp_path / "store")
