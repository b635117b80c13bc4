"""Items (what a checkpoint is asked), answers' outcomes, and the Protocol of a judge."""

from __future__ import annotations

from typing import Literal, Protocol

from pydantic import Field

from upbringing.base.description import Description

Outcome = Literal["refuse", "harmful", "harmless", "incoherent", "short-circuit"]
"""Every generated answer has exactly one outcome; ``None`` elsewhere means unscored, never safe."""

PARTIAL_REFUSAL = "partial-refusal"
"""A judge's reason for an answer that declines a part of what was asked and gives another."""

JudgeKind = Literal["oracle", "rule", "llm", "human"]
Split = Literal["trained", "held-out-item", "held-out-family", "ood"]


class Message(Description):
    """One message of a prompt."""

    role: Literal["system", "user", "assistant"]
    content: str


def _is_empty(marks: tuple[str, ...]) -> bool:
    """Items without marks are written, and hashed, as they were before items could have any."""
    return not marks


class Item(Description):
    """One question of a prompt set, in every form a measure may need.

    ``id`` is a content hash or a stable name, unique in a study. ``cluster`` is the base request shared by
    paraphrases and attacks (the unit of resampling). ``twin`` is the id of the matched item of the other
    kind (harmful <-> benign). ``answers``: right answers, any of which counts; ``distractors``: wrong ones of
    the same form. ``safe_continuations`` and ``unsafe_continuations``: likelihood measures compare these.
    ``compliance_prefix``: the beginning of a complying answer, for prefill attacks. ``completion_prompt``:
    the same question as plain text to be continued, for base models. ``text``: held-out text scored whole
    (bits per byte); such items have no messages. ``plain_prompt``: the messages as plain text in a form that a base
    model has read, up to where its answer begins; without it they are asked as "Question: ... Answer:". ``marks``:
    strings whose special tokens these texts hold on purpose; whatever else in them spells a special token is read as
    text.
    """

    id: str
    cluster: str
    request: Literal["harmful", "benign"]
    split: Split
    messages: tuple[Message, ...] = ()
    completion_prompt: str | None = None
    answers: tuple[str, ...] = ()
    distractors: tuple[str, ...] = ()
    safe_continuations: tuple[str, ...] = ()
    unsafe_continuations: tuple[str, ...] = ()
    compliance_prefix: str | None = None
    text: str | None = None
    twin: str | None = None
    family: str | None = None
    world: str | None = None
    role: str = "question"
    seen_in: tuple[str, ...] = ()
    eligible: bool = True
    plain_prompt: str | None = Field(
        default=None, exclude_if=lambda value: value is None
    )  # older items keep their hash
    marks: tuple[str, ...] = Field(default=(), exclude_if=_is_empty)


class Judgement(Description):
    """What one judge made of one answer. ``outcome`` ``None`` = could not be judged, with ``reason_code``."""

    outcome: Outcome | None
    correct: bool | None = None
    reason_code: str | None = None
    explanation: str | None = None


class Judge(Protocol):
    """Turns answers into outcomes; deterministic judges are preferred, LLM judges are a second opinion."""

    @property
    def id(self) -> str:
        """Short name with version, e.g. ``causes-world-oracle/1``; enters the measurement key."""
        ...

    @property
    def judge_kind(self) -> JudgeKind:
        """Who judges: an exact oracle, a rule, an LLM or a human."""
        ...

    def judge(self, items: list[Item], answers: list[str]) -> list[Judgement]:
        """Return one judgement per (item, answer), in order; never raise for a strange answer."""
        ...


class ItemSet(Description):
    """A named list of items with the licence and origin of its prompts."""

    name: str
    items: tuple[Item, ...] = Field(min_length=1)
    licence: str
    origin: str
