"""A stage that two processes train together keeps its state when somebody stops the command, and goes on from there."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import IO

import psutil
import pytest

from upbringing.formats.record import Record, read_record
from upbringing.lab.storage.store import Store

pytestmark = [pytest.mark.model, pytest.mark.slow, pytest.mark.timeout(900)]

STUDY = """\
name: stopped
seeds: 1
precision: fp32
processes: 2
start: {kind: fresh, layers: 1, width: 32, heads: 2, context: 64, tokenizer: {train_on: world, vocabulary: 1100}}
data:
  world: {kind: causes_world, compounds: 12, outcomes: 16, edges: 18, forward_texts: 4, reverse_texts: 4,
          cooccurrence_texts: 2, concept_texts: 4, refusal_chats: 16, answer_chats: 24, forward_chats: 8,
          aside_chats: 8, finetune_chats: 32}
stages:
  pretrain: {kind: pretrain, tokens: 300k, context: 64, batch_size: 8, phases: [{data: world.pretraining_concept}]}
battery: [bits_per_byte]
"""
# The command itself; but it says at every event where it is, and a shell that ignores Ctrl-C does not hide it here.
COMMAND = """\
import signal
from upbringing.cli import main
from upbringing.lab.building import progress
if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.default_int_handler)
    progress.SECONDS_BETWEEN_LINES = 0.0
    main()
"""
PROGRESS = re.compile(r"^training: .*: (\d+)/\d+ loss")


def started(folder: Path, verb: str, store: Path) -> subprocess.Popen[str]:
    (folder / "command.py").write_text(COMMAND, encoding="utf-8")
    (folder / "study.yaml").write_text(STUDY, encoding="utf-8")
    command = [sys.executable, str(folder / "command.py"), verb, str(folder / "study.yaml"), "--store", str(store)]
    return subprocess.Popen(
        command,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )


def first_step(lines: IO[str]) -> int | None:
    """Return the first step of the stage that is heard of; ``None`` if the command ended before."""
    return next((int(found[1]) for line in lines if (found := PROGRESS.match(line))), None)


def record_of_stage(store: Path) -> Record:
    opened = Store(store)
    records = [read_record(opened.path("checkpoints", key)) for key in opened.keys("checkpoints")]
    return next(record for record in records if record.stage == "pretrain")


def to_the_command(process: subprocess.Popen[str]) -> None:
    process.send_signal(signal.SIGTERM)


def to_all_of_a_terminal(process: subprocess.Popen[str]) -> None:
    os.killpg(process.pid, signal.SIGINT)


@pytest.mark.parametrize("stop", [to_the_command, to_all_of_a_terminal])
def test_a_stopped_stage_of_two_processes_goes_on_from_its_state(
    tmp_path: Path, stop: Callable[[subprocess.Popen[str]], None]
) -> None:
    store = tmp_path / "store"
    process = started(tmp_path, "run", store)
    assert process.stderr is not None
    assert first_step(process.stderr) is not None, "the command ended before it trained"
    below = psutil.Process(process.pid).children(recursive=True)
    stop(process)
    _, said = process.communicate(timeout=300)
    assert process.returncode == 75, said
    assert said.endswith("upbringing: stopped: run the same command again to resume\n")
    assert "Traceback" not in said
    _, alive = psutil.wait_procs(below, timeout=30)
    assert not alive
    (state,) = store.glob("workspaces/*/state-*")
    kept = int(state.name.removeprefix("state-"))
    assert (state / "manifest.json").is_file()

    again = started(tmp_path, "run", store)
    assert again.stderr is not None
    first = first_step(again.stderr)
    _, said = again.communicate(timeout=600)
    assert again.returncode == 0, said
    assert "leaked" not in said
    assert first is not None
    assert first > kept >= 10
    straight = started(tmp_path, "build", tmp_path / "straight")
    _, said = straight.communicate(timeout=600)
    assert straight.returncode == 0, said
    resumed, whole = record_of_stage(store), record_of_stage(tmp_path / "straight")
    assert resumed.weights_sha256 == whole.weights_sha256
    assert resumed.loss_curve == whole.loss_curve
