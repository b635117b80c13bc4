"""Three networks that read the same tokens in lockstep and answer as one: a change of training moved in logit space.

log p = log p_at + strength (log p_plus - log p_minus), renormalised at every token, so that what training changed
between ``minus`` and ``plus`` acts on ``at``. Logits are log-probabilities up to a constant per token, so their sum is
enough, and whatever turns logits into answers or likelihoods renormalises it.

Source: Mitchell et al. 2023 (emulated fine-tuning). Departures: any three checkpoints of one tokenizer, any strength;
no filter restricts the sum to tokens that ``at`` finds likely.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np

from upbringing.base.errors import MeasurementError
from upbringing.base.streams import stream
from upbringing.models.members import MemberCaches
from upbringing.models.passes import numbers_at_once
from upbringing.models.prompt_cache import last_logits

NUMBERS_AT_ONCE = 1 << 21  # logits made fp64 at once: 16 MB


@dataclass(frozen=True)
class Move:
    """How a change of logits is moved. ``strength`` 0 moves nothing, 1 all of it.

    ``shuffled``: seed of a control that moves the same change to other tokens: at every token its values, and so its
    norm, are the same, but the first ``num_tokens`` of the vocabulary have each other's. Stream: ``shuffled-logits``.
    """

    strength: float = 1.0
    shuffled: int | None = None
    num_tokens: int = 0


def moved(at: Any, plus: Any, minus: Any, move: Move) -> Any:
    """Return at + strength (plus - minus) of logits (..., vocabulary), in fp32.

    Summed in fp64, so that fp32 logits that cancel do so to the bit: of equal ``plus`` and ``minus`` comes ``at``, of
    equal ``minus`` and ``at``, at strength 1, ``plus``. Raises ``MeasurementError`` for shapes that differ and for a
    sum that is not a number, as where two networks both rule a token out.
    """
    import torch

    if not at.shape == plus.shape == minus.shape:
        raise MeasurementError(
            f"logits of the shapes {list(at.shape)}, {list(plus.shape)} and {list(minus.shape)} cannot be summed: "
            "the networks must compute logits alike, over one vocabulary"
        )
    vocabulary = at.shape[-1]
    places = _places(vocabulary, move.num_tokens, move.shuffled, plus.device)
    num_rows = max(1, numbers_at_once(plus.device, NUMBERS_AT_ONCE, itemsize=8) // vocabulary)
    parts = []
    for own, more, less in zip(*(each.reshape(-1, vocabulary).split(num_rows) for each in (at, plus, minus)),
                               strict=True):  # fmt: skip
        change = more.double() - less.to(more.device).double()
        if places is not None:
            change = change[:, places]
        parts.append((own.double() + move.strength * change.to(own.device)).float())
    found = torch.cat(parts).reshape(at.shape)
    if not (found < torch.inf).all():  # which no NaN is; -inf only says that a token is ruled out
        raise MeasurementError(
            "the sum of logits is not a number: a network gives some token an infinite logit, or none at all"
        )
    return found


@lru_cache(maxsize=4)  # asked for at every token
def _places(vocabulary: int, num_tokens: int, shuffled: int | None, device: Any) -> Any:
    """Return whose change each token gets (vocabulary), on ``device``; ``None`` where each gets its own."""
    if shuffled is None:
        return None
    import torch

    places = np.arange(vocabulary)
    places[:num_tokens] = stream(shuffled, "shuffled-logits").permutation(num_tokens)
    with torch.inference_mode(mode=False):  # it outlives the pass that asked for it
        return torch.from_numpy(places).to(device)


@dataclass(frozen=True)
class SharedConfig:
    """What is asked of a network's configuration: how many tokens it knows, and how many it can read."""

    vocab_size: int
    max_position_embeddings: int

    def get_text_config(self) -> SharedConfig:
        """Return this: there is no other."""
        return self


@dataclass(frozen=True)
class Output:
    """What a pass gives back, as a transformers network names it."""

    logits: Any
    past_key_values: Any = None


class Lockstep:
    """Three transformers causal models as one network; one that stands twice among them computes once.

    ``context``: the longest sequence that all of them can read. At strength 0 nothing but ``at`` computes, and logits
    are its own, to the bit.
    """

    def __init__(self, at: Any, plus: Any, minus: Any, move: Move, *, context: int) -> None:
        self.move = move
        roles = (at,) if move.strength == 0 else (at, plus, minus)
        self.members = tuple({id(network): network for network in roles}.values())
        self._roles = tuple(next(place for place, each in enumerate(self.members) if each is role) for role in roles)
        self.config = SharedConfig(int(at.config.get_text_config().vocab_size), context)
        self.generation_config = at.generation_config

    @property
    def device(self) -> Any:
        """Where rows are read."""
        return self.members[0].device

    @property
    def dtype(self) -> Any:
        """The type that masks have."""
        return self.members[0].dtype

    def __call__(self, **asked: Any) -> Output:  # the library's arguments, whatever a caller puts to any network
        """Return what ``forward`` does, as a network is called."""
        return self.forward(**asked)

    def forward(self, *, past_key_values: Any = None, logits_to_keep: int = 0, **asked: Any) -> Output:
        """Return the moved logits; ``past_key_values`` holds a cache per network, and ``asked`` is put to each."""
        caches: Sequence[Any] = [None] * len(self.members) if past_key_values is None else past_key_values.parts
        outputs = []
        for network, cache in zip(self.members, caches, strict=True):
            kept = last_logits(network, logits_to_keep) if logits_to_keep else {}
            given = {} if cache is None else {"past_key_values": cache}
            outputs.append(network(**asked, **given, **kept))
        logits = [output.logits[:, -logits_to_keep:] if logits_to_keep else output.logits for output in outputs]
        found = [getattr(output, "past_key_values", None) for output in outputs]
        kept_caches = None if any(each is None for each in found) else MemberCaches(found)
        if len(self._roles) == 1:
            return Output(logits[0], kept_caches)
        at, plus, minus = (logits[place] for place in self._roles)
        return Output(moved(at, plus, minus, self.move), kept_caches)
