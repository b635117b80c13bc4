"""Texts written from texts: what a transform asks of a writer, be it a language model or a fixed template."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, Protocol

from upbringing.data.documents import Document, Turn

Task = Literal["rephrase", "refusal", "moral_education", "benign_dialogue"]


@dataclass(frozen=True)
class WritingRequest:
    """One text to write. ``style``: of a rephrasing. ``name`` seeds what is drawn: the document, not its place."""

    task: Task
    document: Document
    name: str
    style: str | None = None


@dataclass(frozen=True)
class Written:
    """What was written: ``text``, or ``turns`` for a dialogue. Both are empty where it failed, and ``reason`` says why.

    ``facts_kept``: whether the writer can tell that the facts of the source stand in it; ``None`` = not checked.
    """

    text: str = ""
    turns: tuple[Turn, ...] = ()
    reason: str | None = None
    facts_kept: bool | None = None
    details: Mapping[str, str | int | float | bool | None] = field(default_factory=dict)


class Writer(Protocol):
    """Anything that writes: the deterministic templates, or a language model behind an endpoint."""

    @property
    def id(self) -> str:
        """Name and version: enters the data's identity and names the teacher of what is written."""
        ...

    def write(self, requests: Sequence[WritingRequest], seed: int) -> list[Written]:
        """Return one result per request, in order; none depends on the others. Draws from ``write/<name>``."""
        ...
