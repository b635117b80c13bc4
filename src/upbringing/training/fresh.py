"""Random weights in which every parameter has a random stream of its own."""

from __future__ import annotations

import shutil
from pathlib import Path

from upbringing.base.streams import derived_seed
from upbringing.data.tokenizer import TOKENIZER_FILES
from upbringing.training.start import FreshStart

FEED_FORWARD_MULTIPLE = 32  # keeps matrix shapes friendly to vector units


def feed_forward_width(start: FreshStart) -> int:
    """Return the width of the gated feed-forward layers: 8/3 of the width, rounded up, unless given."""
    if start.feed_forward is not None:
        return start.feed_forward
    return -(-(8 * start.width // 3) // FEED_FORWARD_MULTIPLE) * FEED_FORWARD_MULTIPLE


def num_parameters(start: FreshStart, vocabulary: int) -> int:
    """Return the number of weights of a fresh model with ``vocabulary`` tokens."""
    width = start.width
    per_layer = 4 * width * width + 3 * width * feed_forward_width(start) + 2 * width
    embeddings = vocabulary * width * (1 if start.tie_embeddings else 2)
    return start.layers * per_layer + embeddings + width


def create_fresh(start: FreshStart, tokenizer: Path, seed: int, output: Path) -> None:
    """Write a Llama model with random weights and the tokenizer of the study into ``output``.

    Each parameter draws from a stream named after it, so that another special token or another layer changes
    no other weight: matrices from N(0, ``initial_deviation``), norms are one. Embedding rows have a stream each.
    """
    import torch
    from transformers import AutoTokenizer, LlamaConfig, LlamaForCausalLM

    opened = AutoTokenizer.from_pretrained(str(tokenizer), local_files_only=True, trust_remote_code=False)
    config = LlamaConfig(
        vocab_size=len(opened),
        hidden_size=start.width,
        intermediate_size=feed_forward_width(start),
        num_hidden_layers=start.layers,
        num_attention_heads=start.heads,
        max_position_embeddings=start.context,
        tie_word_embeddings=start.tie_embeddings,
        pad_token_id=opened.pad_token_id,
        bos_token_id=None,
        eos_token_id=opened.eos_token_id,
        initializer_range=start.initial_deviation,
    )
    model = LlamaForCausalLM(config)
    generator = torch.Generator()
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if parameter.dim() < 2:
                parameter.fill_(1.0)
            elif "embed_tokens" in name or "lm_head" in name:
                for row in range(parameter.shape[0]):
                    generator.manual_seed(derived_seed(seed, name, row))
                    parameter[row].normal_(0.0, start.initial_deviation, generator=generator)
            else:
                generator.manual_seed(derived_seed(seed, name))
                parameter.normal_(0.0, start.initial_deviation, generator=generator)
    model.save_pretrained(output)
    copy_tokenizer(tokenizer, output)


def copy_tokenizer(source: Path, target: Path) -> None:
    """Copy the tokenizer's files, chat template included."""
    for name in TOKENIZER_FILES:
        if (source / name).exists():
            shutil.copyfile(source / name, target / name)
