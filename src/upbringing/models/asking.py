"""What a model is asked and what it replies, whatever kind of model it is."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal, Protocol, runtime_checkable

from upbringing.formats.items import Message
from upbringing.models.decoding import Decoding
from upbringing.models.states import States

Elicitation = Literal["E0", "E1", "E2", "E2r"]
"""Plain completion, chat template, in-context exemplars (all benign), the same with one refusal among them."""

ReplyStatus = Literal["ok", "refused", "truncated", "malformed", "failed"]
SHALLOW = "opening-shorter-than-depth"  # less of it than its row would be labelled with
THOUGHT_BEGIN, THOUGHT_END = "<think>", "</think>"


@dataclass(frozen=True, kw_only=True)
class Prompt:
    """One thing to be answered or continued.

    ``name`` seeds sampling: the item and the condition, never a position. ``completion``: plain text to be continued
    as it stands (E0); without it E0 puts the messages into a question-and-answer form. Neither messages nor
    completion = the beginning of a text. ``opening``: the beginning of the answer, put into the model's mouth;
    ``opening_tokens``: only so many tokens of it; ``opening_characters``: it has to have so many, and has no more;
    ``opening_is_mark``: it may be a special token. ``marks``: strings whose special tokens its texts, and what
    continues them, hold on purpose; whatever else spells one is text. ``token``: the special token that continuations
    consist of. ``begin``: the one token that the answer, opening included, stands behind: that of the decoding
    (``Decoding.begin``).
    """

    name: str
    messages: tuple[Message, ...] = ()
    elicitation: Elicitation = "E1"
    completion: str | None = None
    opening: str = ""
    opening_tokens: int | None = None
    opening_characters: int | None = None
    opening_is_mark: bool = False
    marks: tuple[str, ...] = ()
    token: str | None = None
    begin: str | None = None

    @property
    def continuation_marks(self) -> tuple[str, ...]:
        """Strings whose special tokens are meant in what continues it."""
        return self.marks if self.token is None else (*self.marks, self.token)


@dataclass(frozen=True, kw_only=True)
class Reply:
    """One reply. ``text`` includes the opening, never the token that it begins behind, and never the thought.

    ``finish``: ``stop`` or ``length``. ``status``: how the request ended; ``reason_code`` says why it is not ``ok``.
    ``attempts`` counts requests, re-asked malformed ones included. ``details``: what the decoding logged, as JSON.
    """

    text: str
    thought: str | None = None
    finish: Literal["stop", "length"] = "stop"
    status: ReplyStatus = "ok"
    reason_code: str | None = None
    attempts: int = 1
    details: str | None = None


class Model(Protocol):
    """Whatever answers. One that cannot score says so by ``scores`` and is asked for answers only."""

    @property
    def identity(self) -> Mapping[str, str]:
        """What decides an answer besides the prompt: hash of the weights, tokenizer, template, precision, versions."""
        ...

    @property
    def template_sha256(self) -> str | None:
        """Hash of the chat template's text, ``None`` where it is not known."""
        ...

    @property
    def scores(self) -> bool:
        """Whether the model gives likelihoods."""
        ...

    @property
    def side_by_side(self) -> int:
        """How many batches may be asked at once: 1 where the machine is already busy with one."""
        ...

    def unanswerable(self, prompt: Prompt) -> str | None:
        """Return the reason code why ``prompt`` cannot be put to this model, ``None`` if it can."""
        ...

    def unscorable(self, prompt: Prompt, continuations: Sequence[str]) -> str | None:
        """Return the reason code why these continuations of ``prompt`` have no likelihood, ``None`` if they have."""
        ...

    def undecodable(self, decoding: Decoding) -> str | None:
        """Return the reason code why this model cannot answer with ``decoding``, ``None`` if it can."""
        ...

    def lacks(self, token: str) -> str | None:
        """Return the reason code why the special ``token`` means nothing to this model, ``None`` if it was learned."""
        ...

    def batches(self, prompts: Sequence[Prompt], decoding: Decoding) -> list[list[int]]:
        """Return the canonical batches: indices into ``prompts``; a function of the prompts alone."""
        ...

    def answer(self, prompts: Sequence[Prompt], decoding: Decoding, seed: int) -> list[list[Reply]]:
        """Return the replies (``decoding.samples`` each) of one batch. Stream: ``decode/<name>/<sample>``."""
        ...

    def score(
        self, requests: Sequence[tuple[Prompt, tuple[str, ...]]], on_progress: Callable[[int, int], None]
    ) -> list[list[float]]:
        """Return the log-likelihood (nats) of each continuation of each prompt."""
        ...


@runtime_checkable
class ReadableModel(Protocol):
    """A model that shows its hidden states as well."""

    def read(
        self,
        requests: Sequence[tuple[Prompt, tuple[str, ...]]],
        prompts: Sequence[Prompt],
        on_progress: Callable[[int, int], None],
    ) -> tuple[list[list[float]], list[States]]:
        """Return the log-likelihoods (nats) of ``requests`` and the hidden states of ``prompts``, from one pass."""
        ...

    def fresh(self, seed: int) -> ReadableModel:
        """Return the same architecture with random weights. Stream: ``fresh-network``."""
        ...

    @property
    def architecture(self) -> Mapping[str, str]:
        """What decides the hidden states of ``fresh``, besides seed and prompts."""
        ...


def split_thought(reply: Reply, *, opened: bool = False) -> Reply:
    """Return ``reply`` with its closed thoughts, and what was said before the end of one, moved to ``thought``.

    Thoughts may stand anywhere, such as reflections behind what was said. ``opened``: the prompt itself began the
    thought, which lasts until the last end. A thought that never ends leaves no answer: its status is ``truncated``,
    because a judge must not take the thought for the answer.
    """
    thoughts, left = ([], reply.text) if opened else _closed_thoughts(reply.text)
    thought, separator, spoken = left.rpartition(THOUGHT_END)
    if separator or thoughts:
        parts = [each.strip() for each in (*thoughts, thought.replace(THOUGHT_BEGIN, ""))]
        return replace(reply, text=spoken.strip(), thought="\n".join(part for part in parts if part))
    if opened or reply.text.lstrip().startswith(THOUGHT_BEGIN):
        thought = reply.text.replace(THOUGHT_BEGIN, "").strip()
        return replace(reply, text="", thought=thought, status="truncated", reason_code="thought-only")
    return reply


def _closed_thoughts(text: str) -> tuple[list[str], str]:
    """Return the thoughts in ``text`` that have both their marks, and the text without them."""
    thoughts, left, position = [], "", 0
    while (begin := text.find(THOUGHT_BEGIN, position)) >= 0 and (end := text.find(THOUGHT_END, begin)) >= 0:
        thoughts.append(text[begin + len(THOUGHT_BEGIN) : end])
        left += text[position:begin].rstrip()
        position = end + len(THOUGHT_END)
    return thoughts, left + text[position:]
