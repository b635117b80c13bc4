"""Activations computed again in the backward pass: the bits of training that keeps them, for every kind of stage."""

from __future__ import annotations

from typing import Any

import pytest
from training_bench import BATCH, Bench, bits, chats, documents, preferences

from upbringing.formats.record import BuildProfile
from upbringing.training.dpo import Dpo
from upbringing.training.pretrain import Pretrain
from upbringing.training.reward_model import RewardModel
from upbringing.training.settings import Lora, Phase, TrainedStage
from upbringing.training.sft import Sft

pytestmark = pytest.mark.model

PRETRAIN = Pretrain(tokens=1536, phases=(Phase(data="made"),), context=32, batch_size=BATCH, learning_rate=3e-3)
SFT = Sft(data="chats", context=32, batch_size=BATCH)
STAGES: dict[str, TrainedStage] = {
    "pretrain": PRETRAIN.model_copy(update={"accumulate": 2}),
    "sft": SFT,
    "lora": SFT.model_copy(update={"weights": Lora(rank=2, dropout=0.1)}),
    "dpo": Dpo(data="pairs", context=32, batch_size=BATCH, learning_rate=3e-3),
    "reward_model": RewardModel(data="pairs", context=32, batch_size=BATCH, learning_rate=3e-3),
}
AGAIN = BuildProfile(activation_checkpointing=True)


def stream_of(bench: Bench, kind: str) -> Any:
    if kind in ("dpo", "reward_model"):
        return bench.stream("pairs", preferences(1), None, 2.0)
    return bench.stream("made", documents(1)) if kind == "pretrain" else bench.stream("chats", chats(1))


@pytest.fixture
def layer_calls(monkeypatch: pytest.MonkeyPatch) -> list[bool]:
    """One entry per time that a layer is computed, for the first time or again."""
    from transformers.models.llama.modeling_llama import LlamaMLP

    calls: list[bool] = []
    plain = LlamaMLP.forward

    def counted(self: Any, *given: Any, **named: Any) -> Any:
        calls.append(self.training)
        return plain(self, *given, **named)

    monkeypatch.setattr(LlamaMLP, "forward", counted)
    return calls


@pytest.mark.parametrize("kind", STAGES)
def test_the_bits_are_those_of_training_that_keeps_activations(
    bench: Bench, kind: str, layer_calls: list[bool]
) -> None:
    stream = stream_of(bench, kind)
    kept, whole = bench.train(f"{kind}-kept", STAGES[kind], stream, steps=(0, 12))
    once = sum(layer_calls)
    layer_calls.clear()
    again, twice = bench.train(f"{kind}-again", STAGES[kind], stream, steps=(0, 12), profile=AGAIN)
    assert bits(again) == bits(kept) != bits(bench.start)
    assert twice.losses == whole.losses
    assert sum(layer_calls) == 2 * once, "nothing was computed again"


def test_a_run_cut_in_two_ends_in_the_bits_of_the_straight_run(bench: Bench) -> None:
    stream, stage = stream_of(bench, "lora"), STAGES["lora"]
    straight, _ = bench.train("straight", stage, stream, steps=(0, 12), profile=AGAIN)
    bench.train("trunk", stage, stream, steps=(0, 5), keep_state=True, profile=AGAIN)
    rest, _ = bench.train("rest", stage, stream, steps=(5, 12), state=bench.folder / "trunk" / "state", profile=AGAIN)
    assert bits(rest) == bits(straight)
