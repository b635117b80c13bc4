"""Attention for reading and answering: query heads that share a key head are multiplied together.

The plain implementation copies every key and value once per query head, and appending a token copies the whole cache.
Here neither happens: grouped heads are one product, and the cache grows by whole chunks. The mathematics is that of
the library's own explicit attention (checked: logits and greedy answers), only where the library's is known to be that.
"""

from __future__ import annotations

import inspect
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

from upbringing.models.members import MemberCaches, members_of

GROUPED = "upbringing_grouped"
CHUNK = 16  # tokens by which the cache grows: appending copies it once per chunk, padding costs half a chunk


def grouped_attention(
    module: Any,
    query: Any,
    key: Any,
    value: Any,
    attention_mask: Any,
    scaling: float,
    dropout: float = 0.0,
    **_: Any,  # the library hands every implementation what any of them may want
) -> tuple[Any, None]:
    """Return softmax(query key^T scaling + mask) value as (batch, time, heads, width).

    ``query`` (batch, heads, time, width); ``key`` and ``value`` (batch, key heads, columns, width). Columns beyond the
    mask's are room that holds nothing yet. Source: transformers' explicit attention for Llama. Departures: no
    dropout, because this is never trained through; the weights are not returned.
    """
    import torch

    batch, heads, time, width = query.shape
    key_heads, columns = key.shape[1:3]
    group = heads // key_heads
    scores = torch.matmul(query.reshape(batch, key_heads, group * time, width), key.transpose(2, 3)) * scaling
    if attention_mask is not None:
        missing = columns - attention_mask.shape[-1]
        if missing:
            lowest = torch.finfo(attention_mask.dtype).min
            attention_mask = torch.nn.functional.pad(attention_mask, (0, missing), value=lowest)
        scores = (scores.view(batch, key_heads, group, time, columns) + attention_mask[:, :, None]).flatten(2, 3)
    weights = torch.softmax(scores, dim=-1, dtype=torch.float32).to(query.dtype)
    found = torch.matmul(weights, value).view(batch, heads, time, value.shape[-1])
    return found.transpose(1, 2).contiguous(), None


@contextmanager
def grouped_heads(network: Any) -> Iterator[None]:
    """Let ``network`` compute with ``grouped_attention`` inside, where that is the same mathematics."""
    with ExitStack() as stack:
        for member in members_of(network):
            stack.enter_context(_grouped(member))
        yield


@contextmanager
def _grouped(network: Any) -> Iterator[None]:
    if not can_group(network):
        yield
        return
    _register()
    with attending_with(network, GROUPED):
        yield


@contextmanager
def attending_with(network: Any, name: str) -> Iterator[None]:
    """Let ``network`` compute attention by what the library knows as ``name`` inside."""
    before = network.config._attn_implementation
    network.set_attn_implementation(name)
    try:
        yield
    finally:
        network.set_attn_implementation(before)


def can_group(network: Any) -> bool:
    """Whether the network computes explicit attention, and as Llama does."""
    return network.config._attn_implementation == "eager" and has_plain_attention(network)


def has_plain_attention(network: Any) -> bool:
    """Whether the network's explicit attention is word for word that of Llama: other ones cap or add scores."""
    from transformers.models.llama import modeling_llama

    own = getattr(sys.modules.get(type(network).__module__), "eager_attention_forward", None)
    return own is not None and _words(own) == _words(modeling_llama.eager_attention_forward)


def _words(function: Any) -> list[str]:
    try:
        return inspect.getsource(function).split()
    except (OSError, TypeError):
        return []


def _register() -> None:
    """Tell the library the name of ours; saying it twice changes nothing."""
    from transformers import AttentionInterface
    from transformers.masking_utils import AttentionMaskInterface, eager_mask

    AttentionInterface.register(GROUPED, grouped_attention)
    AttentionMaskInterface.register(GROUPED, eager_mask)


def answer_cache(network: Any) -> Any:
    """Return an empty cache, or ``None`` where the network wants one of another kind and makes it itself.

    Under ``grouped_heads`` its layers hand out more columns than they hold, which only that attention understands.
    """
    members = members_of(network)
    if members == (network,):
        return _cache_of_one(network)
    parts = [_cache_of_one(member) for member in members]
    return None if any(part is None for part in parts) else MemberCaches(parts)


def _cache_of_one(network: Any) -> Any:
    from transformers.cache_utils import Cache, DynamicCache, DynamicLayer

    plain = DynamicCache(config=network.config)
    if not plain.layers or any(type(layer) is not DynamicLayer for layer in plain.layers):
        return None
    if network.config._attn_implementation != GROUPED:
        return plain
    layer_type = _roomy_layer(DynamicLayer)
    return Cache(layers=[layer_type() for _ in plain.layers])


def _roomy_layer(base: Any) -> Any:
    """Return a cache layer whose tensors (batch, heads, columns, width) have room behind what they hold."""

    class RoomyLayer(base):  # type: ignore[misc]
        length = 0

        def update(self, key_states: Any, value_states: Any, *_: Any, **__: Any) -> tuple[Any, Any]:
            end = self.length + key_states.shape[2]
            if not self.is_initialized:
                self.lazy_initialization(key_states, value_states)
                self.keys, self.values = key_states[:, :, :0], value_states[:, :, :0]
            if end > self.keys.shape[2]:
                self.keys = _with_room(self.keys, key_states, self.length, end)
                self.values = _with_room(self.values, value_states, self.length, end)
            self.keys[:, :, self.length : end] = key_states
            self.values[:, :, self.length : end] = value_states
            self.length = end
            return self.keys, self.values

        def get_seq_length(self) -> int:
            return self.length

        def replace_columns(self, first: int, keys: Any, values: Any) -> None:
            """Let ``keys`` and ``values`` be all that stands behind the first columns."""
            self.length = first + keys.shape[2]
            self.keys[:, :, first : self.length] = keys
            self.values[:, :, first : self.length] = values

    return RoomyLayer


def keep_columns(cache: Any, first: int, places: Any) -> None:
    """Keep the first ``first`` columns of each row of ``cache`` and behind them its columns ``places`` (rows, kept)."""
    import torch

    for layer in cache.layers:
        chosen = places[:, None, :, None].expand(-1, layer.keys.shape[1], -1, layer.keys.shape[3])
        keys, values = layer.keys.gather(2, chosen), layer.values.gather(2, chosen)
        if hasattr(layer, "replace_columns"):
            layer.replace_columns(first, keys, values)
        else:
            layer.keys = torch.cat([layer.keys[:, :, :first], keys], dim=2)
            layer.values = torch.cat([layer.values[:, :, :first], values], dim=2)


def _with_room(old: Any, new: Any, length: int, end: int) -> Any:
    """Return a tensor for ``end`` columns and up to a chunk more; room is zero, because nothing times NaN is NaN."""
    columns = -(-end // CHUNK) * CHUNK
    larger = new.new_zeros(*new.shape[:2], columns, new.shape[3])
    larger[:, :, :length] = old[:, :, :length]
    return larger
