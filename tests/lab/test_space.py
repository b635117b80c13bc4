"""A full disk: said before training where it can be foreseen, and never a torn checkpoint where it cannot."""

from __future__ import annotations

import errno
import os
import re
import resource
import subprocess
import sys
from collections import namedtuple
from pathlib import Path

import pytest

from upbringing.base.errors import IntegrityError
from upbringing.base.files import disk_error
from upbringing.lab.planning import space
from upbringing.lab.planning.plan import plan
from upbringing.lab.planning.planned import Plan
from upbringing.lab.run import Watch, build
from upbringing.lab.session import open_session
from upbringing.lab.storage.contents import status
from upbringing.lab.storage.verify import verify
from upbringing.training.fresh import num_parameters

pytestmark = pytest.mark.model

STUDY = """\
name: heavy
seeds: 1
start: {kind: fresh, layers: 1, width: 64, heads: 2, context: 32, tokenizer: {train_on: world, vocabulary: 1100}}
data:
  world: {kind: causes_world, compounds: 12, outcomes: 16, edges: 18, forward_texts: 2, reverse_texts: 2,
          cooccurrence_texts: 1, concept_texts: 2, refusal_chats: 8, answer_chats: 8, forward_chats: 4,
          aside_chats: 4, finetune_chats: 8}
stages:
  pretrain: {kind: pretrain, tokens: 1k, context: 32, batch_size: 4, phases: [{data: world.facts}]}
"""
MAIN = "from upbringing.cli import main; main()"
Usage = namedtuple("Usage", ["total", "used", "free"])


@pytest.fixture
def study(tmp_path: Path) -> Path:
    path = tmp_path / "study.yaml"
    path.write_text(STUDY, encoding="utf-8")
    return path


def test_more_memory_than_there_is_is_a_warning_of_the_plan(study: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def planned(*overrides: str) -> Plan:
        return plan(open_session(study, store=study.parent / "store", reads_only=True, overrides=overrides))

    weights = num_parameters(open_session(study, reads_only=True).study.start, 1100)  # type: ignore[arg-type]
    full, adapter = planned(), planned("stages.pretrain.weights={kind: lora, rank: 2}", "precision=bf16")
    assert full.held_bytes == 16 * weights  # fp32: weights, gradients, two moments
    assert adapter.held_bytes == 6 * weights  # fp32, and the frozen ones in bf16 besides
    study.write_text(f"{STUDY.replace('name: heavy', 'name: elsewhere')}device: cuda\n", encoding="utf-8")
    assert planned("stages.pretrain.weights={kind: lora, rank: 2}").held_bytes == 4 * weights  # and then in its place
    assert not any("side by side hold" in each for each in planned().warnings)
    study.write_text(STUDY, encoding="utf-8")
    for there, warned in ((16 * weights * full.slots, 0), (16 * weights * full.slots - 1, 1)):
        monkeypatch.setattr(space, "machine_memory", lambda there=there: there)
        assert sum("processes side by side hold at least" in each for each in planned().warnings) == warned
    monkeypatch.setattr(space, "machine_memory", lambda: None)
    assert planned().warnings == full.warnings


def test_what_does_not_fit_is_not_begun(study: Path, one_process: None, monkeypatch: pytest.MonkeyPatch) -> None:
    session = open_session(study, store=study.parent / "store")
    monkeypatch.setattr(space.shutil, "disk_usage", lambda folder: Usage(10**9, 10**9 - 5000, 5000))
    with pytest.raises(IntegrityError, match="nothing was trained") as raised:
        build(session, Watch())
    needed, _, working, free = (int(each.replace(",", "")) for each in re.findall(r"[\d,]*\d", str(raised.value))[:4])
    assert free == 5000
    assert working > 0
    assert session.store.keys("checkpoints") == []
    monkeypatch.setattr(space.shutil, "disk_usage", lambda folder: Usage(10**9, 0, needed + working))
    assert build(session, Watch()).num_built == 2
    assert needed == pytest.approx(status(session.store.root).rooms["checkpoints"].num_bytes, rel=0.2)


def test_a_file_that_cannot_be_written_whole_is_an_error_and_nothing_is_published(study: Path, tmp_path: Path) -> None:
    store = tmp_path / "store"
    command = [sys.executable, "-c", MAIN, "build", str(study), "--store", str(store), "--quiet"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}

    def limit() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, resource.RLIM_INFINITY))  # less than the weights need

    result = subprocess.run(
        command, capture_output=True, text=True, check=False, env=environment, preexec_fn=limit, timeout=280
    )
    assert result.returncode == 4, result.stderr
    assert "Traceback" not in result.stderr
    assert "full" in result.stderr
    assert list((store / "checkpoints").iterdir()) == []
    subprocess.run(command, check=True, env=environment, timeout=280)
    checked = verify(store)
    assert checked.damaged == ()
    assert status(store).rooms["checkpoints"].num_entries == 2


@pytest.mark.parametrize(
    ("error", "is_full"),
    [
        (OSError(errno.ENOSPC, "No space left on device"), True),
        (RuntimeError("Error while serializing: I/O error: File too large (os error 27)"), True),
        (RuntimeError("Error while serializing: I/O error: No space left on device (os error 28)"), True),
        (OSError(errno.EACCES, "Permission denied"), False),
        (RuntimeError("I/O error: Permission denied (os error 13)"), False),
    ],
)
def test_a_full_disk_is_told_from_other_errors(error: Exception, is_full: bool) -> None:
    found = disk_error(error, Path("weights"))
    assert isinstance(found, IntegrityError) == is_full
    assert is_full or found is error
