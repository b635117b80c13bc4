"""Attention of documents of unequal length that stand one behind the other, on a CPU: each is computed alone.

Windows hold many short documents. Attention over a whole window computes every pair of its places and masks most of
them out; here documents are laid out in rows of about their own length, so the cost no longer grows with the window
(2.2M weights, documents of 48 tokens, fp32: 0.93 times explicit attention in windows of 128, 1.07 of 256, 2 of 1,024).
The operation is one node to the compiler: what it computes depends on where documents end, its shapes do not.
Importing this module imports torch, which the operation is registered with.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
import torch

ROW_STEP = 16  # rows are as long as a multiple of it: fewer lengths to compute one by one, some padding
BLOCK_SCORES = 1 << 20  # of one product, all heads counted: about what a processor's cache holds, in fp32
KEPT_LAYOUTS = 8  # all layers of a micro-batch share one


class Block(NamedTuple):
    """Documents computed together: ``documents`` of them in rows of ``length`` places, the first at ``begin``."""

    begin: int
    documents: int
    length: int

    def of(self, rows: torch.Tensor, heads: int, key_heads: int) -> torch.Tensor:
        """Return the block's part of ``rows`` (row places x ``heads``, width) as one matrix per document and key head.

        Its height is the length, for queries times the query heads that share a key head.
        """
        own = rows.narrow(0, self.begin * heads, self.documents * self.length * heads)
        return own.view(self.documents * key_heads, -1, rows.shape[-1])


class Rows(NamedTuple):
    """Where the places of documents stand in rows: flat indices, one per place and head.

    ``source``: which of the input stands there; behind a document's end its first place, which no own place sees.
    ``is_own``: whether it is a place of the document. ``places``: where in the rows each of the input stands.
    """

    source: torch.Tensor
    is_own: torch.Tensor
    places: torch.Tensor

    def filled(self, values: torch.Tensor) -> torch.Tensor:
        """Return ``values`` (places, heads, width) in rows."""
        return values.reshape(-1, values.shape[-1]).index_select(0, self.source)

    def emptied(self, rows: torch.Tensor, like: torch.Tensor) -> torch.Tensor:
        """Return what stands in ``rows`` at the places they came from."""
        return rows.index_select(0, self.places).view(like.shape)


@lru_cache(maxsize=KEPT_LAYOUTS)
def _blocks(ends: bytes, heads: int) -> tuple[tuple[Block, Any], ...]:
    """Return the blocks, each with the numbers of its documents: those of about one length, a cacheful at a time."""
    lengths = np.diff(np.frombuffer(ends, np.int32))
    row_lengths = -(-lengths // ROW_STEP) * ROW_STEP
    found, begin = [], 0
    for length in np.unique(row_lengths[lengths > 0]).tolist():
        alike = np.flatnonzero(row_lengths == length)
        at_once = max(1, BLOCK_SCORES // (heads * length * length))
        for first in range(0, len(alike), at_once):
            chosen = alike[first : first + at_once]
            found.append((Block(begin, len(chosen), length), chosen))
            begin += len(chosen) * length
    return tuple(found)


@lru_cache(maxsize=2 * KEPT_LAYOUTS)
def _rows(ends: bytes, query_heads: int, heads: int) -> Rows:
    """Return the rows of ``heads`` heads: per document, the places of each head one behind the other."""
    bounds = np.frombuffer(ends, np.int32).astype(np.int64)
    starts, lengths = bounds[:-1, None], np.diff(bounds)[:, None]
    sources, own = [], []
    for block, chosen in _blocks(ends, query_heads):
        place = np.arange(block.length)
        inside = place < lengths[chosen]  # (documents, length)
        source = (starts[chosen] + place * inside)[:, None, :] * heads + np.arange(heads)[:, None]
        sources.append(source.ravel())
        own.append(np.broadcast_to(inside[:, None, :], source.shape).ravel())
    source, is_own = np.concatenate(sources), np.concatenate(own)
    places = np.empty(bounds[-1] * heads, np.int64)
    places[source[is_own]] = np.flatnonzero(is_own)
    return Rows(torch.from_numpy(source), torch.from_numpy(is_own)[:, None], torch.from_numpy(places))


@lru_cache(maxsize=64)
def _hidden(length: int, group: int, dtype: torch.dtype) -> torch.Tensor:
    """Return the additive mask (1, group x length, length) that hides what stands behind a place."""
    lowest = torch.full((length, length), torch.finfo(dtype).min, dtype=dtype)
    return lowest.triu(1).repeat(group, 1)[None]


def _weights(query: torch.Tensor, key: torch.Tensor, scaling: float) -> torch.Tensor:
    """Return the attention weights of a block in fp32, shape (matrices, group x length, length)."""
    length = key.shape[1]
    hidden = _hidden(length, query.shape[1] // length, query.dtype)
    scores = torch.baddbmm(hidden, query, key.transpose(1, 2), alpha=scaling)
    return torch.softmax(scores, dim=-1, dtype=torch.float32)


@torch.library.custom_op("upbringing::attend_documents", mutates_args=())
def attend_documents(
    query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, ends: torch.Tensor, scaling: float
) -> torch.Tensor:
    """Return softmax(query key^T scaling) value: each place sees itself and what its document holds before it.

    ``query`` (places, heads, width), ``key`` and ``value`` (places, key heads, width), on the CPU and of one precision.
    ``ends`` (int32): 0 and the place behind each document, ascending; repetitions are documents of no length. The
    softmax is taken in fp32. Source: torch's ``varlen_attn`` with a causal window, which has no kernel for CPUs.
    Departures: rounds where transformers' explicit attention does, not where a fused kernel does.
    """
    heads, key_heads = query.shape[1], key.shape[1]
    known = ends.numpy().tobytes()
    of_queries, of_keys = _rows(known, heads, heads), _rows(known, heads, key_heads)
    with torch.autocast("cpu", enabled=False):
        queries, keys, values = of_queries.filled(query), of_keys.filled(key), of_keys.filled(value)
        found = torch.empty_like(queries)
        for block, _ in _blocks(known, heads):
            asks, answers, gives = (
                block.of(each, count, key_heads)
                for each, count in ((queries, heads), (keys, key_heads), (values, key_heads))
            )
            weights = _weights(asks, answers, scaling).to(query.dtype)
            torch.bmm(weights, gives, out=block.of(found, heads, key_heads))
        return of_queries.emptied(found, query)


@torch.library.custom_op("upbringing::attend_documents_backward", mutates_args=())
def _backward(
    gradient: torch.Tensor,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    ends: torch.Tensor,
    scaling: float,
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Return the gradients of query, key and value; the weights are computed again, not kept."""
    heads, key_heads = query.shape[1], key.shape[1]
    known = ends.numpy().tobytes()
    of_queries, of_keys = _rows(known, heads, heads), _rows(known, heads, key_heads)
    with torch.autocast("cpu", enabled=False):
        inputs = [
            (of_queries.filled(query), heads),
            (of_keys.filled(key), key_heads),
            (of_keys.filled(value), key_heads),
        ]
        arrived = of_queries.filled(gradient).mul_(of_queries.is_own)
        moved = [(torch.empty_like(rows), count) for rows, count in inputs]
        for block, _ in _blocks(known, heads):
            asks, answers, gives = (block.of(rows, count, key_heads) for rows, count in inputs)
            to_query, to_key, to_value = (block.of(rows, count, key_heads) for rows, count in moved)
            due = block.of(arrived, heads, key_heads)
            weights = _weights(asks, answers, scaling)
            torch.bmm(weights.to(query.dtype).transpose(1, 2), due, out=to_value)
            to_weights = torch.bmm(due, gives.transpose(1, 2)).float()
            to_scores = torch._softmax_backward_data(to_weights, weights, -1, torch.float32)
            to_scores = to_scores.mul_(scaling).to(query.dtype)
            torch.bmm(to_scores, answers, out=to_query)
            torch.bmm(to_scores.transpose(1, 2), asks, out=to_key)
        (queries, _), (keys, _), (values, _) = moved
        return of_queries.emptied(queries, query), of_keys.emptied(keys, key), of_keys.emptied(values, value)


@attend_documents.register_fake
def _(query: torch.Tensor, *_: Any) -> torch.Tensor:
    return query.new_empty(query.shape)


@_backward.register_fake
def _(gradient: torch.Tensor, *inputs: Any) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    query, key, value = (each.new_empty(each.shape) for each in inputs[:3])
    return query, key, value


def _remember(ctx: Any, inputs: tuple[Any, ...], output: torch.Tensor) -> None:
    *tensors, ctx.scaling = inputs
    ctx.save_for_backward(*tensors)


def _differentiate(ctx: Any, gradient: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
    return *_backward(gradient, *ctx.saved_tensors, ctx.scaling), None, None


attend_documents.register_autograd(_differentiate, setup_context=_remember)
