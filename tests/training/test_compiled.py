"""Compiled training: the bits of the straight run after any cut, and the same bits in every fresh process."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from training_bench import BATCH, Bench, bits, documents, preferences

from upbringing.formats.record import BuildProfile
from upbringing.training.dpo import Dpo
from upbringing.training.pretrain import Pretrain
from upbringing.training.settings import Lora, Phase, TrainedStage

pytestmark = [pytest.mark.model, pytest.mark.slow, pytest.mark.timeout(900)]

PRETRAIN = Pretrain(tokens=1536, phases=(Phase(data="made"),), context=32, batch_size=BATCH, learning_rate=3e-3)
STAGES: dict[str, TrainedStage] = {
    "pretrain": PRETRAIN,
    "accumulate": PRETRAIN.model_copy(update={"accumulate": 2}),
    "lora": PRETRAIN.model_copy(update={"weights": Lora(rank=2, dropout=0.1)}),
    "dpo": Dpo(data="pairs", context=32, batch_size=BATCH, learning_rate=3e-3),
}
PROFILES = {
    "bf16-eager": BuildProfile(precision="bf16", compile=True),
    "fp32-sdpa": BuildProfile(attention="sdpa", compile=True),
    "activations-again": BuildProfile(compile=True, activation_checkpointing=True),
}

CHILD = """
import sys
from pathlib import Path
from pydantic import TypeAdapter
from upbringing.formats.record import BuildProfile
from upbringing.training.segment import Places, Segment, run_segment
from upbringing.training.stage import Stage
start, stream, folder, stage, profile = sys.argv[1:6]
folder = Path(folder)
places = Places(Path(start), None, Path(stream), folder / "workspace", folder / "output", None)
for place in (places.workspace, places.output):
    place.mkdir(parents=True)
segment = Segment("x", TypeAdapter(Stage).validate_json(stage), 5, 12, 0, 12)
run_segment(segment, places, BuildProfile.model_validate_json(profile), lambda step, total, loss: None)
"""


def stream_of(bench: Bench, kind: str, seed: int = 1) -> Path:
    if kind == "dpo":
        return bench.stream(f"pairs-{seed}", preferences(seed), None, 2.0)
    return bench.stream(f"made-{seed}", documents(seed))


@pytest.mark.parametrize(
    ("kind", "profile"),
    [
        *((kind, "bf16-eager") for kind in STAGES),
        *((kind, "fp32-sdpa") for kind in ("pretrain", "dpo")),
        *((kind, "activations-again") for kind in ("pretrain", "lora")),
    ],
)
def test_a_run_cut_in_two_ends_in_the_bits_of_the_straight_run(bench: Bench, kind: str, profile: str) -> None:
    stage, chosen, name = STAGES[kind], PROFILES[profile], f"{kind}-{profile}"
    stream, other = stream_of(bench, kind), stream_of(bench, kind, 2)
    straight, whole = bench.train(f"{name}-straight", stage, stream, steps=(0, 12), profile=chosen)
    bench.train(f"{name}-trunk", stage, stream, steps=(0, 5), keep_state=True, profile=chosen)
    state = bench.folder / f"{name}-trunk" / "state"
    swapped, _ = bench.train(f"{name}-swapped", stage, other, steps=(5, 12), state=state, profile=chosen)
    kept, parts = bench.train(f"{name}-kept", stage, stream, steps=(5, 12), state=state, profile=chosen)
    assert bits(kept) == bits(straight)
    assert parts.losses == whole.losses
    assert bits(swapped) != bits(straight)


@pytest.mark.parametrize("kind", ["pretrain", "dpo"])
def test_two_fresh_processes_with_empty_caches_end_in_the_same_bits(bench: Bench, tmp_path: Path, kind: str) -> None:
    found = set()
    for number in range(2):
        folder = tmp_path / f"process-{number}"
        environment = {"OMP_NUM_THREADS": "1", "TORCHINDUCTOR_CACHE_DIR": str(tmp_path / f"cache-{number}")}
        arguments = [bench.start, stream_of(bench, kind), folder, STAGES[kind].model_dump_json()]
        subprocess.run(
            [sys.executable, "-c", CHILD, *map(str, arguments), PROFILES["bf16-eager"].model_dump_json()],
            check=True,
            env={**os.environ, **environment},
        )
        found.add(bits(folder / "output"))
    assert len(found) == 1


def test_compiled_losses_are_those_of_plain_training(bench: Bench) -> None:
    compiled = BuildProfile(compile=True)
    _, fast = bench.train("compiled-fp32", PRETRAIN, stream_of(bench, "pretrain"), steps=(0, 12), profile=compiled)
    _, plain = bench.train("plain-fp32", PRETRAIN, stream_of(bench, "pretrain"), steps=(0, 12))
    assert fast.losses == pytest.approx(plain.losses, abs=1e-4)  # fp32, operations fused in another order
