"""Two processes that train one segment over loopback: what is equal to one process, and what is exact.

Losses are those of one process within 1e-5 (the gradient is the same sum in another order); weights are not its bits.
At the same number of processes everything is exact: repeated, cut in two, or killed and run again.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from training_bench import BATCH, Bench, bits, chats, documents, preferences

from upbringing.base.errors import TrainingError
from upbringing.formats.record import BuildProfile
from upbringing.training.dpo import Dpo
from upbringing.training.pretrain import Pretrain
from upbringing.training.reward_model import RewardModel
from upbringing.training.settings import Lora, Phase, TrainedStage
from upbringing.training.sft import Sft

pytestmark = [pytest.mark.model, pytest.mark.slow, pytest.mark.timeout(900)]

TWO = BuildProfile(world_size=2)
PRETRAIN = Pretrain(tokens=1536, phases=(Phase(data="made"),), context=32, batch_size=BATCH, learning_rate=3e-3)
STAGES: dict[str, TrainedStage] = {
    "pretrain": PRETRAIN,
    "accumulate": PRETRAIN.model_copy(update={"accumulate": 2}),
    "sft": Sft(data="chats", context=32, batch_size=BATCH),
    "lora": Sft(data="chats", context=32, batch_size=BATCH, weights=Lora(rank=2)),
    "dpo": Dpo(data="pairs", context=32, batch_size=BATCH, learning_rate=3e-3),
    "reward_model": RewardModel(data="pairs", context=32, batch_size=BATCH, learning_rate=3e-3),
}


def stream_of(bench: Bench, kind: str) -> Path:
    if kind in ("dpo", "reward_model"):
        return bench.stream("pairs", preferences(1), None, 2.0)
    return bench.stream("chats", chats(1)) if kind in ("sft", "lora") else bench.stream("made", documents(1))


@pytest.mark.parametrize("kind", STAGES)
def test_losses_are_those_of_one_process(bench: Bench, kind: str) -> None:
    stream = stream_of(bench, kind)
    output, together = bench.train(f"{kind}-two", STAGES[kind], stream, steps=(0, 12), profile=TWO)
    _, alone = bench.train(f"{kind}-one", STAGES[kind], stream, steps=(0, 12))
    assert together.losses == pytest.approx(alone.losses, abs=1e-5)
    assert together.guard == "ok"
    assert bits(output) != bits(bench.start)


def test_two_processes_are_two_micro_batches(bench: Bench) -> None:
    stream = stream_of(bench, "sft")
    _, together = bench.train("sft-shared", STAGES["sft"], stream, steps=(0, 12), profile=TWO)
    split = STAGES["sft"].model_copy(update={"accumulate": 2})
    _, alone = bench.train("sft-split", split, stream, steps=(0, 12))
    assert together.losses == pytest.approx(alone.losses, abs=1e-5)


@pytest.mark.parametrize("kind", ["pretrain", "lora", "dpo", "reward_model"])
def test_a_run_cut_in_two_ends_in_the_bits_of_the_straight_run(bench: Bench, kind: str) -> None:
    stream, stage = stream_of(bench, kind), STAGES[kind]
    if kind == "lora":
        stage = stage.model_copy(update={"weights": Lora(rank=2, dropout=0.1)})  # each process draws its own
    straight, whole = bench.train(f"{kind}-straight", stage, stream, steps=(0, 12), profile=TWO)
    bench.train(f"{kind}-first", stage, stream, steps=(0, 5), keep_state=True, profile=TWO)
    state = bench.folder / f"{kind}-first" / "state"
    second, parts = bench.train(f"{kind}-second", stage, stream, steps=(5, 12), state=state, profile=TWO)
    assert bits(second) == bits(straight)
    assert parts.losses == whole.losses
    with pytest.raises(TrainingError, match="world_size 2, now it is 1"):
        bench.train(f"{kind}-alone", stage, stream, steps=(5, 12), state=state)


CHILD = """
import sys
from pathlib import Path
from pydantic import TypeAdapter
from upbringing.formats.record import BuildProfile
from upbringing.training.launch import launch_segment
from upbringing.training.segment import Places, Segment
from upbringing.training.stage import Stage
if __name__ == "__main__":
    start, stream, folder, stage = sys.argv[1:5]
    folder = Path(folder)
    places = Places(Path(start), None, Path(stream), folder / "workspace", folder / "output", None)
    for place in (places.workspace, places.output):
        place.mkdir(parents=True, exist_ok=True)
    segment = Segment("x", TypeAdapter(Stage).validate_json(stage), 5, 100, 0, 100)
    launch_segment(segment, places, BuildProfile(world_size=2), lambda *step: print(*step, flush=True))
"""


@pytest.mark.parametrize("victim", ["parent", "child"])
def test_whoever_is_killed_nobody_writes_on_and_the_bits_are_the_same(
    bench: Bench, tmp_path: Path, victim: str
) -> None:
    script = tmp_path / "child.py"
    script.write_text(CHILD, encoding="utf-8")
    stream = bench.stream("long", documents(1), num_windows=400)  # long enough to be caught running
    expected, _ = bench.train(f"undisturbed-{victim}", PRETRAIN, stream, steps=(0, 100), total=100, profile=TWO)
    arguments = [bench.start, stream, tmp_path / "run", PRETRAIN.model_dump_json()]
    command = [sys.executable, str(script), *map(str, arguments)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment)
    assert process.stdout is not None
    process.stdout.readline()  # the first update is done
    ranks = children_of(process.pid)
    assert len(ranks) == 2
    os.kill(process.pid if victim == "parent" else ranks[1], signal.SIGKILL)
    _, errors = process.communicate(timeout=60)
    assert process.returncode != 0
    if victim == "child":
        assert "run the same command again" in errors
    wait_until_gone(ranks)
    subprocess.run(command, check=True, env=environment, stdout=subprocess.DEVNULL)
    assert bits(tmp_path / "run" / "output") == bits(expected)


def children_of(parent: int) -> list[int]:
    """The training processes below ``parent``, without multiprocessing's own helper."""
    import psutil

    return sorted(child.pid for child in psutil.Process(parent).children() if "spawn_main" in " ".join(child.cmdline()))


def wait_until_gone(processes: list[int]) -> None:
    import psutil

    found = [psutil.Process(each) for each in processes if psutil.pid_exists(each)]
    _, alive = psutil.wait_procs(found, timeout=30)
    assert not alive


def test_batches_that_cannot_be_shared_are_refused(bench: Bench) -> None:
    with pytest.raises(TrainingError, match="cannot be split"):
        bench.train("uneven", PRETRAIN, stream_of(bench, "pretrain"), steps=(0, 1), profile=BuildProfile(world_size=3))
