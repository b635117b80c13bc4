"""Training on an accelerator (a pretended one): the CPU's losses and weights, and resumes in the same bits."""

from __future__ import annotations

import gc
import weakref
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from device_bench import training_there
from masking_bench import kept, masked_stage, mixed_stream, unwanted
from pretend_device import DEVICE, PretendTensor, inner, on_pretend_device, pretend_device
from training_bench import BATCH, Bench, bits, chats, documents, preferences

from upbringing.data.collation import collate
from upbringing.data.held_out import HeldOut
from upbringing.data.stream import open_stream
from upbringing.formats.record import BuildProfile
from upbringing.models import document_attention
from upbringing.training import kinds, segment, state, trainer
from upbringing.training.dpo import Dpo
from upbringing.training.held_out import held_out_loss
from upbringing.training.isolation import isolated
from upbringing.training.precision import frozen_matrices_cast
from upbringing.training.pretrain import Pretrain
from upbringing.training.recalibration import loss_with_bias, recalibrated_bias
from upbringing.training.reward_model import RewardModel
from upbringing.training.rl import Rl
from upbringing.training.settings import Lora, TrainedStage
from upbringing.training.sft import Sft

pytestmark = pytest.mark.model
THERE = BuildProfile(device="cuda")
PRETRAIN = Pretrain.model_validate(
    {"tokens": 1536, "phases": [{"data": "made"}], "context": 32, "batch_size": 4, "learning_rate": 3e-3}
)
STAGES: dict[str, TrainedStage] = {
    "pretrain": PRETRAIN,
    "sft": Sft(data="chats", context=32, batch_size=4, accumulate=2, learning_rate=3e-3),
    "lora": Sft(data="chats", context=32, batch_size=4, weights=Lora(rank=2), learning_rate=1e-2),
    "dpo": Dpo(data="pairs", context=32, batch_size=BATCH, beta=0.3, learning_rate=3e-3),
    "reward_model": RewardModel(data="pairs", context=32, batch_size=BATCH, learning_rate=3e-3),
    "rl": Rl.model_validate(
        {"data": "x", "reward": "oracle", "steps": 12, "group_size": 4, "batch_size": 8, "context": 32,
         "max_new_tokens": 6, "learning_rate": 3e-3}
    ),
    "masked": masked_stage(weight_decay=0.1),
}  # fmt: skip


def stream_of(bench: Bench, kind: str) -> Path:
    if kind == "rl":
        return bench.prompts("rl", 12, 2, 22)
    if kind in ("dpo", "reward_model"):
        return bench.stream("pairs", preferences(1), None, 2.0, 0.2 if kind == "reward_model" else None)
    if kind == "masked":
        return mixed_stream(bench, "three", {"forget": unwanted(2), "other": documents(4), "retain": kept(2)})
    return bench.stream("made", documents(1)) if kind == "pretrain" else bench.stream("chats", chats(1))


def weights(folder: Path) -> dict[str, torch.Tensor]:
    from safetensors.torch import load_file

    return load_file(folder / "model.safetensors")


@pytest.mark.parametrize("kind", STAGES)
def test_a_stage_trains_there_as_on_the_cpu(bench: Bench, kind: str) -> None:
    stream, stage = stream_of(bench, kind), STAGES[kind]
    here, expected = bench.train(f"{kind}-here", stage, stream, steps=(0, 6))
    with training_there():
        there, found = bench.train(f"{kind}-there", stage, stream, steps=(0, 6), profile=THERE)
    np.testing.assert_allclose(found.losses, expected.losses, atol=1e-4)
    assert found.guard == expected.guard
    assert found.weights_changed
    for name, tensor in weights(here).items():
        torch.testing.assert_close(weights(there)[name], tensor, rtol=1e-3, atol=1e-4)


