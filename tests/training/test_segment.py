"""A segment ends in the bits of the straight run, however it was cut, stopped or killed."""

from __future__ import annotations

from pathlib import Path

import pytest
from training_bench import Bench, bits, chats, documents

from upbringing.base.errors import TrainingError
from upbringing.formats.record import BuildProfile
from upbringing.training.midtrain import Midtrain
from upbringing.training.pretrain import Pretrain
from upbringing.training.settings import Lora, Phase, TrainedStage
from upbringing.training.sft import Sft

pytestmark = pytest.mark.model

PROFILES = {
    "fp32-eager": BuildProfile(),
    "bf16-eager": BuildProfile(precision="bf16"),
    "bf16-sdpa": BuildProfile(precision="bf16", attention="sdpa"),
}


def pretrain(**fields: object) -> Pretrain:
    return Pretrain.model_validate(
        {"tokens": 1536, "phases": [{"data": "made"}], "context": 32, "batch_size": 4, "learning_rate": 3e-3, **fields}
    )


STAGES: dict[str, TrainedStage] = {
    "pretrain": pretrain(),
    "midtrain": Midtrain(tokens=1536, phases=(Phase(data="made"),), context=32, batch_size=4),
    "accumulate": pretrain(accumulate=2, weight_decay=0.1),
    "sft": Sft(data="chats", context=32, batch_size=4),
    "lora": Sft(data="chats", context=32, batch_size=4, weights=Lora(rank=2, dropout=0.1)),
}


def stream_of(bench: Bench, kind: str) -> Path:
    return bench.stream("chats", chats(1)) if kind in ("sft", "lora") else bench.stream("made", documents(1))


@pytest.mark.parametrize("kind", STAGES)
def test_a_run_cut_in_two_ends_in_the_bits_of_the_straight_run(bench: Bench, kind: str) -> None:
    stream = stream_of(bench, kind)
    straight, whole = bench.train(f"{kind}-straight", STAGES[kind], stream, steps=(0, 12))
    bench.train(f"{kind}-first", STAGES[kind], stream, steps=(0, 5), keep_state=True)
    state = bench.folder / f"{kind}-first" / "state"
    second, parts = bench.train(f"{kind}-second", STAGES[kind], stream, steps=(5, 12), state=state)
    assert bits(second) == bits(straight)
    assert parts.losses == whole.losses
    assert bits(straight) != bits(bench.start)
    assert whole.guard == "ok"


@pytest.mark.parametrize("profile", PROFILES)
def test_two_runs_in_one_process_give_the_same_bits(bench: Bench, profile: str) -> None:
    stream = stream_of(bench, "pretrain")
    runs = [
        bench.train(f"again-{profile}-{number}", STAGES["pretrain"], stream, steps=(0, 6), profile=PROFILES[profile])[0]
        for number in range(2)
    ]
    assert bits(runs[0]) == bits(runs[1])


def test_a_branch_with_other_later_data_shares_the_past_and_differs_after(bench: Bench) -> None:
    left = bench.stream("made", documents(1))
    right = bench.stream("other", documents(2))
    bench.train("trunk", STAGES["pretrain"], left, steps=(0, 5), keep_state=True)
    state = bench.folder / "trunk" / "state"
    kept, _ = bench.train("branch-left", STAGES["pretrain"], left, steps=(5, 12), state=state)
    swapped, losses = bench.train("branch-right", STAGES["pretrain"], right, steps=(5, 12), state=state)
    straight, straight_losses = bench.train("branch-straight", STAGES["pretrain"], left, steps=(0, 12))
    assert bits(kept) == bits(straight)
    assert bits(swapped) != bits(straight)
    assert losses.losses[:5] == straight_losses.losses[:5]


def test_a_learning_rate_of_zero_changes_no_bit(bench: Bench) -> None:
    stage = pretrain(learning_rate=0.0, identity=True)
    output, realised = bench.train("identity", stage, stream_of(bench, "pretrain"), steps=(0, 3))
    assert bits(output) == bits(bench.start)
    assert realised.guard == "ok"
    _, undeclared = bench.train("idle", pretrain(learning_rate=0.0), stream_of(bench, "pretrain"), steps=(0, 3))
    assert undeclared.guard == "the stage changed no weight"


def test_one_step_equals_a_step_written_out_by_hand(bench: Bench) -> None:
    import torch
    from transformers import LlamaForCausalLM

    from upbringing.data.collation import collate
    from upbringing.data.stream import open_stream

    stage = pretrain(schedule={"kind": "constant"}, weight_decay=0.1)
    stream = stream_of(bench, "pretrain")
    output, realised = bench.train("one-step", stage, stream, steps=(0, 1))
    model = LlamaForCausalLM.from_pretrained(bench.start, attn_implementation="eager")
    batch = collate(open_stream(stream).arrays, 0, 4, torch.float32)
    labels = batch.pop("labels")
    logits = model(**batch).logits
    loss = torch.nn.functional.cross_entropy(logits[:, :-1].flatten(0, 1), labels[:, 1:].flatten(), ignore_index=-100)
    loss.backward()
    torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
    matrices = [p for p in model.parameters() if p.dim() > 1]
    vectors = [p for p in model.parameters() if p.dim() < 2]
    groups = [{"params": matrices, "weight_decay": 0.1}, {"params": vectors, "weight_decay": 0.0}]
    torch.optim.AdamW(groups, lr=3e-3, betas=(0.9, 0.95), eps=1e-8).step()
    trained = LlamaForCausalLM.from_pretrained(output, attn_implementation="eager")
    assert realised.losses[0] == pytest.approx(float(loss), abs=1e-6)
    for (name, mine), theirs in zip(model.named_parameters(), trained.parameters(), strict=True):
        assert torch.allclose(mine, theirs, atol=2e-6), name


def test_accumulation_equals_one_large_batch(bench: Bench) -> None:
    stream = stream_of(bench, "sft")
    _, whole = bench.train("batch-1x4", STAGES["sft"], stream, steps=(0, 4))
    split = STAGES["sft"].model_copy(update={"accumulate": 4})
    _, parts = bench.train("batch-4x1", split, stream, steps=(0, 4))
    assert parts.losses == pytest.approx(whole.losses, abs=2e-6)


def test_a_loss_that_is_not_finite_stops_before_the_update(bench: Bench) -> None:
    stage = pretrain(learning_rate=1e30, schedule={"kind": "constant"}, max_gradient_norm=1e9)
    with pytest.raises(TrainingError, match="before the update"):
        bench.train("explodes", stage, stream_of(bench, "pretrain"), steps=(0, 12))


def test_merged_adapters_answer_like_adapters(bench: Bench) -> None:
    import torch
    from peft import PeftModel
    from transformers import LlamaForCausalLM

    output, _ = bench.train("lora-merge", STAGES["lora"], stream_of(bench, "lora"), steps=(0, 6))
    base = LlamaForCausalLM.from_pretrained(bench.start, attn_implementation="eager")
    adapter = PeftModel.from_pretrained(base, output / "adapter").eval()
    merged = LlamaForCausalLM.from_pretrained(output, attn_implementation="eager")
    ids = torch.arange(10, 30)[None]
    with torch.no_grad():
        assert torch.allclose(adapter(ids).logits, merged(ids).logits, atol=1e-4)
