"""Tiny checkpoints and prompts, for studies that train nothing."""

from __future__ import annotations

from pathlib import Path

import pytest

from upbringing.data.tokenizer import train_tokenizer
from upbringing.formats.items import Item, Message
from upbringing.training.fresh import create_fresh
from upbringing.training.start import FreshStart, TokenizerRecipe

WORDS = tuple(f"{first}{second}" for first in ("ba", "de", "fi", "go", "lu") for second in "bcdfghkl")


@pytest.fixture(scope="session")
def tiny_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the checkpoints ``base`` and ``tuned`` (random weights of two seeds) and ``prompts.jsonl``."""
    folder = tmp_path_factory.mktemp("tiny")
    (folder / "tokenizer").mkdir()
    train_tokenizer(WORDS, vocabulary=420, special_tokens=(), chat_template=None, folder=folder / "tokenizer")
    start = FreshStart(
        layers=1, width=32, heads=2, context=128, initial_deviation=0.3, tokenizer=TokenizerRecipe(train_on="x")
    )
    for seed, name in enumerate(("base", "tuned")):
        (folder / name).mkdir()
        create_fresh(start, folder / "tokenizer", seed, folder / name)
    items = [
        Item(
            id=f"{request}-{word}",
            cluster=word,
            twin=f"{'benign' if request == 'harmful' else 'harmful'}-{word}",
            request=request,  # type: ignore[arg-type]
            split="ood",
            messages=(Message(role="user", content=f"{word} {'bab' if request == 'harmful' else 'dek'}"),),
        )
        for word in WORDS[:8]
        for request in ("harmful", "benign")
    ]
    text = "\n".join(item.model_dump_json() for item in items)
    (folder / "prompts.jsonl").write_text(text, encoding="utf-8")
    return folder
