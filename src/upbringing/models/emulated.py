"""A model that no weights hold: what training changed between two checkpoints acts on a third while it answers."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

from upbringing.base.errors import MeasurementError
from upbringing.models.asking import Prompt, Reply
from upbringing.models.decoding import Decoding
from upbringing.models.local import LocalModel
from upbringing.models.lockstep import Lockstep, Move
from upbringing.models.through_local import ThroughLocal

READS_TEXT = ("normalizer", "pre_tokenizer", "model")  # the parts of a tokenizer that decide its tokens


@dataclass(frozen=True)
class EmulatedModel(ThroughLocal):
    """``at`` with the change from ``minus`` to ``plus`` moved onto it in logit space (``models.lockstep``).

    It is asked as ``at`` is: its prompts, batches and ends of answers. Hidden states it has none of. ``shuffled``: seed
    of the control that moves the change to other tokens. Raises ``MeasurementError`` naming what differs for models
    that do not read one text as the same tokens, or are measured in different precisions.
    """

    at: LocalModel
    plus: LocalModel
    minus: LocalModel
    strength: float = 1.0
    shuffled: int | None = None

    def __post_init__(self) -> None:
        for role, other in (("plus", self.plus), ("minus", self.minus)):
            require_one_tokenizer(self.at.tokenizer, other.tokenizer, role)
            for what, own, theirs in (
                ("the size of the network's vocabulary", _vocabulary(self.at), _vocabulary(other)),
                ("the tokens that end an answer", self.at.end_tokens, other.end_tokens),
                ("the precision", self.at.precision, other.precision),
            ):
                if own != theirs:
                    raise _differs(what, own, theirs, role)

    @property
    def identity(self) -> Mapping[str, str]:
        """What decides an answer besides the prompt: all three networks, and how the change is moved."""
        return {
            **self.at.identity,
            "plus": self.plus.weights_sha256,
            "minus": self.minus.weights_sha256,
            "strength": repr(self.strength),
            "shuffled": str(self.shuffled),
        }

    @cached_property
    def local(self) -> LocalModel:
        """``at`` with all three networks in the place of its own: what it is for ``at`` to be asked."""
        plus, minus = (self.at, self.at) if self.strength == 0 else (self.plus, self.minus)
        move = Move(self.strength, self.shuffled, len(self.at.tokenizer))
        context = min(self.at.context, plus.context, minus.context)
        network = Lockstep(self.at.computing, plus.computing, minus.computing, move, context=context)
        return replace(self.at, network=network)

    @property
    def asked_through(self) -> LocalModel:
        """All three: a prompt has to fit the shortest context of them, and a decoding to be had of them together.

        What ``plus`` and ``minus`` know of a special token is not asked for.
        """
        return self.local

    @property
    def scores(self) -> bool:
        """Logits give likelihoods."""
        return True

    def answer(self, prompts: Sequence[Prompt], decoding: Decoding, seed: int) -> list[list[Reply]]:
        """Return the replies of one batch, decoded from the moved logits; streams are those of ``at``."""
        return self.local.answer(prompts, decoding, seed)

    def score(
        self, requests: Sequence[tuple[Prompt, tuple[str, ...]]], on_progress: Callable[[int, int], None]
    ) -> list[list[float]]:
        """Return the log-likelihood (nats) of each continuation of each prompt under the moved logits."""
        return self.local.score(requests, on_progress)


def require_one_tokenizer(own: Any, other: Any, role: str) -> None:
    """Raise ``MeasurementError`` naming what differs unless two tokenizers read every chat as the same tokens.

    ``role``: what the model of ``other`` is called.
    """
    mine, theirs = own.get_vocab(), other.get_vocab()
    for token in sorted(mine.keys() | theirs.keys()):
        if mine.get(token) != theirs.get(token):
            raise _differs(f"the id of the token {token!r}", mine.get(token), theirs.get(token), role)
    for name in sorted(own.special_tokens_map.keys() | other.special_tokens_map.keys()):
        found = own.special_tokens_map.get(name), other.special_tokens_map.get(name)
        if found[0] != found[1]:
            raise _differs(f"the special token {name}", *found, role)
    parts = [json.loads(each.backend_tokenizer.to_str()) for each in (own, other)]
    for name in READS_TEXT:
        if parts[0].get(name) != parts[1].get(name):
            raise _differs(f"how text becomes tokens (the tokenizer's {name})", "one", "another", role)
    if own.chat_template != other.chat_template:
        raise _differs("the chat template", _short(own.chat_template), _short(other.chat_template), role)


def _vocabulary(model: LocalModel) -> int:
    return int(model.network.config.get_text_config().vocab_size)


def _short(template: Any) -> str:
    return "none" if template is None else f"{len(str(template))} characters"


def _differs(what: str, own: object, other: object, role: str) -> MeasurementError:
    return MeasurementError(
        f"{what} is {own} in the model that a change is moved onto, and {other} in the one called {role}: emulated "
        "tuning sums logits token by token, so all three need one tokenizer, one chat template and one precision"
    )
