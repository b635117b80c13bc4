"""SIGKILL at every distinct fault point of a segment, run again: the weights are those of the undisturbed run."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from training_bench import Bench, bits, chats, documents

pytestmark = pytest.mark.model

CHILD = """
import sys
from pathlib import Path
from pydantic import TypeAdapter
from upbringing.formats.record import BuildProfile
from upbringing.training import segment as module
from upbringing.training.segment import Places, Segment, run_segment
from upbringing.training.stage import Stage
module.SECONDS_BETWEEN_STATES = 0.0  # a state after every step, so that kills find many
start, stream, folder, stage = sys.argv[1:5]
folder = Path(folder)
places = Places(Path(start), None, Path(stream), folder / "workspace", folder / "output", folder / "state")
for place in (places.workspace, places.output, places.final_state):
    place.mkdir(parents=True, exist_ok=True)
segment = Segment("x", TypeAdapter(Stage).validate_json(stage), 5, 4, 0, 4)
run_segment(segment, places, BuildProfile(precision="bf16"), lambda step, total, loss: None)
"""

STAGES = {
    "pretrain": '{"kind": "pretrain", "tokens": 512, "phases": [{"data": "x"}], "context": 32, "batch_size": 4}',
    "midtrain": '{"kind": "midtrain", "tokens": 512, "phases": [{"data": "x"}], "context": 32, "batch_size": 4,'
    ' "accumulate": 2}',
    "sft": '{"kind": "sft", "data": "x", "context": 32, "batch_size": 4}',
    "lora": '{"kind": "sft", "data": "x", "context": 32, "batch_size": 4,'
    ' "weights": {"kind": "lora", "rank": 2, "dropout": 0.1}}',
}


def child(bench: Bench, kind: str, folder: Path, **environment: str) -> int:
    stream = bench.stream("chats", chats(1)) if kind in ("sft", "lora") else bench.stream("made", documents(1))
    arguments = [sys.executable, "-c", CHILD, str(bench.start), str(stream), str(folder), STAGES[kind]]
    result = subprocess.run(
        arguments,
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "OMP_NUM_THREADS": "1", **environment},
    )
    assert result.returncode in (0, -signal.SIGKILL), result.stderr
    return result.returncode


def distinct_points(log: Path) -> list[int]:
    """The number of the last passage of each distinct point: late kills have the most to lose."""
    names = log.read_text(encoding="utf-8").splitlines()
    return sorted({name: number for number, name in enumerate(names, start=1)}.values())


@pytest.mark.timeout(900)
@pytest.mark.parametrize(
    "kind",
    [pytest.param("sft"), *(pytest.param(kind, marks=pytest.mark.slow) for kind in ("pretrain", "midtrain", "lora"))],
)
def test_a_kill_at_any_distinct_point_changes_no_bit(bench: Bench, tmp_path: Path, kind: str) -> None:
    log = tmp_path / "points"
    child(bench, kind, tmp_path / "straight", UPBRINGING_FAULT_LOG=str(log))
    expected = bits(tmp_path / "straight" / "output")
    points = distinct_points(log)
    assert len(points) >= 5
    for number in points:
        folder = tmp_path / f"killed-{number}"
        assert child(bench, kind, folder, UPBRINGING_FAULT_AT=str(number)) == -signal.SIGKILL
        assert child(bench, kind, folder) == 0
        assert bits(folder / "output") == expected


@pytest.mark.parametrize("damage", ["flip", "truncate", "delete", "swap"])
def test_a_damaged_state_is_named_and_the_one_before_is_used(bench: Bench, tmp_path: Path, damage: str) -> None:
    import shutil

    from upbringing.base.errors import UpbringingWarning
    from upbringing.training.state import newest_state

    child(bench, "sft", tmp_path / "run")
    workspace = tmp_path / "run" / "workspace"
    states = sorted(workspace.glob("state-*"))
    assert len(states) == 2
    target = states[-1] / "weights.safetensors"
    data = bytearray(target.read_bytes())
    if damage == "flip":
        data[-3] ^= 1
        target.write_bytes(data)
    elif damage == "truncate":
        target.write_bytes(data[: len(data) // 2])
    elif damage == "delete":
        target.unlink()
    else:
        shutil.copyfile(states[0] / "weights.safetensors", target)
    with pytest.warns(UpbringingWarning, match=r"weights\.safetensors"):
        found = newest_state(workspace, last_step=4)
    assert found is not None
    assert found.step == int(states[0].name.rpartition("-")[2])
