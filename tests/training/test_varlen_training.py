"""``attention: varlen``: what is trained document by document is what a mask would have trained."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from masking_bench import kept, masked_stage, mixed_stream, unwanted
from training_bench import BATCH, WORDS, Bench, bits, chats, documents

from upbringing.base.errors import TrainingError
from upbringing.data.documents import Document, Span
from upbringing.formats.record import BuildProfile
from upbringing.models import document_attention, varlen
from upbringing.models.document_attention import BY_DOCUMENTS, attending_by_documents
from upbringing.training.pretrain import Pretrain
from upbringing.training.settings import Lora, TrainedStage
from upbringing.training.sft import Sft

pytestmark = pytest.mark.model

VARLEN = BuildProfile(attention="varlen")
PRETRAIN = Pretrain.model_validate(
    {"tokens": 1536, "phases": [{"data": "made"}], "context": 32, "batch_size": BATCH, "learning_rate": 3e-3}
)
STAGES: dict[str, TrainedStage] = {
    "pretrain": PRETRAIN,
    "accumulate": PRETRAIN.model_copy(update={"accumulate": 2}),
    "sft": Sft(data="chats", context=32, batch_size=BATCH, learning_rate=3e-3),
    "lora": Sft(data="chats", context=32, batch_size=BATCH, weights=Lora(rank=2), learning_rate=1e-2),
}
LAYERS = 2  # of the bench's start


def stream_of(bench: Bench, kind: str) -> Path:
    return bench.stream("chats", chats(1)) if kind in ("sft", "lora") else bench.stream("made", documents(1))


def weights(folder: Path) -> dict[str, Any]:
    from safetensors.torch import load_file

    return load_file(folder / "model.safetensors")


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many documents each layer of each micro-batch was computed by."""
    counted: list[int] = []

    def counting(*given: Any) -> Any:
        counted.append(int((given[3].diff() > 0).sum()))
        return varlen.attend_documents(*given)

    monkeypatch.setattr(document_attention, "attend_documents", counting)
    return counted


@pytest.mark.parametrize("kind", STAGES)
def test_a_stage_learns_what_it_learns_with_a_mask(bench: Bench, kind: str, calls: list[int]) -> None:
    import torch

    stream, stage = stream_of(bench, kind), STAGES[kind]
    explicit, expected = bench.train(f"{kind}-explicit", stage, stream, steps=(0, 6))
    assert not calls
    output, found = bench.train(f"{kind}-varlen", stage, stream, steps=(0, 6), profile=VARLEN)
    assert len(calls) == 6 * LAYERS * stage.accumulate
    assert min(calls) > BATCH // stage.accumulate  # several documents to a window
    np.testing.assert_allclose(found.losses, expected.losses, atol=1e-5)
    assert found.guard == expected.guard == "ok"
    for name, tensor in weights(explicit).items():
        torch.testing.assert_close(weights(output)[name], tensor, rtol=1e-3, atol=1e-4)
    assert bits(output) != bits(bench.start)
    assert (output / "config.json").read_bytes() == (explicit / "config.json").read_bytes()


def test_a_run_cut_in_two_ends_in_the_bits_of_the_straight_run(bench: Bench) -> None:
    stream = stream_of(bench, "pretrain")
    straight, whole = bench.train("v-straight", PRETRAIN, stream, steps=(0, 12), profile=VARLEN)
    bench.train("v-first", PRETRAIN, stream, steps=(0, 5), keep_state=True, profile=VARLEN)
    second, parts = bench.train(
        "v-second", PRETRAIN, stream, steps=(5, 12), state=bench.folder / "v-first" / "state", profile=VARLEN
    )
    assert bits(second) == bits(straight)
    assert parts.losses == whole.losses


def test_activations_computed_again_end_in_the_same_bits(bench: Bench) -> None:
    stream, again = stream_of(bench, "pretrain"), VARLEN.model_copy(update={"activation_checkpointing": True})
    kept_output, _ = bench.train("v-kept", PRETRAIN, stream, steps=(0, 4), profile=VARLEN)
    output, _ = bench.train("v-again", PRETRAIN, stream, steps=(0, 4), profile=again)
    assert bits(output) == bits(kept_output)


def annotated(bench: Bench) -> Path:
    texts = [
        Document(text=f"{a} {b} {c}", source="made", spans=(Span(len(a), len(a) + 1 + len(b), isolated=True),))
        for a, b, c in zip(WORDS, WORDS[1:], WORDS[2:], strict=False)
    ]
    return bench.stream("annotated", texts * 4, 8)


def by_modes(bench: Bench) -> Path:
    return mixed_stream(bench, "modes", {"forget": unwanted(2), "other": documents(4), "retain": kept(2)})


