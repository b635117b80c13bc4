"""Training on packed windows document by document: no pair of places of two documents is computed.

On a CPU by products over rows of one length (``models.varlen``), on accelerators by torch's own kernel for documents of
unequal length. Only where a network's explicit attention is that of Llama: other ones cap or add scores, which would be
lost. Whatever is not a packed window is computed with a mask, as ever. Importing this module imports torch.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch.nn.attention.varlen import varlen_attn

from upbringing.base.errors import TrainingError
from upbringing.models.attention import attending_with, has_plain_attention
from upbringing.models.varlen import attend_documents

BY_DOCUMENTS = "upbringing_by_documents"


def document_attention(
    module: Any,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attention_mask: Any,
    scaling: float | None = None,
    dropout: float = 0.0,
    sliding_window: int | None = None,
    cu_seq_lens_q: torch.Tensor | None = None,
    **_: Any,  # the library hands every implementation what any of them may want
) -> tuple[torch.Tensor, None]:
    """Return causal attention inside documents as (windows, time, heads, width).

    ``query`` (windows, heads, time, width); ``key`` and ``value`` (windows, key heads, time, width); ``cu_seq_lens_q``:
    where the documents of all windows end, one window behind the other. Raises ``TrainingError`` for what it cannot
    compute: a mask, dropout, a window of attention that is shorter than what a document may be.
    """
    windows, heads, time, width = query.shape
    _require_possible(attention_mask, dropout, sliding_window, time)
    if cu_seq_lens_q is None:
        raise TrainingError(
            "attention by documents was asked for tokens of which nobody says where their documents end: it computes "
            "packed windows and nothing else"
        )
    kind = query.device.type
    dtype = torch.get_autocast_dtype(kind) if torch.is_autocast_enabled(kind) else value.dtype
    scale = width**-0.5 if scaling is None else scaling
    query, key, value = (each.transpose(1, 2).flatten(0, 1).to(dtype) for each in (query, key, value))
    if kind == "cpu":
        found = attend_documents(query, key, value, cu_seq_lens_q, scale)
    else:
        ends, shares_keys = cu_seq_lens_q, key.shape[1] != heads
        found = varlen_attn(
            query, key, value, ends, ends, time, time, scale=scale, window_size=(-1, 0), enable_gqa=shares_keys
        )
    return found.view(windows, time, heads, -1), None


def _require_possible(mask: Any, dropout: float, sliding_window: int | None, time: int) -> None:
    if mask is not None:
        raise TrainingError(
            "attention by documents was given a mask, which it would ignore: use attention: eager or sdpa"
        )
    if dropout:
        raise TrainingError(
            f"attention: varlen has no dropout, and this network drops {dropout} of its attention: use attention: sdpa"
        )
    if sliding_window is not None and sliding_window < time:
        raise TrainingError(
            f"attention: varlen sees whole documents, and this network sees {sliding_window} places back in windows of "
            f"{time}: use attention: eager or sdpa"
        )


@contextmanager
def attending_by_documents(model: Any) -> Iterator[None]:
    """Let ``model`` compute packed windows document by document inside; raises ``TrainingError`` if it cannot."""
    from transformers import AttentionInterface

    network = model.get_base_model() if hasattr(model, "get_base_model") else model  # peft wraps it
    if not has_plain_attention(network):
        raise TrainingError(
            f"attention: varlen computes attention as Llama does, and {type(network).__name__} does not or does not "
            "say: use attention: eager or sdpa"
        )
    AttentionInterface.register(BY_DOCUMENTS, document_attention)
    with attending_with(network, BY_DOCUMENTS):
        yield
