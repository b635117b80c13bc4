"""A tiny fresh checkpoint, loaded once."""

from __future__ import annotations

import pytest

from upbringing.data.tokenizer import train_tokenizer
from upbringing.formats.record import BuildProfile
from upbringing.models.loading import LoadedModel, load_model
from upbringing.training.fresh import create_fresh
from upbringing.training.start import FreshStart, TokenizerRecipe

WORDS = tuple(f"{first}{second}" for first in ("ba", "de", "fi", "go", "lu") for second in "bcdfghkl")


@pytest.fixture(scope="session")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> LoadedModel:
    """Two layers of random weights, spread so that greedy answers vary."""
    return fresh(tmp_path_factory, ("<think>", "</think>"))


@pytest.fixture(scope="session")
def controlled(tmp_path_factory: pytest.TempPathFactory) -> LoadedModel:
    """The same with two control tokens."""
    return fresh(tmp_path_factory, ("<|aligned|>", "<|misaligned|>"))


def fresh(tmp_path_factory: pytest.TempPathFactory, special_tokens: tuple[str, ...]) -> LoadedModel:
    """Return a network whose tokenizer has ``special_tokens``."""
    import torch

    torch.set_num_threads(1)  # tiny layers lose more by waiting for a second thread than they gain
    tokenizer, folder = tmp_path_factory.mktemp("tokenizer"), tmp_path_factory.mktemp("model")
    train_tokenizer(WORDS, vocabulary=420, special_tokens=special_tokens, chat_template=None, folder=tokenizer)
    start = FreshStart(
        layers=2, width=32, heads=2, context=128, initial_deviation=0.3, tokenizer=TokenizerRecipe(train_on="x")
    )
    create_fresh(start, tokenizer, 1, folder)
    return load_model(folder, profile=BuildProfile())
