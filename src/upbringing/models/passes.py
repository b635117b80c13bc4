"""How much is computed at once on an accelerator, where a processor's own limits would leave it waiting.

A processor gains nothing from passes beyond its caches, and its limits stand where they are used. An accelerator is
given large passes, bounded by the bytes that they take. What is chosen depends on the network and the kind of its
device, never on the memory that a machine has, so a checkpoint is read in the same batches on all machines with one;
the device is a part of what identifies an answer (``LocalModel.identity``), so no cache takes one for the other.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from upbringing.models.devices import is_accelerator
from upbringing.models.members import members_of

TOKENS = 1 << 14  # padded tokens of a pass
LOGIT_BYTES = 1 << 30  # of the logits that a pass keeps
WIDENED_BYTES = 1 << 28  # of the part of them that is made fp32 or fp64 at once
ATTENTION_SCORES = 1 << 28  # of a layer: about 4 GB in fp32 with the copies that explicit attention makes of them
CACHE_BYTES = 1 << 33  # of the keys and values of a batch of answers
UNBOUNDED = 1 << 62


@dataclass(frozen=True)
class PassLimits:
    """What a pass may hold: padded ``tokens``, numbers of ``logits``, and ``pairs`` of a token and one it may see."""

    tokens: int
    logits: int
    pairs: int = UNBOUNDED

    def hold(self, rows: int, width: int, columns: int | None = None) -> bool:
        """Return whether a pass may read ``rows`` of ``width`` tokens, each in sight of ``columns`` (or of a row)."""
        seen = width if columns is None else columns
        return rows * width <= self.tokens and rows * width * seen <= self.pairs


def pass_limits(network: Any, *, tokens: int, logits: int = UNBOUNDED) -> PassLimits:
    """Return what a pass of ``network`` may hold: ``tokens`` and ``logits`` on a processor."""
    if not is_accelerator(network.device):
        return PassLimits(tokens, logits)
    heads = max(_heads(member) for member in members_of(network))
    return PassLimits(TOKENS, LOGIT_BYTES // int(network.dtype.itemsize), ATTENTION_SCORES // heads)


def cached_tokens(network: Any, on_processor: int, itemsize: int) -> int:
    """Return of how many tokens a batch of answers may hold keys and values: ``on_processor``, or what is bounded."""
    if not is_accelerator(network.device):
        return on_processor
    width = sum(_cached_numbers(member) for member in members_of(network))
    return max(1, CACHE_BYTES // (width * itemsize)) if width else on_processor


def _cached_numbers(network: Any) -> int:
    """Return how many numbers a token's keys and values are, 0 where the configuration does not say."""
    text = network.config.get_text_config()
    heads = getattr(text, "num_key_value_heads", None) or getattr(text, "num_attention_heads", None) or 0
    own = getattr(text, "head_dim", None) or (getattr(text, "hidden_size", None) or 0) // _heads(network)
    return 2 * int(heads) * int(own) * int(getattr(text, "num_hidden_layers", None) or 0)


def numbers_at_once(device: Any, on_processor: int, *, itemsize: int = 4) -> int:
    """Return how many logits are made numbers of ``itemsize`` bytes at once: ``on_processor``, or what is bounded."""
    return WIDENED_BYTES // itemsize if is_accelerator(device) else on_processor


def _heads(network: Any) -> int:
    return int(getattr(network.config.get_text_config(), "num_attention_heads", None) or 1)
