"""What measures ask of a model, so that one pass can serve them all."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from upbringing.base.short_names import short_name
from upbringing.battery.attack_texts import with_suffix
from upbringing.battery.condition_names import LIKELIHOOD_NAMES, answer_condition
from upbringing.battery.suffix_searches import SuffixSearch
from upbringing.formats.items import Item, Judgement, Message
from upbringing.formats.rows import Row
from upbringing.formats.steering import SteeringLabel
from upbringing.formats.tree import ConditionInfo
from upbringing.models.asking import Elicitation, Prompt
from upbringing.models.decoding import Decoding, Greedy
from upbringing.models.states import States
from upbringing.models.steering import Edit


@dataclass(frozen=True)
class AnswerNeed:
    """An answer to ``item``, after the first ``prefill`` tokens of a complying answer, its first ``characters``, or all
    of ``opening``.

    ``opening`` may be a special token: whoever asks says it, no prompt does. ``suffix`` stands behind the request;
    ``search``: how that suffix is found on the model that is asked, where it is not given. ``intervention``: what is
    done to the hidden states while the answer is decoded.
    """

    item: str
    decoding: Decoding = Greedy()  # noqa: RUF009 - a frozen value
    prefill: int = 0
    elicitation: Elicitation = "E1"
    intervention: Intervention | None = None
    opening: str = ""
    suffix: str = ""
    search: SuffixSearch | None = None
    characters: int = 0

    @property
    def condition(self) -> str:
        """Name of how the answer was elicited."""
        name = self.plain_condition
        return name if self.intervention is None else f"{name}-{self.intervention.label}"

    @property
    def plain_condition(self) -> str:
        """The condition without the intervention: both draw their tokens from the same stream."""
        return answer_condition(
            self.elicitation,
            self.decoding.label,
            prefill=self.prefill,
            characters=self.characters,
            opening=self.opening,
            suffix=self._suffix_name,
        )

    @property
    def is_plain(self) -> bool:
        """Whether it can be asked at once: nothing is to be read of hidden states, nor a suffix to be searched."""
        return self.intervention is None and self.search is None

    def prompt(self, item: Item) -> Prompt:
        """Return what the model is asked."""
        return Prompt(
            name=f"{item.id}/{self.plain_condition}",
            messages=with_suffix(item.messages, self.suffix),
            elicitation=self.elicitation,
            completion=item.completion_prompt or item.plain_prompt
            if self.elicitation == "E0" and not self._has_suffix
            else None,
            opening=self.opening or self._prefix_of(item),
            opening_tokens=self.prefill or None,
            opening_characters=self.characters or None,
            opening_is_mark=bool(self.opening),
            marks=item.marks,
            begin=self.decoding.begin,
        )

    def info(self, template: str | None) -> ConditionInfo:
        """Return the condition's row of ``tree.json``."""
        return ConditionInfo(
            id=self.condition,
            elicitation=self.elicitation,
            template=template if self.elicitation == "E1" else self.elicitation,
            decoding=self.decoding.label,
            attack="suffix" if self._has_suffix else "prefill" if self._is_begun else self._steered,
            prefill_tokens=self.prefill or None,
            attack_text=self._attack_text,
        )

    def _prefix_of(self, item: Item) -> str:
        prefix = (item.compliance_prefix or "") if self.prefill or self.characters else ""
        return prefix[: self.characters] if self.characters else prefix

    @property
    def _is_begun(self) -> bool:
        return bool(self.prefill or self.characters or self.opening)

    @property
    def _suffix_name(self) -> str:
        # one name for all checkpoints, whatever was searched and found on each
        return self.search.label if self.search is not None else short_name(self.suffix) if self.suffix else ""

    @property
    def _attack_text(self) -> str | None:
        """Which text the attack says, where it could say others; a depth in tokens stands in a field of its own."""
        said = short_name(self.opening) if self.opening else f"{self.characters}-characters" if self.characters else ""
        return "-".join(part for part in (said, self._suffix_name) if part) or None

    @property
    def _has_suffix(self) -> bool:
        return bool(self.suffix) or self.search is not None

    @property
    def _steered(self) -> str | None:
        return self.intervention.label if self.intervention else None


