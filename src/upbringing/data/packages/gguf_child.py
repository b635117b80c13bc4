"""The child that opens a GGUF file: run as ``python -m upbringing.data.packages.gguf_child FILE OUTPUT``.

It runs with limits and without keys, network or hub, because GGUF headers have overflowed parsers before. Standard
output carries one JSON object: what the converted model says to two plain questions.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from upbringing.base.errors import IntegrityError
from upbringing.data.tokenizer import write_template_twice

QUESTIONS = ("What is the capital of France?", "How many days are in a week?")
NEW_TOKENS = 24  # enough for a short sentence


def convert(source: Path, output: Path) -> dict[str, str]:
    """Write the model in ``source`` as fp32 safetensors with its tokenizer; return its greedy answers.

    The model is built anew from the configuration, because transformers refuses to save what it dequantised.
    Raises ``IntegrityError`` if what was written does not load as exactly the same weights.
    """
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    place = {"local_files_only": True, "trust_remote_code": False}
    loaded = AutoModelForCausalLM.from_pretrained(
        str(source.parent), gguf_file=source.name, dtype=torch.float32, **place
    )
    tokenizer = AutoTokenizer.from_pretrained(str(source.parent), gguf_file=source.name, **place)
    config = type(loaded.config)(**_plain_config(loaded.config))
    clean = AutoModelForCausalLM.from_config(config, trust_remote_code=False)
    weights = loaded.state_dict()
    clean.load_state_dict(weights, strict=True)
    clean.save_pretrained(output)
    tokenizer.save_pretrained(output)
    write_template_twice(output, str(tokenizer.chat_template))
    again = AutoModelForCausalLM.from_pretrained(str(output), dtype=torch.float32, use_safetensors=True, **place)
    found = again.state_dict()
    for name, tensor in weights.items():
        if name not in found or not torch.equal(tensor, found[name]):
            raise IntegrityError(f"the converted weights differ from the GGUF's at {name}")
    return _answers(again, AutoTokenizer.from_pretrained(str(output), **place))


def _plain_config(config: Any) -> dict[str, Any]:
    """Return the configuration without what says how its weights were packed."""
    plain: dict[str, Any] = config.to_dict()
    for key in ("quantization_config", "_name_or_path", "transformers_version", "dtype", "architectures"):
        plain.pop(key, None)
    return plain


def _answers(model: Any, tokenizer: Any) -> dict[str, str]:
    """Return the greedy answers to the fixed questions."""
    import torch

    model.eval()
    answers = {}
    for question in QUESTIONS:
        prompt = tokenizer.apply_chat_template(
            [{"role": "user", "content": question}], add_generation_prompt=True, return_dict=True, return_tensors="pt"
        )
        with torch.no_grad():
            ids = model.generate(**prompt, do_sample=False, max_new_tokens=NEW_TOKENS)
        answers[question] = tokenizer.decode(ids[0, prompt["input_ids"].shape[1] :], skip_special_tokens=True).strip()
    return answers


if __name__ == "__main__":
    sys.stdout.write(json.dumps(convert(Path(sys.argv[1]), Path(sys.argv[2]))))
