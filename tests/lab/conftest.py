"""Tiny checkpoints and prompts for studies that train nothing; jobs without processes of their own."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from upbringing.base.errors import UpbringingError
from upbringing.data.tokenizer import train_tokenizer
from upbringing.formats.items import Item, Message
from upbringing.lab.building import workshop as workshop_module
from upbringing.lab.building.executor import Job, Outcome
from upbringing.training.fresh import create_fresh
from upbringing.training.start import FreshStart, TokenizerRecipe

WORDS = tuple(f"{first}{second}" for first in ("ba", "de", "fi", "go", "lu") for second in "bcdfghkl")
MANY_WORDS = [first + middle + last for first in "bdfgkl" for middle in "aeiou" for last in "bdfgklmn"]


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


@pytest.fixture(scope="session")
def existing(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a model of random weights with a tokenizer and a chat template; copy it to change it."""
    folder = tmp_path_factory.mktemp("existing")
    tokenizer, model = folder / "tokenizer", folder / "model"
    for each in (tokenizer, model):
        each.mkdir()
    train_tokenizer(MANY_WORDS, vocabulary=600, special_tokens=(), chat_template=None, folder=tokenizer)
    recipe = TokenizerRecipe(train_on="nothing", vocabulary=600)
    create_fresh(FreshStart(layers=1, width=32, heads=2, context=64, tokenizer=recipe), tokenizer, 0, model)
    return model


def _run_here(jobs: Sequence[Job], **_: Any) -> dict[str, Outcome]:
    outcomes = {}
    for job in jobs:
        try:
            outcomes[job.key] = Outcome(job.key, value=job.run(lambda event: None))
        except UpbringingError as error:
            outcomes[job.key] = Outcome(job.key, error=error)
    return outcomes


@pytest.fixture
def one_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """Run jobs here instead of in spawned processes, which other tests use: each costs seconds."""
    monkeypatch.setattr(workshop_module, "run_jobs", _run_here)


@pytest.fixture(scope="module")
def one_process_for_all() -> Iterator[None]:
    """The same for everything that the fixtures of a module run."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(workshop_module, "run_jobs", _run_here)
        yield
