"""What scorers need from above: opened classifiers and models that rate, handed in because data loads neither."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from upbringing.base.errors import DataError
from upbringing.formats.items import Message

Question = tuple[str, tuple[Message, ...]]
"""A name, which says nothing of the place of the question, and the messages."""

EMPTY_TEXT = "empty-text"


class Classified(Protocol):
    """What a sequence classifier makes of one text."""

    @property
    def probabilities(self) -> Sequence[float]:
        """One per label, in the order of the labels; they add up to 1."""
        ...

    @property
    def num_tokens(self) -> int:
        """Tokens of the whole text."""
        ...

    @property
    def num_read(self) -> int:
        """Tokens that the model read; fewer where the text is longer than it can take."""
        ...


class TextClassifier(Protocol):
    """A classifier whose labels are only names: what they mean for harm is declared elsewhere, and checked."""

    @property
    def id(self) -> str:
        """Name and hash of the weights."""
        ...

    @property
    def labels(self) -> tuple[str, ...]:
        """Names of the labels, in the order of the probabilities."""
        ...

    def classify(self, texts: Sequence[str]) -> Sequence[Classified]:
        """Return one result per text, in order."""
        ...


class Rated(Protocol):
    """How a request to a model that rates ended."""

    @property
    def text(self) -> str:
        """What it said."""
        ...

    @property
    def status(self) -> str:
        """``ok``, or how the request ended instead."""
        ...

    @property
    def reason_code(self) -> str | None:
        """Why it is not ``ok``."""
        ...


class Rater(Protocol):
    """A model that answers questions, with its budget, its retries and its kept replies."""

    @property
    def id(self) -> str:
        """Name and revision of the model."""
        ...

    def ask(self, questions: Sequence[Question], max_tokens: int) -> Sequence[Rated]:
        """Return one reply of at most ``max_tokens`` tokens per question, in order."""
        ...


@dataclass(frozen=True)
class ScoringTools:
    """``folder``: where relative paths of a scorer file begin. ``raters``: models by the names the file gives them."""

    folder: Path = Path()
    open_classifier: Callable[[Path, int | None], TextClassifier] | None = None
    raters: Mapping[str, Rater] = field(default_factory=dict)

    def classifier(self, folder: str, max_tokens: int | None) -> TextClassifier:
        """Return the sequence classifier in ``folder``; raises ``DataError`` where nothing can open one."""
        if self.open_classifier is None:
            raise DataError(f"the checkpoint {folder!r} cannot be opened here: open the scorer with the tools of lab")
        return self.open_classifier(self.folder / folder, max_tokens)

    def rater(self, name: str) -> Rater:
        """Return the model named ``name``; raises ``DataError`` where the scorer file declares none of that name."""
        if name not in self.raters:
            known = ", ".join(sorted(self.raters)) or "none"
            raise DataError(f"the scorer names the endpoint {name!r}, declared are: {known}")
        return self.raters[name]