def kernel(
    query: Any, key: Any, value: Any, ends: Any, key_ends: Any, longest: int, longest_key: int, **how: Any
) -> Any:
    """What torch's kernel for documents of unequal length computes, by a mask; it takes what the kernel takes."""
    assert query.device == key.device == value.device == ends.device == DEVICE
    assert query.dtype == key.dtype == value.dtype
    assert key_ends is ends
    lengths = inner(ends).diff()
    assert ends.dtype == torch.int32
    assert 0 < lengths.min() <= lengths.max() <= longest == longest_key
    assert lengths.sum() == len(query)
    scale, window, shares = how.pop("scale"), how.pop("window_size"), how.pop("enable_gqa")
    assert not how
    assert window == (-1, 0)  # causal
    assert shares == (query.shape[1] != key.shape[1])
    places = torch.arange(len(query), device=query.device)
    document = torch.bucketize(places, ends[1:], right=True)
    seen = (document[:, None] == document) & (places[:, None] >= places)
    scores = (query.transpose(0, 1) @ key.permute(1, 2, 0)) * scale
    return (torch.softmax(scores.masked_fill(~seen, -1e30), -1) @ value.transpose(0, 1)).transpose(0, 1)


@pytest.mark.parametrize(
    "kind", ["sft", *(pytest.param(kind, marks=pytest.mark.slow) for kind in ("pretrain", "lora"))]
)
def test_documents_go_to_the_kernel_for_unequal_lengths(
    bench: Bench, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = []
    monkeypatch.setattr(document_attention, "varlen_attn", lambda *g, **n: calls.append(1) or kernel(*g, **n))
    stream, stage = stream_of(bench, kind), STAGES[kind]
    _, expected = bench.train(f"{kind}-masked", stage, stream, steps=(0, 6))
    with training_there():
        profile = THERE.model_copy(update={"attention": "varlen"})
        _, found = bench.train(f"{kind}-varlen-there", stage, stream, steps=(0, 6), profile=profile)
    assert len(calls) == 6 * 2 * stage.accumulate  # two layers
    np.testing.assert_allclose(found.losses, expected.losses, atol=1e-4)
    assert found.weights_changed


@pytest.mark.parametrize("kind", ["pretrain", "lora", pytest.param("rl", marks=pytest.mark.slow)])
def test_a_run_cut_in_two_there_ends_in_the_bits_of_the_straight_run(bench: Bench, kind: str) -> None:
    stream, stage = stream_of(bench, kind), STAGES[kind]
    with training_there():
        straight, whole = bench.train(f"{kind}-straight", stage, stream, steps=(0, 6), profile=THERE)
        bench.train(f"{kind}-first", stage, stream, steps=(0, 3), profile=THERE, keep_state=True)
        folder = bench.folder / f"{kind}-first" / "state"
        second, parts = bench.train(f"{kind}-second", stage, stream, steps=(3, 6), profile=THERE, state=folder)
    assert bits(second) == bits(straight)
    assert parts.losses == whole.losses


def test_a_state_is_read_onto_the_cpu_wherever_it_was_written(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    plain, asked = torch.load, []
    monkeypatch.setattr(torch, "load", lambda *given, **named: asked.append(named) or plain(*given, **named))
    with training_there():
        bench.train("kept", PRETRAIN, stream_of(bench, "pretrain"), steps=(0, 2), profile=THERE, keep_state=True)
    found = state.load_state(bench.folder / "kept" / "state")
    assert asked == [{"map_location": "cpu", "weights_only": True}]  # a machine may have fewer devices, or none
    assert set(found.random_states[0]) == {"cpu", "cuda"}
    assert found.made_with["device"] == "cuda"
    assert not any(isinstance(tensor, PretendTensor) for tensor in found.weights.values())


def test_only_what_is_computed_on_has_its_random_state_kept_and_restored(monkeypatch: pytest.MonkeyPatch) -> None:
    with training_there() as (_, generator):
        before = generator.state.clone()
        with isolated(THERE):
            kept_state = trainer.random_state("cuda")
            generator.set(torch.zeros(16, dtype=torch.uint8))
            trainer.set_random_state(kept_state)
            assert torch.equal(generator.state, before)
            generator.set(torch.zeros(16, dtype=torch.uint8))
        assert torch.equal(generator.state, before)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)  # and nobody asks: it would wake the device
    assert set(trainer.random_state("cpu")) == {"cpu"}


def test_a_lone_process_trains_on_one_of_the_devices_that_it_sees(bench: Bench) -> None:
    from transformers import Trainer, TrainingArguments

    arguments = TrainingArguments(output_dir=str(bench.folder / "scratch"), use_cpu=True, report_to=[])
    assert arguments.n_gpu == 0
    arguments._n_gpu = 4
    trainer.watched(Trainer)(model=torch.nn.Linear(1, 1), args=arguments)
    assert arguments.n_gpu == 1
    assert arguments.train_batch_size == arguments.per_device_train_batch_size


def test_a_reference_leaves_the_device_once_it_has_said_all(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    plain, made = kinds.Reference, []
    monkeypatch.setattr(kinds, "Reference", lambda *given: made.append(plain(*given)) or made[-1])
    with training_there():
        bench.train("left", STAGES["dpo"], stream_of(bench, "dpo"), steps=(0, 2), profile=THERE)
    assert {parameter.device.type for parameter in made[0].model.parameters()} == {"cpu"}


def test_frozen_weights_are_cast_there_and_the_others_wait_on_the_cpu() -> None:
    layer = torch.nn.Linear(3, 3, bias=False).requires_grad_(requires_grad=False)
    there = on_pretend_device(torch.nn.Sequential(layer))
    with pretend_device() as waits:
        with frozen_matrices_cast(there, BuildProfile(precision="bf16", device="cuda")):
            assert there[0].weight.dtype == torch.bfloat16
            assert there[0].weight.device == DEVICE
            assert waits.total == 1  # the copy away
        assert torch.equal(inner(there[0].weight.data), layer.weight)
        assert there[0].weight.device == DEVICE


def test_losses_on_unread_text_and_biases_are_those_of_the_cpu(bench: Bench) -> None:
    from transformers import AutoModelForCausalLM

    arrays = open_stream(stream_of(bench, "pretrain")).arrays
    held_out, places = HeldOut(("made",) * len(arrays["tokens"]), arrays), [1, 4, 7]
    expected = held_out_loss(held_out, places, bench.start, bench.start, BuildProfile())
    with training_there():
        found = held_out_loss(held_out, places, bench.start, bench.start, THERE)
    assert found.before == pytest.approx(expected.before, abs=1e-5)
    here = AutoModelForCausalLM.from_pretrained(str(bench.start), attn_implementation="eager").eval()
    batches = {"made": [collate(arrays, 0, 8, torch.float32)]}
    bias = recalibrated_bias(here, batches, steps=3)
    with pretend_device():
        there = on_pretend_device(here)
        found_bias = recalibrated_bias(there, batches, steps=3)
        assert found_bias.device == DEVICE
        assert loss_with_bias(there, batches["made"], found_bias) == pytest.approx(
            loss_with_bias(here, batches["made"], bias), abs=1e-5
        )
    torch.testing.assert_close(inner(found_bias), bias, atol=1e-5, rtol=0)


@pytest.mark.parametrize("kind", ["sft", "dpo", "rl"])
def test_nothing_of_a_stage_stays_on_the_device(bench: Bench, kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    plain, opened = segment.open_start, []

    def open_start(*given: Any) -> Any:
        loaded = plain(*given)
        opened.append(weakref.ref(next(loaded.model.parameters())))
        return loaded

    monkeypatch.setattr(segment, "open_start", open_start)
    monkeypatch.setattr(torch.cuda, "empty_cache", lambda: opened.append(opened[0]()))
    gc.disable()  # and nobody else collects
    try:
        with training_there():
            bench.train(f"left-{kind}", STAGES[kind], stream_of(bench, kind), steps=(0, 2), profile=THERE)
    finally:
        gc.enable()
    assert opened[1:] == [None]  # when the memory was given back
