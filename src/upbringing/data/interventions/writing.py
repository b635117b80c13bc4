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

    ``facts_kept``: whether all facts of the source that the writer looks for stand in it; ``None`` = not known, because
    it looked for none or found none to look for. ``facts_share``: the share that does. A text is accepted from
    the share ``least_facts`` on; where no share is known, unless facts were lost.
    """

    text: str = ""
    turns: tuple[Turn, ...] = ()
    reason: str | None = None
    facts_kept: bool | None = None
    facts_share: float | None = None
    least_facts: float = 1.0
    details: Mapping[str, str | int | float | bool | None] = field(default_factory=dict)

    @property
    def lost_facts(self) -> bool:
        """Whether fewer facts were kept than are needed; not where nothing is known of them."""
        return self.facts_kept is False if self.facts_share is None else self.facts_share < self.least_facts


class Writer(Protocol):
    """Anything that writes: the deterministic templates, or a language model behind an endpoint."""

    @property
    def id(self) -> str:
        """Name and version: enters the data's identity and names the teacher of what is written."""
        ...

    def write(self, requests: Sequence[WritingRequest], seed: int) -> list[Written]:
        """Return one result per request, in order; none depends on the others. Draws from ``write/<name>``."""
        ...
