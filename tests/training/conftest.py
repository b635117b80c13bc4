"""Fixtures of this area."""

from __future__ import annotations

import pytest
from training_bench import WORDS, Bench

from upbringing.data.tokenizer import train_tokenizer
from upbringing.training.fresh import create_fresh
from upbringing.training.start import FreshStart, TokenizerRecipe


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Bench:
    """A bench with a two-layer model of width 32."""
    folder = tmp_path_factory.mktemp("bench")
    tokenizer = folder / "tokenizer"
    tokenizer.mkdir()
    train_tokenizer(WORDS, vocabulary=420, special_tokens=(), chat_template=None, folder=tokenizer)
    start = folder / "start"
    start.mkdir()
    recipe = TokenizerRecipe(train_on="world", vocabulary=420)
    create_fresh(FreshStart(layers=2, width=32, heads=2, context=64, tokenizer=recipe), tokenizer, 3, start)
    return Bench(folder, start)
