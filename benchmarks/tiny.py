"""Tiny models with a real architecture, and the made-up words they are trained on."""

from __future__ import annotations

from pathlib import Path

from upbringing.data.tokenizer import train_tokenizer
from upbringing.training.fresh import create_fresh, num_parameters
from upbringing.training.start import FreshStart, TokenizerRecipe

VOCABULARY = 2048
SIZES = {"2M": (4, 192, 6), "8M": (6, 320, 5)}  # layers, width, heads
WORDS = tuple(f"{a}{b}{c}" for a in "bdfgklmnpr" for b in "aeio" for c in ("n", "s", "t", "lu", "mi"))


def make_tokenizer(folder: Path) -> Path:
    """Write a tokenizer in which each of ``WORDS`` is one token."""
    folder.mkdir()
    train_tokenizer(WORDS, vocabulary=VOCABULARY, special_tokens=(), chat_template=None, folder=folder)
    return folder


def make_start(size: str, tokenizer: Path, folder: Path, *, context: int = 512) -> int:
    """Write a fresh model of a size of ``SIZES`` into ``folder`` and return its number of weights."""
    layers, width, heads = SIZES[size]
    start = FreshStart(
        layers=layers,
        width=width,
        heads=heads,
        context=context,
        tokenizer=TokenizerRecipe(train_on="made", vocabulary=VOCABULARY),
    )
    folder.mkdir()
    create_fresh(start, tokenizer, 1, folder)
    return num_parameters(start, VOCABULARY)
