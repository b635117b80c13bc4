"""What every transform of texts shares: its tools, what came out of it, and the name a text draws its randomness by."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from upbringing.base.errors import DataError
from upbringing.base.fingerprint import text_sha256
from upbringing.data.documents import Document, Preference, TrainingText
from upbringing.data.interventions.scores import Scorer
from upbringing.data.interventions.writing import Writer

Metadata = Mapping[str, str | int | float | bool | None]

WRITTEN_AS = "written_as"  # metadata of a synthetic text: the task it was written for
ID = "id"  # metadata that names a text, where it has a name


@dataclass(frozen=True)
class Tools:
    """What a transform may ask: ``writer`` for texts, ``scorer`` for harm scores. ``None`` = there is none."""

    writer: Writer | None = None
    scorer: Scorer | None = None

    def needed_writer(self, kind: str) -> Writer:
        """Return the writer; raises ``DataError`` naming the transform that needs one."""
        if self.writer is None:
            raise DataError(
                f"{kind}: needs a writer and has none: use the data of a world, which brings its own, or give a writer"
            )
        return self.writer

    def needed_scorer(self, kind: str) -> Scorer:
        """Return the scorer; raises ``DataError`` naming the transform that needs one."""
        if self.scorer is None:
            raise DataError(
                f"{kind}: needs a scorer and has none: use the data of a world, which brings its own, or give a scorer"
            )
        return self.scorer


NO_TOOLS = Tools()


@dataclass(frozen=True)
class Dose:
    """Of how many texts a transform could have made something, and of how many it did. ``least``: share it must."""

    kind: str
    eligible: int
    made: int
    least: float = 0.0

    def problem(self) -> str | None:
        """Return what to say where the dose was not met, ``None`` where it was (or where nothing was eligible)."""
        if not self.eligible or (self.made and self.made >= self.least * self.eligible):
            return None
        return (
            f"{self.kind}: of {self.eligible} eligible texts {self.made} came out, "
            f"{max(1, round(self.least * self.eligible))} are needed: read the rejects' reasons, or lower least"
        )


@dataclass(frozen=True)
class Transformed:
    """What came out. ``rejects``: (text, reason) of everything that was left out. ``doses``: what was made of what.

    A text that was replaced by what was written from it is no reject: the written one carries its id.
    """

    texts: tuple[TrainingText, ...]
    rejects: tuple[tuple[TrainingText, str], ...]
    doses: tuple[Dose, ...] = ()


def text_name(text: TrainingText) -> str:
    """Return the name of a text: its metadata's ``id``, else a hash of its content. Never its place."""
    named = text.metadata.get(ID)
    if named is not None:
        return str(named)
    if isinstance(text, Document):
        return text_sha256(text.text)
    if isinstance(text, Preference):
        turns = [(turn.role, turn.content) for turn in text.prompt]
        return text_sha256(json.dumps([turns, text.chosen, text.rejected], ensure_ascii=False))
    return text_sha256(json.dumps([(turn.role, turn.content) for turn in text.turns], ensure_ascii=False))


def is_synthetic(text: TrainingText) -> bool:
    """Return whether a transform wrote this text."""
    return text.metadata.get(WRITTEN_AS) is not None


def harm_of(text: TrainingText, kind: str) -> int:
    """Return the harm score of a text; raises ``DataError`` where it has none."""
    if isinstance(text, Preference) or text.harm is None:
        raise DataError(f"{kind}: a text of {text.source!r} has no harm score: score the data first")
    return text.harm


def eligible_places(texts: Sequence[TrainingText], scores: Sequence[int], kind: str) -> list[int]:
    """Return the places of documents whose harm is one of ``scores`` and which no transform wrote.

    Raises ``DataError`` for a document without a score. Chats are never eligible.
    """
    return [
        place
        for place, text in enumerate(texts)
        if isinstance(text, Document) and not is_synthetic(text) and harm_of(text, kind) in scores
    ]


def with_id(text: TrainingText, extra: Metadata) -> dict[str, str | int | float | bool | None]:
    """Return the metadata of ``text`` with its name and ``extra``."""
    return {**text.metadata, ID: text_name(text), **extra}