@pytest.mark.parametrize(("made", "stage"), [(annotated, PRETRAIN), (by_modes, masked_stage())])
def test_windows_that_need_a_mask_are_trained_with_one_to_the_bit(
    bench: Bench, made: Callable[[Bench], Path], stage: TrainedStage, calls: list[int]
) -> None:
    stream = made(bench)
    explicit, _ = bench.train(f"{made.__name__}-explicit", stage, stream, steps=(0, 2))
    output, _ = bench.train(f"{made.__name__}-varlen", stage, stream, steps=(0, 2), profile=VARLEN)
    assert bits(output) == bits(explicit) != bits(bench.start)
    assert not calls


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_compiled_training_loses_what_plain_training_does_and_resumes_to_the_bit(bench: Bench, precision: Any) -> None:
    stream = stream_of(bench, "pretrain")
    plain, compiled = (BuildProfile(attention="varlen", precision=precision, compile=each) for each in (False, True))
    _, expected = bench.train(f"{precision}-plain", PRETRAIN, stream, steps=(0, 12), profile=plain)
    straight, whole = bench.train(f"{precision}-straight", PRETRAIN, stream, steps=(0, 12), profile=compiled)
    bench.train(f"{precision}-first", PRETRAIN, stream, steps=(0, 5), keep_state=True, profile=compiled)
    state = bench.folder / f"{precision}-first" / "state"
    second, _ = bench.train(f"{precision}-second", PRETRAIN, stream, steps=(5, 12), state=state, profile=compiled)
    np.testing.assert_allclose(whole.losses, expected.losses, atol=1e-4 if precision == "fp32" else 2e-2)
    assert bits(second) == bits(straight)


def network(kind: str, **settings: Any) -> Any:
    from transformers import AutoConfig, AutoModelForCausalLM

    small = {"vocab_size": 64, "pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2, "hidden_size": 32,
             "intermediate_size": 32, "num_hidden_layers": 1,
             "num_attention_heads": 2, "num_key_value_heads": 1, "head_dim": 16}  # fmt: skip
    return AutoModelForCausalLM.from_config(
        AutoConfig.for_model(kind, **small, **settings), attn_implementation="eager"
    ).train()


def windows() -> dict[str, Any]:
    import torch

    return {
        "input_ids": torch.arange(24).view(2, 12),
        "position_ids": torch.tensor([[*range(5), *range(7)], [*range(12)]]),
        "cu_seq_lens_q": torch.tensor([0, 5, 12, 24], dtype=torch.int32),
    }


@pytest.mark.parametrize("kind", ["llama", "qwen2", "qwen3", "olmo2", "mistral", "smollm3"])
def test_other_families_with_plain_attention_compute_each_document_alone(kind: str) -> None:
    import torch

    model, given = network(kind), windows()
    with torch.no_grad():
        with attending_by_documents(model):
            assert model.config._attn_implementation == BY_DOCUMENTS
            packed = model(**given, use_cache=False).logits.flatten(0, 1)
        assert model.config._attn_implementation == "eager"
        ids = given["input_ids"].flatten()
        for begin, end in ((0, 5), (5, 12), (12, 24)):
            alone = model(input_ids=ids[None, begin:end], use_cache=False).logits[0]
            assert torch.allclose(packed[begin:end], alone, atol=1e-5)


@pytest.mark.parametrize("kind", ["gemma2", "gpt2"])
def test_a_family_with_other_attention_is_refused(kind: str) -> None:
    model = network(kind)
    asked = attending_by_documents(model)
    with pytest.raises(TrainingError, match=r"as Llama does, and G.*use attention: eager or sdpa"), asked:
        pass
    assert model.config._attn_implementation == "eager"


def test_what_it_would_ignore_is_refused() -> None:
    import torch

    model, given = network("llama"), windows()
    with attending_by_documents(model):
        with pytest.raises(TrainingError, match="nobody says where their documents end"):
            model(input_ids=given["input_ids"], use_cache=False)
        with pytest.raises(TrainingError, match="given a mask"):
            model(**given, attention_mask=torch.zeros(2, 1, 12, 12), use_cache=False)
    narrow, dropping = network("mistral", sliding_window=8), network("llama", attention_dropout=0.1)
    with attending_by_documents(narrow), pytest.raises(TrainingError, match="sees 8 places back in windows of 12"):
        narrow(**given, use_cache=False)
    with attending_by_documents(dropping), pytest.raises(TrainingError, match=r"drops 0\.1"):
        dropping(**given, use_cache=False)


def test_a_checkpoint_says_how_it_was_trained(bench: Bench) -> None:
    output, _ = bench.train("v-said", PRETRAIN, stream_of(bench, "pretrain"), steps=(0, 2), profile=VARLEN)
    config = json.loads((output / "config.json").read_text())
    assert BY_DOCUMENTS not in json.dumps(config)
