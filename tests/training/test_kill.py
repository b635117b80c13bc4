"""SIGKILL at every distinct fault point of a segment, run again: the weights are those of the undisturbed run."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from training_bench import Bench, bits, chats, documents, preferences

pytestmark = pytest.mark.model

NUM_RANDOM_KILLS = 8  # of each kind, two kills each

CHILD = """
import sys
from collections.abc import Iterator
from pathlib import Path
from pydantic import TypeAdapter
from upbringing.formats.record import BuildProfile
from upbringing.training import segment as module
from upbringing.training.segment import Places, Segment, run_segment
from upbringing.training.stage import Stage
module.SECONDS_BETWEEN_STATES = 0.0  # a state after every step, so that kills find many
start, stream, folder, stage, form = sys.argv[1:6]
folder = Path(folder)
places = Places(Path(start), None, Path(stream), folder / "workspace", folder / "output", folder / "state")
for place in (places.workspace, places.output, places.final_state):
    place.mkdir(parents=True, exist_ok=True)
segment = Segment("x", TypeAdapter(Stage).validate_json(stage), 5, 4, 0, 4)
profile = BuildProfile(precision="bf16", compile=form == "compiled")
run_segment(segment, places, profile, lambda step, total, loss: None)
"""

STAGES = {
    "pretrain": '{"kind": "pretrain", "tokens": 512, "phases": [{"data": "x"}], "context": 32, "batch_size": 4}',
    "midtrain": '{"kind": "midtrain", "tokens": 512, "phases": [{"data": "x"}], "context": 32, "batch_size": 4,'
    ' "accumulate": 2}',
    "sft": '{"kind": "sft", "data": "x", "context": 32, "batch_size": 4}',
    "accumulate": '{"kind": "sft", "data": "x", "context": 32, "batch_size": 4, "accumulate": 4}',
    "lora": '{"kind": "sft", "data": "x", "context": 32, "batch_size": 4,'
    ' "weights": {"kind": "lora", "rank": 2, "dropout": 0.1}}',
    "dpo": '{"kind": "dpo", "data": "x", "context": 32, "batch_size": 4}',
    "reward_model": '{"kind": "reward_model", "data": "x", "context": 32, "batch_size": 4}',
    "rloo": '{"kind": "rl", "data": "x", "context": 32, "batch_size": 16, "group_size": 4, "steps": 4,'
    ' "max_new_tokens": 8, "reward": "oracle"}',
    "grpo": '{"kind": "rl", "data": "x", "context": 32, "batch_size": 16, "group_size": 4, "steps": 4,'
    ' "max_new_tokens": 8, "reward": "oracle", "algorithm": "grpo", "accumulate": 2}',
    "dpo-lora": '{"kind": "dpo", "data": "x", "context": 32, "batch_size": 4,'
    ' "weights": {"kind": "lora", "rank": 2, "dropout": 0.1}}',
}


COMPILED = ("pretrain", "sft", "dpo", "reward_model")  # as the demo trains; answers of RL have too many shapes for it


def stream_of(bench: Bench, kind: str) -> Path:
    if kind.startswith("dpo"):
        return bench.stream("pairs", preferences(1), None, 1.0)
    if kind == "reward_model":
        return bench.stream("compared", preferences(1), None, 1.0, held_out=0.2)
    if kind in ("rloo", "grpo"):
        return bench.prompts("kill", 4, 4, 24)
    return bench.stream("made", documents(1)) if kind in ("pretrain", "midtrain") else bench.stream("chats", chats(1))


def arguments_of(bench: Bench, kind: str, folder: Path) -> list[str]:
    """Return the arguments of a child; ``kind`` may end in ``+compiled``."""
    name, _, form = kind.partition("+")
    return [str(bench.start), str(stream_of(bench, name)), str(folder), STAGES[name], form]


def child(bench: Bench, kind: str, folder: Path, **environment: str) -> int:
    result = subprocess.run(
        [sys.executable, "-c", CHILD, *arguments_of(bench, kind, folder)],
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


SERVER = """
import json, os, signal, sys, time
import peft, torch, transformers, trl  # once, so that a trial costs a fork
from trl import DPOTrainer, GRPOTrainer, RewardTrainer, RLOOTrainer
from transformers import Trainer
CHILD = sys.argv[1]
for line in sys.stdin:
    trial = json.loads(line)
    began = time.monotonic()
    process = os.fork()
    if process == 0:
        os.environ.update(trial["environment"])
        sys.argv = ["child", *trial["arguments"]]
        try:
            exec(CHILD, {"__name__": "__main__"})
        except BaseException:
            import traceback
            traceback.print_exc()
            os._exit(1)
        os._exit(0)
    if trial["seconds"] is not None:
        time.sleep(trial["seconds"])
        os.kill(process, signal.SIGKILL)
    _, status = os.waitpid(process, 0)
    print(json.dumps({"code": os.waitstatus_to_exitcode(status), "seconds": time.monotonic() - began}), flush=True)
