"""The engine openvino computes what transformers computes, and stops, opens and samples as the local model does."""

from __future__ import annotations

import copy
import importlib.util
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from upbringing.base.errors import MeasurementError, MissingExtraError
from upbringing.battery.engine import engine_model, local_model
from upbringing.formats.items import Message
from upbringing.models import openvino
from upbringing.models.asking import Prompt
from upbringing.models.decoding import Decoding, Greedy, Sampled
from upbringing.models.generation import generate
from upbringing.models.loading import LoadedModel
from upbringing.models.local import LocalModel
from upbringing.models.openvino import OpenVinoModel, converted
from upbringing.models.openvino_graph import build_graph, checked_shape

installed = pytest.mark.skipif(
    importlib.util.find_spec("openvino_genai") is None,
    reason="openvino_genai is not installed: runs after pip install -c constraints.txt 'openvino-genai'",
)
WORDS = tuple(f"{first}{second}" for first in ("ba", "de", "fi", "go", "lu") for second in "bcdfghkl")


def prompt(number: int = 0, **fields: Any) -> Prompt:
    words = " ".join(WORDS[(number * step + step) % len(WORDS)] for step in range(1, 3 + number % 9))
    return Prompt(**{"name": str(number), "messages": (Message(role="user", content=words),), **fields})


def answers(model: LocalModel | OpenVinoModel, prompts: list[Prompt], decoding: Decoding, seed: int = 0) -> list[str]:
    found = [""] * len(prompts)
    for batch in model.batches(prompts, decoding):
        for place, samples in zip(
            batch, model.answer([prompts[place] for place in batch], decoding, seed), strict=True
        ):
            found[place] = "|".join(f"{reply.text} ({reply.finish})" for reply in samples)
    return found


@pytest.fixture(scope="module")
def local(tiny: LoadedModel) -> LocalModel:
    return local_model(tiny, precision="fp32", hashed=True)


@pytest.fixture(scope="module")
def engine(local: LocalModel, tmp_path_factory: pytest.TempPathFactory) -> OpenVinoModel:
    return OpenVinoModel(local, tmp_path_factory.mktemp("graphs"))


def test_without_the_package_the_error_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(name: str) -> str:
        raise openvino.PackageNotFoundError(name)

    monkeypatch.setattr(openvino, "version", missing)
    with pytest.raises(
        MissingExtraError, match=r"needs the package openvino.*pip install 'upbringing\[openvino,train\]'"
    ):
        openvino.require_openvino()


def test_an_engine_that_converts_needs_a_folder() -> None:
    asked: Any = object()
    assert engine_model(asked, "transformers", None) is asked
    with pytest.raises(MeasurementError, match="needs a folder"):
        engine_model(asked, "openvino", None)


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"hidden_act": "gelu"}, "activation is gelu"),
        ({"rope_parameters": {"rope_type": "dynamic"}}, "rotary scaling is dynamic"),
        ({"layer_types": ["full_attention", "sliding_attention"]}, "do not attend to the whole text"),
    ],
)
def test_what_the_graph_does_not_compute_is_refused(changed: dict[str, Any], said: str) -> None:
    class LlamaForCausalLM:
        config = SimpleNamespace(**{
            "hidden_act": "silu", "num_attention_heads": 4, "num_key_value_heads": 2, "num_hidden_layers": 3,
            "hidden_size": 32, "rms_norm_eps": 1e-5, **changed,
        })  # fmt: skip

    with pytest.raises(MeasurementError, match=said):
        checked_shape(LlamaForCausalLM())
    for name in changed:
        delattr(LlamaForCausalLM.config, name)
    LlamaForCausalLM.config.hidden_act = "silu"
    assert checked_shape(LlamaForCausalLM()).head == 8
    with pytest.raises(MeasurementError, match="architecture is SimpleNamespace"):
        checked_shape(SimpleNamespace(config=LlamaForCausalLM.config))


@installed
@pytest.mark.model
@pytest.mark.parametrize("kind", ["grouped", "untied", "llama3", "biased", "qwen2"])
def test_the_graph_gives_the_logits_of_transformers(kind: str) -> None:
    import numpy as np
    import torch
    from openvino import Core
    from transformers import LlamaConfig, LlamaForCausalLM, Qwen2Config, Qwen2ForCausalLM

    sizes = {
        "vocab_size": 61, "hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 3,
        "num_attention_heads": 4, "num_key_value_heads": 2, "initializer_range": 0.3,
        "tie_word_embeddings": kind != "untied",
    }  # fmt: skip
    stretched = {
        "rope_type": "llama3", "rope_theta": 10000.0, "factor": 4.0, "low_freq_factor": 1.0,
        "high_freq_factor": 4.0, "original_max_position_embeddings": 16,
    }  # fmt: skip
    torch.manual_seed(3)
    if kind == "qwen2":
        network: Any = Qwen2ForCausalLM(Qwen2Config(**sizes))
    elif kind == "llama3":
        network = LlamaForCausalLM(LlamaConfig(**sizes, rope_parameters=stretched))
    else:
        network = LlamaForCausalLM(LlamaConfig(**sizes, attention_bias=kind == "biased", mlp_bias=kind == "biased"))
    with torch.no_grad():
        for name, parameter in network.named_parameters():
            if name.endswith("bias") or "norm" in name:
                parameter.normal_(1.0, 0.3)
    network.eval()
    ids = torch.randint(0, 61, (2, 20))
    mask = torch.ones_like(ids)
    mask[1, :6] = 0
    positions = (mask.cumsum(1) - 1).clamp(min=0)
    compiled = Core().compile_model(
        build_graph(network, "fp32"), "CPU", {"INFERENCE_PRECISION_HINT": "f32", "INFERENCE_NUM_THREADS": 1}
    )
    found = compiled(
        {
            "input_ids": ids.numpy(),
            "attention_mask": mask.numpy(),
            "position_ids": positions.numpy(),
            "beam_idx": np.arange(2, dtype=np.int32),
        }
    )["logits"]
    with torch.no_grad():
        wanted = network(input_ids=ids, attention_mask=mask, position_ids=positions).logits.numpy()
    real = mask.numpy().astype(bool)
    assert np.abs(wanted[real]).max() > 1.0
    np.testing.assert_allclose(found[real], wanted[real], atol=2e-4)


