"""A checkpoint that exists already, as somebody else would have left it in a folder."""

from __future__ import annotations

from pathlib import Path

import pytest

from upbringing.data.tokenizer import train_tokenizer
from upbringing.training.fresh import create_fresh
from upbringing.training.start import FreshStart, TokenizerRecipe

WORDS = [first + middle + last for first in "bdfgkl" for middle in "aeiou" for last in "bdfgklmn"]


@pytest.fixture(scope="session")
def existing(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a model of random weights with a tokenizer and a chat template; copy it to change it."""
    folder = tmp_path_factory.mktemp("existing")
    tokenizer, model = folder / "tokenizer", folder / "model"
    for each in (tokenizer, model):
        each.mkdir()
    train_tokenizer(WORDS, vocabulary=600, special_tokens=(), chat_template=None, folder=tokenizer)
    recipe = TokenizerRecipe(train_on="nothing", vocabulary=600)
    create_fresh(FreshStart(layers=1, width=32, heads=2, context=64, tokenizer=recipe), tokenizer, 0, model)
    return model