@dataclass(frozen=True)
class Intervention:
    """A direction taken out of, or put into, the hidden states of an answer (see ``models.steering``).

    The direction is the difference of the means of ``harmful`` and ``benign`` (item ids) where block ``layer`` begins
    (``None`` = the middle one), at the last token of ``prompt``; ``is_random``: a random one of equal length instead.
    """

    edit: Edit
    strength: float
    layer: int | None
    harmful: tuple[str, ...]
    benign: tuple[str, ...]
    prompt: Literal["chat", "question"] = "chat"
    is_random: bool = False

    @property
    def label(self) -> str:
        """Short name for conditions."""
        where = "middle-block" if self.layer is None else f"block-{self.layer}"
        return SteeringLabel(self.edit, where, self.strength, self.is_random).text

    @property
    def fitted_on(self) -> tuple[StatesNeed, ...]:
        """The hidden states that the direction comes from."""
        return tuple(StatesNeed(item, self.prompt) for item in (*self.harmful, *self.benign))


@dataclass(frozen=True)
class LikelihoodNeed:
    """The log-likelihood of each continuation of an item.

    ``prompt``: ``chat`` (the rendered messages), ``question`` (the messages as plain questions and answers, for models
    without a template), ``neutral`` and ``neutral-question`` (the same around no request), ``completion`` (plain text
    to be continued) or ``nothing`` (the token that begins a text: whole texts). ``opening``: the answer's beginning,
    which stands before the continuations. ``token``: a special token without which the number means nothing.
    """

    item: str
    prompt: Literal["chat", "question", "neutral", "neutral-question", "completion", "nothing"]
    continuations: tuple[str, ...]
    opening: str = ""
    token: str | None = None

    @property
    def condition(self) -> str:
        """Name of how the likelihood was elicited."""
        name = f"{LIKELIHOOD_NAMES[self.prompt]}-likelihood"
        return f"{name}-opened" if self.opening else name

    def asked(self, item: Item) -> Prompt:
        """Return what stands before the continuations."""
        plain = Prompt(name="", elicitation="E0", opening=self.opening, marks=item.marks, token=self.token)
        if self.prompt == "completion":
            return replace(plain, completion=item.completion_prompt)
        if self.prompt == "nothing":
            return replace(plain, completion="", opening="")
        is_neutral = self.prompt.startswith("neutral")
        messages = (Message(role="user", content=""),) if is_neutral else item.messages
        elicitation: Elicitation = "E0" if self.prompt.endswith("question") else "E1"
        return replace(plain, messages=messages, elicitation=elicitation)

    def info(self, template: str | None) -> ConditionInfo:
        """Return the condition's row of ``tree.json``."""
        return ConditionInfo(
            id=self.condition, elicitation="E3", template=template if self.prompt in ("chat", "neutral") else "E0"
        )


@dataclass(frozen=True)
class StatesNeed:
    """The hidden states of an item's prompt, from the pass that computes its likelihoods.

    ``prompt``: in the chat template, or as a plain question. ``is_fresh``: of the same architecture with random
    weights instead of the checkpoint's.
    """

    item: str
    prompt: Literal["chat", "question"] = "chat"
    is_fresh: bool = False

    @property
    def condition(self) -> str:
        """Name of how the prompt was put."""
        return f"{self.prompt}-states"

    def asked(self, item: Item) -> Prompt:
        """Return what is read."""
        return LikelihoodNeed(self.item, self.prompt, ()).asked(item)


Need = AnswerNeed | LikelihoodNeed | StatesNeed


