"""What measures ask of a model, so that one pass can serve them all."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from upbringing.formats.items import Item, Judgement
from upbringing.formats.rows import Row
from upbringing.formats.tree import ConditionInfo
from upbringing.models.decoding import Decoding, Greedy


@dataclass(frozen=True)
class AnswerNeed:
    """An answer to ``item`` through the chat template, after the first ``prefill`` tokens of a complying answer."""

    item: str
    decoding: Decoding = Greedy()  # noqa: RUF009 - a frozen value
    prefill: int = 0

    @property
    def condition(self) -> str:
        """Name of how the answer was elicited."""
        decoding = "greedy" if isinstance(self.decoding, Greedy) else f"sampled-{self.decoding.temperature:g}"
        return f"chat-{decoding}" if self.prefill == 0 else f"chat-{decoding}-prefill-{self.prefill}"

    def info(self, template: str) -> ConditionInfo:
        """Return the condition's row of ``tree.json``."""
        return ConditionInfo(
            id=self.condition,
            elicitation="E1",
            template=template,
            decoding=self.decoding.kind,
            attack="prefill" if self.prefill else None,
            prefill_tokens=self.prefill,
        )


@dataclass(frozen=True)
class LikelihoodNeed:
    """The log-likelihood of each continuation of an item.

    ``prompt``: ``chat`` (the rendered messages), ``completion`` (plain text to be continued), ``neutral`` (the chat
    template around no request) or ``nothing`` (the end-of-text token: whole texts).
    """

    item: str
    prompt: Literal["chat", "completion", "neutral", "nothing"]
    continuations: tuple[str, ...]

    @property
    def condition(self) -> str:
        """Name of how the likelihood was elicited."""
        return {"completion": "completion-likelihood", "nothing": "text-likelihood"}.get(self.prompt, "chat-likelihood")


@dataclass(frozen=True)
class JudgedAnswer:
    """An answer with what each judge made of it. ``judgements``: judge id to judgement."""

    need: AnswerNeed
    sample: int
    response: str
    response_sha256: str
    finish: str
    judgements: dict[str, Judgement]
    judge_kinds: dict[str, str]


@dataclass(frozen=True)
class Evidence:
    """Everything the pass found: answers per need, likelihoods (nats) per need, bytes per text."""

    checkpoint: str
    items: dict[str, Item]
    answers: dict[AnswerNeed, list[JudgedAnswer]] = field(default_factory=dict)
    likelihoods: dict[LikelihoodNeed, list[float]] = field(default_factory=dict)


def answer_row(
    evidence: Evidence, measure: str, answer: JudgedAnswer, judge: str, value: float | None, **why: object
) -> Row:
    """Return the row of one judged answer. ``value`` ``None`` needs ``reason_code`` in ``why``."""
    judgement = answer.judgements[judge]
    plain: dict[str, object] = {
        "checkpoint": evidence.checkpoint,
        "measure": measure,
        "condition": answer.need.condition,
        "item": answer.need.item,
        "sample": answer.sample,
        "judge": judge,
        "judge_kind": answer.judge_kinds[judge],
        "outcome": judgement.outcome,
        "value": value,
        "status": "scored" if value is not None else "unscored",
        "response": answer.response,
        "response_sha256": answer.response_sha256,
        **why,
    }
    return Row(**plain)  # type: ignore[arg-type]
