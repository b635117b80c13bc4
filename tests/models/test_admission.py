"""Settings of a checkpoint describe a network, or are refused by name before any library sees them."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from upbringing.base.errors import IntegrityError, UntrustedError
from upbringing.models.admission import read_settings, require_plain
from upbringing.models.loading import check_folder

MILLION = 1_000_000
LLAMA = {
    "architectures": ["LlamaForCausalLM"],
    "model_type": "llama",
    "hidden_act": "silu",
    "hidden_size": 576,
    "intermediate_size": 1536,
    "max_position_embeddings": 8192,
    "num_attention_heads": 9,
    "num_hidden_layers": 30,
    "num_key_value_heads": 3,
    "torch_dtype": "bfloat16",
    "transformers_version": "4.42.3",
    "vocab_size": 49152,
}
# Settings as public checkpoints have them, with their number of weights: none of it may be refused.
PUBLIC: dict[str, tuple[dict[str, Any], int]] = {
    "smollm2": (
        {
            **LLAMA,
            "_name_or_path": "/home/someone/checkpoints/smollm2-135M",
            "is_llama_config": True,
            "rope_interleaved": False,
            "rope_theta": 100000,
            "transformers.js_config": {"kv_cache_dtype": {"q4f16": "float16", "fp16": "float16"}},
        },
        134 * MILLION,
    ),
    "scaled rotary base": (
        {
            **LLAMA,
            "eos_token_id": [128001, 128008],
            "rope_scaling": {"factor": 32.0, "rope_type": "llama3", "original_max_position_embeddings": 8192},
            "_attn_implementation_autoset": True,
            "attn_implementation": "flash_attention_2",
            "quantization_config": None,
            "unsloth_version": "2024.11.5",
        },
        134 * MILLION,
    ),
    "gpt2": (
        {
            "activation_function": "gelu_new",
            "architectures": ["GPT2LMHeadModel"],
            "model_type": "gpt2",
            "n_ctx": 1024,
            "n_embd": 768,
            "n_head": 12,
            "n_inner": None,
            "n_layer": 12,
            "n_positions": 1024,
            "summary_type": "cls_index",
            "task_specific_params": {"text-generation": {"do_sample": True, "max_length": 50}},
            "vocab_size": 50257,
        },
        124 * MILLION,
    ),
    "opt": (
        {
            "_remove_final_layer_norm": False,
            "activation_function": "relu",
            "architectures": ["OPTForCausalLM"],
            "model_type": "opt",
            "ffn_dim": 4096,
            "hidden_size": 1024,
            "num_hidden_layers": 24,
            "prefix": "</s>"[:0],
            "torch_dtype": "float16",
            "vocab_size": 50272,
            "word_embed_proj_dim": 512,
        },
        331 * MILLION,
    ),
    "layers of several types": (
        {**LLAMA, "model_type": "gemma3_text", "architectures": ["Gemma3ForCausalLM"],
         "_sliding_window_pattern": 6, "layer_types": ["sliding_attention", "full_attention"], "dtype": "bfloat16",
         "rope_parameters": {"full_attention": {"rope_type": "linear", "factor": 8.0, "rope_theta": 1000000}}},
        134 * MILLION,
    ),
    "classifier": (
        {**LLAMA, "architectures": ["LlamaForSequenceClassification"],
         "id2label": {"0": "S1: violence/hate", "1": "org/name"}, "label2id": {"S1: violence/hate": 0}},
        134 * MILLION,
    ),
    "experts": (
        {**LLAMA, "model_type": "olmoe", "architectures": ["OlmoeForCausalLM"], "num_experts": 64,
         "intermediate_size": [1024, 1536], "router_aux_loss_coef": 0.01, "norm_topk_prob": False},
        6919 * MILLION,
    ),
}  # fmt: skip
HOSTILE: dict[str, tuple[dict[str, Any], str]] = {
    "own code": ({"auto_map": {"AutoModelForCausalLM": "modeling_evil.Evil"}}, "brings foreign code"),
    "own code inside": ({"text_config": {"auto_map": {"AutoConfig": "x.Y"}}}, "brings foreign code"),
    "own generation": ({"custom_generate": "org/evil"}, "brings foreign code"),
    "private attention": ({"_attn_implementation_internal": "org/kernel"}, "brings foreign code"),
    "private experts": ({"text_config": {"_experts_implementation_internal": "org/kernel"}}, "brings foreign code"),
    "attention of a hub": ({"attn_implementation": "org/kernel"}, "none of the library's own"),
    "attention by part": ({"attn_implementation": {"": "eager", "text_config": "org/k"}}, "none of the library's own"),
    "kernels": ({"kernel_config": {"RMSNorm": "org/kernel:RMSNorm"}}, "brings foreign code"),
    "quantiser": ({"quantization_config": {"quant_method": "mxfp4"}}, "quantiser's own code; convert"),
    "backbone of a hub": ({"backbone": "org/name"}, "names a place"),
    "module": ({"activation": "os.system"}, "names a place"),
    "address": ({"weights": ["https:evil"]}, "names a place"),
    "path": ({"extra": {"file": "..\\secret"}}, "names a place"),
    "private": ({"_is_quantized": True}, "reaches into the library"),
    "dunder": ({"__class__": "x"}, "reaches into the library"),
    "no name": ({"a b": 1}, "reaches into the library"),
    "type of numbers": ({"torch_dtype": "load"}, "no type of numbers"),
    "architecture": ({"architectures": ["EvilForCausalLM"]}, "architecture 'EvilForCausalLM', which transformers"),
    "kind": ({"model_type": "evil"}, "architecture 'evil', which transformers"),
    "no architecture": ({"architectures": "LlamaForCausalLM"}, "names no architecture"),
    "no kind": ({"model_type": {"a": 1}}, "names no architecture"),
    "many layers": ({"num_hidden_layers": 10**9}, "a network with more weights"),
    "large vocabulary": ({"vocab_size": 10**6}, "a network with more weights"),
    "wide": ({"hidden_size": 10**7}, "a network with more weights"),
    "wide inside": ({"text_config": {"intermediate_size": 10**6}}, "a network with more weights"),
    "many experts": ({"num_local_experts": 10**10}, "a network with more weights"),
    "many positions": ({"max_position_embeddings": 10**9}, "more than 16777216"),
    "negative": ({"num_hidden_layers": -1}, "no size"),
    "fraction": ({"hidden_size": 576.5}, "no size"),
    "words": ({"vocab_size": "many"}, "no size"),
}


@pytest.mark.parametrize("name", PUBLIC)
def test_settings_of_public_checkpoints_are_admitted(name: str, tmp_path: Path) -> None:
    config, num_weights = PUBLIC[name]
    (tmp_path / "config.json").write_text(json.dumps(config), encoding="utf-8")
    require_plain(read_settings(tmp_path / "config.json"), tmp_path / "config.json", num_weights)


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_setting_is_refused_by_name(name: str, tmp_path: Path) -> None:
    setting, said = HOSTILE[name]
    path = tmp_path / "config.json"
    path.write_text(json.dumps({**LLAMA, **setting}), encoding="utf-8")
    with pytest.raises(UntrustedError, match=said):
        require_plain(read_settings(path), path, 134 * MILLION)


@pytest.mark.parametrize("name", ["tokenizer_file", "vocab_file", "merges_file", "spm_file", "fast_tokenizer_files"])
def test_a_tokenizer_that_is_read_from_elsewhere_is_refused(name: str, tmp_path: Path) -> None:
    path = tmp_path / "tokenizer_config.json"
    path.write_text(json.dumps({name: "/etc/passwd", "eos_token": "</s>"}), encoding="utf-8")
    with pytest.raises(UntrustedError, match="another tokenizer"):
        read_settings(path)
    path.write_text(json.dumps({name: None, "eos_token": "</s>"}), encoding="utf-8")
    assert read_settings(path)["eos_token"] == "</s>"


@pytest.mark.parametrize(
    ("text", "error", "said"),
    [
        ("{", IntegrityError, "torn"),
        ("[]", IntegrityError, "no configuration|not a configuration"),
        ("[" * 100_000, IntegrityError, "torn"),
        ('{"a": ' * 40 + "1" + "}" * 40, UntrustedError, "more than 32 deep"),
        (" " * (32 << 20) + "{}", UntrustedError, "no settings are as long"),
    ],
)
def test_files_that_are_no_settings_are_named(text: str, error: type[Exception], said: str, tmp_path: Path) -> None:
    path = tmp_path / "config.json"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(error, match=said):
        read_settings(path)


@pytest.mark.model
def test_a_trapped_folder_is_refused_before_torch_is_loaded_and_its_code_never_runs(tmp_path: Path) -> None:
    header = json.dumps({"b": {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]}}).encode()
    (tmp_path / "model.safetensors").write_bytes(len(header).to_bytes(8, "little") + header + b"01234567")
    trap = f"open({str(tmp_path / 'sprung')!r}, 'w')\n"
    (tmp_path / "modeling_evil.py").write_text(trap + "class Evil: pass\n", encoding="utf-8")
    said = []
    for setting in ({"auto_map": {"AutoModelForCausalLM": "modeling_evil.Evil"}}, {"architectures": ["Evil"]}):
        (tmp_path / "config.json").write_text(json.dumps({"model_type": "llama", **setting}), encoding="utf-8")
        code = (
            "import sys\nfrom pathlib import Path\nfrom upbringing.formats.record import BuildProfile\n"
            "from upbringing.models.loading import check_folder\n"
            "try:\n    check_folder(Path(sys.argv[1]))\nexcept Exception as error:\n"
            "    print(type(error).__name__, 'torch' in sys.modules)\n"
        )
        done = subprocess.run([sys.executable, "-c", code, str(tmp_path)], capture_output=True, text=True, check=True)
        said.append(done.stdout.split())
    assert said == [["UntrustedError", "False"]] * 2
    assert not (tmp_path / "sprung").exists()
    with pytest.raises(UntrustedError):
        check_folder(tmp_path)
