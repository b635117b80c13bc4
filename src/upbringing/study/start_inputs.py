"""What a lineage begins with: the inputs of its key, and the marks that its tokenizer must have for what is read."""

from __future__ import annotations

from typing import Any

from upbringing.base.errors import StudyError
from upbringing.base.places import about
from upbringing.base.streams import derived_seed
from upbringing.study.recipes import DataBook
from upbringing.study.seeds import Replicate
from upbringing.study.stream_recipes import StreamRecipe
from upbringing.study.study import Study
from upbringing.training.start import FreshStart, Start
from upbringing.training.versions import version_input


def require_marks(start: Start, stage: str, stream: StreamRecipe | None, book: DataBook) -> None:
    """Raise ``StudyError`` where a stage reads marks that the tokenizer of a fresh start has no special tokens for."""
    if stream is None or not isinstance(start, FreshStart):
        return
    for name in stream.names.values():
        missing = [mark for mark in book.marks(name) if mark not in start.tokenizer.special_tokens]
        if missing:
            raise StudyError(
                f"stage {stage!r}: the data {name!r} is marked with {', '.join(map(repr, missing))}: add "
                "to start.tokenizer.special_tokens, so that each mark is one token",
                ("start", "tokenizer", "special_tokens"),
            )


def start_inputs(start: Start, study: Study, book: DataBook, replicate: Replicate) -> dict[str, Any]:
    """Return the named inputs of a start's key."""
    if isinstance(start, FreshStart):
        tokenizer = start.tokenizer.model_dump(mode="json", exclude={"train_on"})
        with about(("start", "tokenizer", "train_on")):
            description, _ = book.describe(start.tokenizer.train_on)
        return {
            "fresh": start.model_dump(mode="json", exclude={"tokenizer"}) | version_input(start.kind),
            "tokenizer": {**tokenizer, "lexicon": description.model_dump(mode="json")},
            "seed": derived_seed(study.seed, "init", replicate.root),
        }
    return {"existing": start.checkpoint, "template": start.template}
