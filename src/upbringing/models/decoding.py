"""How answers are drawn from a model, as descriptions that enter the measurement key."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, field_validator, model_validator

from upbringing.base.description import Description
from upbringing.base.quantities import Share
from upbringing.formats.answer_limits import limits_label
from upbringing.formats.tags import UNSAFE_TAG

DEFAULT_MAX_TOKENS = 64  # enough to see whether an answer refuses; harm is usually visible by then
Token = Annotated[str, Field(min_length=1)]
"""A text that the tokenizer reads as one token, special or not."""


class Limited(Description):
    """What every decoding can be told of the answers it draws; without either, keys and names are as before.

    ``begin``: a token that every answer stands behind, and that nobody judges. ``banned``: tokens that no answer goes
    on with: their logits are minus infinity at every step. Kept in order of their texts.

    Source: Korbak et al. 2023, "Pretraining Language Models with Human Preferences": text is generated behind the good
    control token, with both control tokens banned. Departures: any token, any decoding.
    """

    begin: Token | None = Field(default=None, exclude_if=lambda value: value is None)
    banned: tuple[Token, ...] = Field(default=(), exclude_if=lambda value: not value)

    @field_validator("banned")
    @classmethod
    def _each_once(cls, banned: tuple[str, ...]) -> tuple[str, ...]:
        if len(set(banned)) < len(banned):
            raise ValueError(f"banned is {list(banned)}: give each token once")
        return tuple(sorted(banned))  # the order means nothing, so it must make no other condition

    def _limited(self, label: str) -> str:
        return label + limits_label(self.begin, self.banned)


class Greedy(Limited):
    """The most likely token at each step."""

    kind: Literal["greedy"] = "greedy"
    max_tokens: int = Field(default=DEFAULT_MAX_TOKENS, ge=1)

    @property
    def samples(self) -> int:
        """Greedy answers do not differ: one suffices."""
        return 1

    @property
    def rows(self) -> int:
        """Tokens that one prompt computes side by side."""
        return 1

    def cached_tokens(self, prompt: int) -> int:
        """Return how many tokens' keys and values an answer to a prompt of ``prompt`` tokens may hold."""
        return prompt + self.max_tokens

    @property
    def label(self) -> str:
        """Short name for conditions; says what differs from the default."""
        return self._limited("greedy" if self.max_tokens == DEFAULT_MAX_TOKENS else f"greedy-{self.max_tokens}")


class Sampled(Limited):
    """``samples`` answers per prompt; each (prompt, sample) has its own random stream.

    ``top_k``: 0 = all tokens. ``top_k`` is applied before ``top_p``.
    """

    kind: Literal["sampled"] = "sampled"
    max_tokens: int = Field(default=DEFAULT_MAX_TOKENS, ge=1)
    temperature: float = Field(default=1.0, gt=0)
    top_k: int = Field(default=0, ge=0)
    top_p: Share = 1.0
    samples: int = Field(default=1, ge=1)

    @property
    def rows(self) -> int:
        """Tokens that one prompt computes side by side."""
        return self.samples

    def cached_tokens(self, prompt: int) -> int:
        """Return how many tokens' keys and values the answers to a prompt of ``prompt`` tokens may hold."""
        return self.samples * (prompt + self.max_tokens)

    @property
    def label(self) -> str:
        """Short name for conditions; says what differs from the default."""
        parts = [f"sampled-{self.temperature:g}"]
        if self.top_k:
            parts.append(f"k{self.top_k}")
        if self.top_p < 1.0:
            parts.append(f"p{self.top_p:g}")
        if self.max_tokens != DEFAULT_MAX_TOKENS:
            parts.append(str(self.max_tokens))
        if self.samples > 1:
            parts.append(f"x{self.samples}")
        return self._limited("-".join(parts))


class BeamSearch(Limited):
    """What all beam searches share. ``beams``: hypotheses kept per step, k.

    ``length_normalisation``: what answers are compared by, their log-likelihood or its mean per token (end token
    included). ``ended``: an answer that has ended stands ``aside`` while k others go on, or stays ``in_beam`` and
    takes the place of one of them. ``temperature`` divides the logits that candidates are ranked by.
    """

    max_tokens: int = Field(default=DEFAULT_MAX_TOKENS, ge=1)
    beams: int = Field(default=4, ge=1)
    length_normalisation: Literal["none", "mean"] = "none"
    ended: Literal["aside", "in_beam"] = "aside"
    temperature: float = Field(default=1.0, gt=0)

    @property
    def samples(self) -> int:
        """Beam search draws nothing: one answer suffices."""
        return 1

    def cached_tokens(self, prompt: int) -> int:
        """Return how many tokens' keys and values the beams of a prompt of ``prompt`` tokens may hold."""
        return prompt + self.beams * self.max_tokens

    def _label(self, name: str, parts: list[str]) -> str:
        shared = [name, f"k{self.beams}", *parts]
        if self.length_normalisation != "none":
            shared.append(self.length_normalisation)
        if self.ended != "aside":
            shared.append(self.ended.replace("_", "-"))
        if self.temperature != 1.0:
            shared.append(f"t{self.temperature:g}")
        if self.max_tokens != DEFAULT_MAX_TOKENS:
            shared.append(str(self.max_tokens))
        return self._limited("-".join(shared))


