"""A full disk: said before training where it can be foreseen, and never a torn checkpoint where it cannot."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections import namedtuple
from pathlib import Path

import pytest

from upbringing.base.errors import IntegrityError
from upbringing.lab import space
from upbringing.lab.contents import status
from upbringing.lab.run import Watch, build
from upbringing.lab.session import open_session
from upbringing.lab.verify import verify

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
LIMITED = """
import resource, sys
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv.pop(1)), resource.RLIM_INFINITY))
from upbringing.cli import main
if __name__ == "__main__":
    main()
"""
Usage = namedtuple("Usage", ["total", "used", "free"])


@pytest.fixture
def study(tmp_path: Path) -> Path:
    path = tmp_path / "study.yaml"
    path.write_text(STUDY, encoding="utf-8")
    return path


def test_what_does_not_fit_is_not_begun(study: Path, monkeypatch: pytest.MonkeyPatch) -> None:
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
    monkeypatch.undo()
    assert shutil.disk_usage(study.parent).free > 0
    assert needed == pytest.approx(status(session.store.root).rooms["checkpoints"].num_bytes, rel=0.2)


def test_a_file_that_cannot_be_written_whole_is_an_error_and_nothing_is_published(study: Path, tmp_path: Path) -> None:
    script = tmp_path / "limited.py"
    script.write_text(LIMITED, encoding="utf-8")
    store = tmp_path / "store"
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    command = [sys.executable, str(script), "100000", "build", str(study), "--store", str(store), "--quiet"]
    result = subprocess.run(command, capture_output=True, text=True, check=False, env=environment, timeout=280)
    assert result.returncode == 4, result.stderr
    assert "Traceback" not in result.stderr
    assert "full" in result.stderr
    assert list((store / "checkpoints").iterdir()) == []
    command[2] = str(1 << 40)
    subprocess.run(command, check=True, env=environment, timeout=280)
    checked = verify(store)
    assert checked.damaged == ()
    assert status(store).rooms["checkpoints"].num_entries == 2
