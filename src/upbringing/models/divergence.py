"""How far two networks' predictions lie apart at every token of a given text, from one forward pass of each.

Both are fed the same tokens, so what is compared is what each would have said next after the same words.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from upbringing.base.errors import MeasurementError
from upbringing.models.attention import grouped_heads
from upbringing.models.local import LocalModel
from upbringing.models.passes import numbers_at_once
from upbringing.models.prompt_cache import Tokens
from upbringing.models.row_layout import RowLayout, Scoring
from upbringing.models.scoring import NUMBERS_AT_ONCE, batches_of, forward_logits, limits_of, rows_of
from upbringing.models.states import plain_network

Divergences = NDArray[np.float64]
"""KL divergence (nats) at each token of a continuation, shape (tokens,)."""


def incomparable(model: LocalModel, reference: LocalModel) -> str | None:
    """Return the reason code why predictions of two models are about different tokens, ``None`` if they are not."""
    if model.tokenizer.get_vocab() != reference.tokenizer.get_vocab():
        return "other-tokenizer"
    if _vocabulary(model.computing) != _vocabulary(reference.computing):
        return "other-vocabulary"
    return None


def divergences(
    model: LocalModel,
    reference: LocalModel,
    requests: Sequence[Scoring],
    on_progress: Callable[[int, int], None],
) -> list[tuple[Divergences, ...]]:
    """Return KL(model || reference) at every token of each request's continuations; equal pairs are computed once.

    Raises ``MeasurementError`` for networks whose vocabularies differ in size, and for an empty prompt or continuation.
    """
    networks = (plain_network(model.computing), plain_network(reference.computing))
    if _vocabulary(networks[0]) != _vocabulary(networks[1]):
        raise MeasurementError("predictions over vocabularies of two sizes cannot be compared")
    for request in requests:
        if not request.prompt or not all(request.continuations):
            raise MeasurementError("a divergence needs a prompt and a continuation of at least one token each")
    if not requests:
        return []
    rows = rows_of(requests, share=model.shares_prompts and reference.shares_prompts)
    found: dict[tuple[Tokens, Tokens], Divergences] = {}
    done = 0
    limits = limits_of(networks[0])
    for batch in batches_of(rows, 2 * _vocabulary(networks[0]), limits):  # the logits of both are held at once
        values = _of_rows(networks, batch)
        for row in batch:
            for continuation in row.continuations:
                found[row.prompt, continuation], values = np.split(values, [len(continuation)])
        done += len(batch)
        on_progress(done, len(rows))
    return [tuple(found[request.prompt, each] for each in request.continuations) for request in requests]


def _vocabulary(network: Any) -> int:
    return int(network.config.get_text_config().vocab_size)


def _of_rows(networks: tuple[Any, Any], rows: Sequence[Scoring]) -> Divergences:
    """Return the divergence at every token that something in ``rows`` predicts, row after row."""
    import torch

    layout = RowLayout(rows)
    logits = []
    with torch.inference_mode():
        for network in networks:
            with grouped_heads(network):
                logits.append(forward_logits(network, layout))
        own, other = logits
        return divergence_of_logits(own, other.to(own.device))[layout.predicts]


def divergence_of_logits(logits: Any, reference: Any) -> Divergences:
    """Return KL(softmax(logits) || softmax(reference)) in nats of each row of two (places, vocabulary).

    Computed in fp64, a few rows at a time. Rounding below zero is cut off: no divergence is negative.
    """
    import torch

    num_rows = max(1, numbers_at_once(logits.device, NUMBERS_AT_ONCE, itemsize=8) // logits.shape[-1])
    parts = []
    for mine, theirs in zip(logits.split(num_rows), reference.split(num_rows), strict=True):
        own, other = mine.double().log_softmax(dim=-1), theirs.double().log_softmax(dim=-1)
        parts.append((own.exp() * (own - other)).sum(dim=-1).clamp_min(0.0))
    found: Divergences = torch.cat(parts).cpu().numpy() if parts else np.zeros(0)
    return found