"""


class ForkServer:
    """A process that imported everything once and forks a child per trial."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-c", SERVER, CHILD],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "OMP_NUM_THREADS": "1", "TQDM_DISABLE": "1"},
        )

    def trial(
        self, bench: Bench, kind: str, folder: Path, seconds: float | None = None, **environment: str
    ) -> tuple[int, float]:
        """Run a child, killed after ``seconds`` if given; return its exit code and how long it ran."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        trial = {"arguments": arguments_of(bench, kind, folder), "environment": environment, "seconds": seconds}
        self._process.stdin.write(json.dumps(trial) + "\n")
        self._process.stdin.flush()
        answer = json.loads(self._process.stdout.readline())
        return int(answer["code"]), float(answer["seconds"])

    def close(self) -> None:
        """End the process."""
        self._process.communicate()


@pytest.fixture(scope="module")
def forks() -> Iterator[ForkServer]:
    server = ForkServer()
    yield server
    server.close()


def kill_at(bench: Bench, forks: ForkServer, tmp_path: Path, kind: str, *, only_distinct: bool) -> int:
    """Kill a run at every point of its straight run, run it again, and return at how many points that was."""
    log = tmp_path / "points"
    assert forks.trial(bench, kind, tmp_path / "straight", UPBRINGING_FAULT_LOG=str(log))[0] == 0
    expected = bits(tmp_path / "straight" / "output")
    assert expected != bits(bench.start)
    num_points = len(log.read_text(encoding="utf-8").splitlines())
    points = distinct_points(log) if only_distinct else range(1, num_points + 1)
    for number in points:
        folder = tmp_path / f"killed-{number}"
        assert forks.trial(bench, kind, folder, UPBRINGING_FAULT_AT=str(number))[0] == -signal.SIGKILL
        assert forks.trial(bench, kind, folder)[0] == 0
        assert bits(folder / "output") == expected
    return len(points)


BOTH = "dpo-lora"  # pairs and adapters are killed one by one here, together at every point in the slow suite


@pytest.mark.timeout(900)
@pytest.mark.parametrize(
    "kind",
    [
        *(each for each in STAGES if each not in (BOTH, "grpo")),
        "sft+compiled",
        pytest.param("grpo", marks=pytest.mark.slow),
    ],
)  # of rl, rloo stands for both
def test_a_kill_at_every_distinct_point_of_every_kind_changes_no_bit(
    bench: Bench, forks: ForkServer, tmp_path: Path, kind: str
) -> None:
    assert kill_at(bench, forks, tmp_path, kind, only_distinct=True) >= 5


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize("kind", [*STAGES, *(f"{kind}+compiled" for kind in COMPILED)])
def test_a_kill_at_every_point_of_every_kind_changes_no_bit(
    bench: Bench, forks: ForkServer, tmp_path: Path, kind: str
) -> None:
    assert kill_at(bench, forks, tmp_path, kind, only_distinct=False) >= 20


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize("kind", STAGES)
def test_kills_at_random_times_change_no_bit(bench: Bench, forks: ForkServer, tmp_path: Path, kind: str) -> None:
    code, whole = forks.trial(bench, kind, tmp_path / "straight")
    assert code == 0
    expected = bits(tmp_path / "straight" / "output")
    draw = random.Random(kind)
    for number in range(NUM_RANDOM_KILLS):
        folder = tmp_path / f"killed-{number}"
        for _ in range(2):  # twice: the second resume has another step to start from
            assert forks.trial(bench, kind, folder, draw.uniform(0.0, whole))[0] in (0, -signal.SIGKILL)
        assert forks.trial(bench, kind, folder)[0] == 0
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