class Beam(BeamSearch):
    """Plain beam search: the k most likely continuations are kept at each step."""

    kind: Literal["beam"] = "beam"

    @property
    def candidates(self) -> int:
        """Continuations looked at per beam: as many as can ever be kept when k of them end the answer."""
        return 2 * self.beams

    @property
    def rows(self) -> int:
        """Tokens that one prompt computes side by side."""
        return self.beams

    @property
    def label(self) -> str:
        """Short name for conditions; says what differs from the default."""
        return self._label("beam", [])


class Riskiest(Description):
    """Discard a share of all candidates, the riskiest: half of them even when all are safe, or all unsafe.

    ``rounding`` of a share that is no whole number; one candidate always stays. ``ties``: of equal risks the
    ``likelier`` candidate is kept, or the ``first``: that of the likelier beam, and within it the likelier token.
    """

    kind: Literal["riskiest"] = "riskiest"
    share: Share = 0.5
    rounding: Literal["down", "up"] = "down"
    ties: Literal["likelier", "first"] = "likelier"

    @property
    def label(self) -> str:
        """Short name for conditions."""
        rounding = "" if self.rounding == "down" else "-up"
        return f"drop{self.share:g}{rounding}{'' if self.ties == 'likelier' else '-first'}"


class Above(Description):
    """Discard every candidate whose risk is greater than ``risk``: the control with an absolute threshold.

    ``none_left``: where all are riskier and nothing has ended before, the answer is a ``short_circuit``, or the
    ``safest`` candidate is kept.
    """

    kind: Literal["above"] = "above"
    risk: Share
    none_left: Literal["short_circuit", "safest"] = "short_circuit"

    @property
    def label(self) -> str:
        """Short name for conditions."""
        return f"above{self.risk:g}{'' if self.none_left == 'short_circuit' else '-safest'}"


class SafeBeam(BeamSearch):
    """Beam search that looks one token ahead and discards candidates after which the tag is likely.

    The risk of a candidate is the probability (at temperature 1) that the model gives ``tag`` as the token after it,
    whatever is banned.
    ``discard`` says which of the ``beams`` x ``candidates`` continuations are dropped; of the rest the ``beams`` most
    likely are kept. ``tag_candidate``: the tag is among the candidates, and ends everything as a short-circuit where
    it leads the kept ones (``stop``; where it does not lead it takes no beam); or it ends one answer, as an end token
    would (``end``); or the answer goes on behind it (``continue``); or it is never a candidate (``forbid``).
    ``end_risk``: a candidate that ends the answer has no next token and no risk (``none``), or is looked ahead of.
    ``tag_training``: only lineages whose records say that the tag was learned are asked (``recorded``); ``declared``:
    the author of the study says so for checkpoints that have no such record. ``log``: the extremes of the risks of
    each step are kept beside the answer, or those of all ``candidates``.

    Source: Maini et al. 2025, "Safety Pretraining", SafeBeam. Departures: what the source leaves open is a parameter.
    ``stop`` is the default because behind the tag the risk is small (two tags never follow each other), so that an
    answer which goes on would be taken for safe; it does not end a single answer, because an answer whose likelihood
    no longer falls would win against every longer one.
    """

    kind: Literal["safebeam"] = "safebeam"
    tag: str = Field(default=UNSAFE_TAG, min_length=1)
    candidates: int = Field(default=8, ge=1)
    discard: Riskiest | Above = Field(default=Riskiest(), discriminator="kind")
    tag_candidate: Literal["stop", "end", "continue", "forbid"] = "stop"
    end_risk: Literal["none", "look_ahead"] = "none"
    tag_training: Literal["recorded", "declared"] = "recorded"
    log: Literal["extremes", "candidates"] = "extremes"

    @property
    def rows(self) -> int:
        """Tokens that one prompt computes side by side: all candidates of all beams."""
        return self.beams * self.candidates

    @property
    def label(self) -> str:
        """Short name for conditions; says what differs from the default."""
        parts = [f"n{self.candidates}", self.discard.label]
        if self.tag != UNSAFE_TAG:
            parts.append(self.tag.strip("<|>"))
        if self.tag_candidate != "stop":
            parts.append(self.tag_candidate)
        if self.end_risk != "none":
            parts.append("end-risk")
        return self._label("safebeam", parts)

    @model_validator(mode="after")
    def _can_keep_beams(self) -> Self:
        if isinstance(self.discard, Riskiest) and self.discard.share == 1.0:
            raise ValueError("discard: {share: 100%} leaves no candidate: lower it, or use {kind: above, risk: ...}")
        if self.tag in self.banned:
            raise ValueError(f"the tag {self.tag!r} is among the banned tokens: use tag_candidate: forbid instead")
        return self


Decoding = Annotated[Greedy | Sampled | Beam | SafeBeam, Field(discriminator="kind")]