@installed
@pytest.mark.model
def test_greedy_answers_equal_those_of_transformers(local: LocalModel, engine: OpenVinoModel) -> None:
    prompts = [prompt(number) for number in range(40)]
    first, second = answers(local, prompts, Greedy(max_tokens=24)), answers(engine, prompts, Greedy(max_tokens=24))
    assert len(set(first)) > 20
    assert sum(one == other for one, other in zip(first, second, strict=True)) >= 36


@installed
@pytest.mark.model
@pytest.mark.parametrize("fields", [{"opening": "fib fic fid"}, {"opening": "fib fic fid", "opening_tokens": 2}])
def test_an_opening_is_put_into_the_models_mouth(
    local: LocalModel, engine: OpenVinoModel, fields: dict[str, Any]
) -> None:
    prompts = [prompt(number, **fields) for number in range(6)]
    found = answers(engine, prompts, Greedy(max_tokens=4))
    assert all(answer.startswith("fib fic") for answer in found)
    assert found == answers(local, prompts, Greedy(max_tokens=4))


@installed
@pytest.mark.model
def test_an_answer_stops_at_an_end_token_and_where_the_next_question_begins(local: LocalModel, tmp_path: Path) -> None:
    network = copy.copy(local.network)
    network.generation_config = copy.deepcopy(local.network.generation_config)
    asked = prompt(1)
    decoding = Greedy(max_tokens=12)
    ends = local.ends([asked], decoding)
    answer = generate(local.network, local.token_prompts([asked]), decoding, ends=ends, seed=0)
    network.generation_config.eos_token_id = [answer[0][0].ids[3]]
    ended = replace(local, network=network)
    found = answers(OpenVinoModel(ended, tmp_path), [asked], Greedy(max_tokens=12))
    assert found == answers(ended, [asked], Greedy(max_tokens=12))
    assert found[0].endswith("(stop)")
    model = OpenVinoModel(local, tmp_path)
    plain = [prompt(number, completion=f"{WORDS[number]} is") for number in range(4)]
    stopping = replace(local, tokenizer=_Breaking(local.tokenizer))
    found = answers(replace(model, local=stopping), plain, Greedy(max_tokens=40))
    assert found == answers(stopping, plain, Greedy(max_tokens=40))
    assert all(answer.endswith("(stop)") for answer in found)


class _Breaking:
    """Breaks the line behind the third token, so that plain text ends there."""

    def __init__(self, tokenizer: Any) -> None:
        self.inner = tokenizer

    def __getattr__(self, name: str) -> Any:
        return getattr(self.inner, name)

    def __call__(self, *args: Any, **options: Any) -> Any:
        return self.inner(*args, **options)

    def decode(self, ids: list[int], **options: Any) -> str:
        first = str(self.inner.decode(ids[:3], **options))
        return first if len(ids) <= 3 else f"{first}\n{self.inner.decode(ids[3:], **options)}"


@installed
@pytest.mark.model
def test_a_sampled_answer_depends_on_its_name_and_seed_alone(engine: OpenVinoModel) -> None:
    decoding = Sampled(max_tokens=12, samples=2)
    prompts = [prompt(number) for number in range(6)]
    together = answers(engine, prompts, decoding, seed=1)
    assert together == answers(engine, prompts, decoding, seed=1)
    assert [answers(engine, [each], decoding, seed=1)[0] for each in prompts] == together
    assert together != answers(engine, prompts, decoding, seed=2)
    assert all(len(set(answer.split("|"))) == 2 for answer in together)
    surest = Sampled(max_tokens=12, top_k=1)
    assert answers(engine, prompts, surest) == answers(engine, prompts, Greedy(max_tokens=12))


@installed
@pytest.mark.model
def test_a_conversion_is_kept_and_a_damaged_one_made_again(local: LocalModel, tmp_path: Path) -> None:
    folder = converted(local, tmp_path)
    graph = folder / "openvino_model.bin"
    whole, written = graph.read_bytes(), graph.stat().st_mtime_ns
    assert converted(local, tmp_path) == folder
    assert graph.stat().st_mtime_ns == written
    graph.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
    assert converted(local, tmp_path) == folder
    assert graph.read_bytes() == whole
    assert converted(replace(local, precision="bf16"), tmp_path) != folder
    with pytest.raises(MeasurementError, match="weights' hash"):
        converted(replace(local, weights_sha256=""), tmp_path)


@installed
@pytest.mark.model
def test_two_engines_share_no_cache_line_but_the_likelihoods(local: LocalModel, engine: OpenVinoModel) -> None:
    assert dict(local.identity).items() < dict(engine.identity).items()
    assert engine.identity["engine"] == "openvino"
    assert replace(engine, threads=2).identity != engine.identity
    request = [(prompt(3), (" bab", " bac bad"))]
    assert engine.scores
    assert engine.score(request, lambda done, total: None) == local.score(request, lambda done, total: None)
