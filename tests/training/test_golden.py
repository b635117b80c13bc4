"""Golden ids and losses of each kind of stage: what is trained today is what was trained when they were written.

The bytes of a stream are exact on every machine: integers and named random streams. Losses are fp32 and differ between
processors and versions of torch by the order of sums, which Adam carries on: 1e-6 after twelve steps with the vector
units switched off. The tolerance is 50 times that; a changed rate, beta or decay moves some loss by far more (last
test). After a change that is meant, write them anew with ``python tests/training/test_golden.py`` and say why.
"""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import Any

import pytest
from training_bench import BATCH, Bench, chats, documents, make_bench, preferences

from upbringing.data.stream import read_info
from upbringing.training.dpo import Dpo
from upbringing.training.midtrain import Midtrain
from upbringing.training.pretrain import Pretrain
from upbringing.training.reward_model import RewardModel
from upbringing.training.settings import Lora, Phase, TrainedStage
from upbringing.training.sft import Sft

pytestmark = pytest.mark.model

GOLDEN = Path(__file__).with_name("golden.json")
TOLERANCE = 5e-5  # nats; see above
COMMON: dict[str, Any] = {"context": 32, "batch_size": BATCH, "learning_rate": 3e-3}
PHASES = (Phase(data="made"),)
STAGES: dict[str, TrainedStage] = {
    "pretrain": Pretrain(tokens=1536, phases=PHASES, weight_decay=0.1, **COMMON),
    "midtrain": Midtrain(tokens=1536, phases=PHASES, accumulate=2, **COMMON),
    "sft": Sft(data="chats", **COMMON),
    "sft-lora": Sft(data="chats", weights=Lora(rank=2, dropout=0.1), **COMMON),
    "dpo": Dpo(data="pairs", **COMMON),
    "reward_model": RewardModel(data="pairs", **COMMON),
    "dpo-lora": Dpo(data="pairs", weights=Lora(rank=2, dropout=0.1), **COMMON),
}


def stream_of(bench: Bench, kind: str) -> Path:
    if kind.startswith("dpo") or kind == "reward_model":
        return bench.stream("pairs", preferences(1), None, 2.0)
    return bench.stream("chats", chats(1)) if kind.startswith("sft") else bench.stream("made", documents(1))


def found(bench: Bench, kind: str, name: str = "", stage: TrainedStage | None = None) -> dict[str, Any]:
    """Train a stage and return the hash of what it read and its losses."""
    stream = stream_of(bench, kind)
    _, realised = bench.train(f"golden-{name or kind}", stage or STAGES[kind], stream, steps=(0, 12))
    return {"stream": read_info(stream).sha256, "losses": [round(loss, 7) for loss in realised.losses]}


@pytest.mark.parametrize("kind", STAGES)
def test_the_data_and_the_losses_are_the_golden_ones(bench: Bench, kind: str) -> None:
    expected = json.loads(GOLDEN.read_text(encoding="utf-8"))[kind]
    actual = found(bench, kind)
    assert actual["stream"] == expected["stream"]
    assert actual["losses"] == pytest.approx(expected["losses"], abs=TOLERANCE)


@pytest.mark.parametrize(
    "change",
    [{"learning_rate": 3.3e-3}, {"beta2": 0.9}, {"weight_decay": 1.0}],
    ids=lambda change: next(iter(change)),
)
def test_a_changed_recipe_is_seen_through_the_tolerance(bench: Bench, change: dict[str, Any]) -> None:
    expected = json.loads(GOLDEN.read_text(encoding="utf-8"))["sft"]["losses"]
    changed = found(bench, "sft", str(change), STAGES["sft"].model_copy(update=change))["losses"]
    assert max(abs(left - right) for left, right in zip(changed, expected, strict=True)) > 2 * TOLERANCE


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        made = make_bench(Path(folder))
        GOLDEN.write_text(json.dumps({kind: found(made, kind) for kind in STAGES}, indent=1) + "\n", encoding="utf-8")