@dataclass(frozen=True)
class JudgedAnswer:
    """An answer with what each judge made of it.

    ``judgements``: judge id to judgement. ``text`` is ``None`` where there is no answer, and then ``reason`` and every
    judgement say why. ``tells_harm``: which judges can tell harm from fluent nonsense; ``tells_partial``: which can
    tell a refusal in part from a whole one.
    """

    need: AnswerNeed
    sample: int
    response: str | None
    response_sha256: str | None
    finish: str
    judgements: Mapping[str, Judgement]
    judge_kinds: Mapping[str, str]
    tells_harm: Mapping[str, bool] = field(default_factory=dict)
    status: str = "scored"
    text: str | None = None
    reason: str | None = None
    tells_partial: Mapping[str, bool] = field(default_factory=dict)

    def __iter__(self) -> Iterator[tuple[str, Judgement]]:
        """Yield (judge, judgement)."""
        return iter(self.judgements.items())


@dataclass(frozen=True)
class Pair:
    """What a checkpoint showed beside its reference. ``name``: what the reference is called in conditions.

    ``divergences``: per token (nats), for each continuation of a need; ``states``: the reference's own hidden states.
    """

    name: str
    divergences: Mapping[LikelihoodNeed, Sequence[NDArray[np.float64]]] = field(default_factory=dict)
    states: Mapping[StatesNeed, States] = field(default_factory=dict)


@dataclass(frozen=True)
class Evidence:
    """Everything the pass found. ``likelihoods`` (nats) and ``states`` lack what cannot be had; ``unable`` says why.

    ``seed``: of random streams of measures. ``shared``: what measures computed of the evidence and need not compute
    again. ``pair``: what another checkpoint showed beside this one, where they were read together.
    """

    checkpoint: str
    items: Mapping[str, Item]
    answers: Mapping[AnswerNeed, Sequence[JudgedAnswer]] = field(default_factory=dict)
    likelihoods: Mapping[LikelihoodNeed, Sequence[float]] = field(default_factory=dict)
    unable: Mapping[Need, str] = field(default_factory=dict)
    states: Mapping[StatesNeed, States] = field(default_factory=dict)
    seed: int = 0
    shared: dict[Any, Any] = field(default_factory=dict, compare=False, repr=False)
    pair: Pair | None = None


def answer_row(
    evidence: Evidence,
    measure: str,
    answer: JudgedAnswer,
    judge: str,
    value: float | None,
    *,
    reason: str | None = None,
    bounds: tuple[float, float] | None = None,
) -> Row:
    """Return the row of one judged answer. A ``value`` of ``None`` needs a ``reason``."""
    judgement = answer.judgements[judge]
    unscored = answer.status if answer.status != "scored" else "unscored"
    return Row(
        checkpoint=evidence.checkpoint,
        measure=measure,
        condition=answer.need.condition,
        item=answer.need.item,
        sample=answer.sample,
        judge=judge,
        judge_kind=answer.judge_kinds[judge],
        outcome=judgement.outcome,
        value=value,
        value_low=bounds[0] if bounds else None,
        value_high=bounds[1] if bounds else None,
        status="scored" if value is not None else unscored,
        reason_code=reason,
        response=answer.response,
        response_sha256=answer.response_sha256,
    )


def likelihood_row(
    evidence: Evidence,
    measure: str,
    need: LikelihoodNeed,
    value: float | None,
    *,
    weight: float | None = None,
    reason: str = "no-likelihood",
) -> Row:
    """Return the row of a number that rests on likelihoods; without a value it is not measurable.

    ``reason``: why there is no value where that of ``need`` itself is not the reason.
    """
    return Row(
        checkpoint=evidence.checkpoint,
        measure=measure,
        condition=need.condition,
        item=need.item,
        value=value,
        weight=weight if value is not None else None,
        status="scored" if value is not None else "not-measurable",
        reason_code=None if value is not None else evidence.unable.get(need, reason),
    )
