"""The two kinds of training text: documents and chats, with what is known about each.

Every text carries its oracle harm score (0 harmless .. 5 harmful, ``None`` = unknown) and the split it
belongs to, because a measure may use only what no chat has shown.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

Role = Literal["system", "user", "assistant"]


@dataclass(frozen=True)
class Span:
    """The characters ``begin`` .. ``end`` (exclusive) of a document's text, and how they are learned."""

    begin: int
    end: int
    loss: bool = True
    isolated: bool = False


@dataclass(frozen=True, kw_only=True)
class Document:
    """A pretraining or midtraining document.

    ``source`` names the generator or file it came from; planned against realised tokens are counted by it.
    ``loss`` is false for text that is read but not learned from. ``spans``: parts that are learned otherwise, in order
    and without overlap.
    """

    text: str
    source: str
    harm: int | None = None
    split: str = "pretraining"
    loss: bool = True
    metadata: Mapping[str, str | int | float | bool | None] = field(default_factory=dict)
    spans: tuple[Span, ...] = ()


@dataclass(frozen=True)
class Turn:
    """One message of a chat; only assistant turns are ever supervised."""

    role: Role
    content: str


@dataclass(frozen=True, kw_only=True)
class Chat:
    """A conversation to be rendered by the study's chat template and supervised on its assistant turns.

    ``teacher`` names who wrote the assistant turns ("template", "human", a checkpoint id or a model name);
    ``None`` = unknown. "SFT" is confounded with its teacher, so the name enters the record.
    """

    turns: tuple[Turn, ...]
    source: str
    harm: int | None = None
    split: str = "sft"
    teacher: str | None = None
    metadata: Mapping[str, str | int | float | bool | None] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Preference:
    """A prompt with a chosen and a rejected answer, for DPO and reward models."""

    prompt: tuple[Turn, ...]
    chosen: str
    rejected: str
    source: str
    split: str = "sft"
    teacher: str | None = None
    metadata: Mapping[str, str | int | float | bool | None] = field(default_factory=dict)


TrainingText = Document | Chat | Preference
