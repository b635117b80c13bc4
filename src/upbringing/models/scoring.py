"""Likelihoods: a prompt is read once, whatever continues it.

All continuations of a prompt stand behind it in one row. A float mask lets each see the prompt and itself only,
and positions restart behind the prompt, so the row is the mathematics of separate sequences at the cost of one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from upbringing.base.errors import MeasurementError

TOKENS_PER_BATCH = 8192  # keeps the logits of a 50k vocabulary in bf16 below a gigabyte


@dataclass(frozen=True)
class Scoring:
    """A prompt and what may continue it, as token ids; no list is empty."""

    prompt: tuple[int, ...]
    continuations: tuple[tuple[int, ...], ...]

    @property
    def length(self) -> int:
        """Tokens in the row."""
        return len(self.prompt) + sum(len(each) for each in self.continuations)


def score(
    model: Any, requests: Sequence[Scoring], *, precision: str, on_progress: Callable[[int, int], None]
) -> list[list[float]]:
    """Return for each request the summed log-likelihood (nats) of each of its continuations, in order.

    Rows are batched by length in an order that depends on the requests alone. Raises ``MeasurementError`` for
    an empty prompt or continuation, which has no likelihood.
    """
    for request in requests:
        if not request.prompt or not all(request.continuations):
            raise MeasurementError("a likelihood needs a prompt and a continuation of at least one token each")
    results: list[list[float]] = [[] for _ in requests]
    done = 0
    for batch in _batches([request.length for request in requests]):
        for index, scores in zip(batch, _score_batch(model, [requests[i] for i in batch], precision), strict=True):
            results[index] = scores
        done += len(batch)
        on_progress(done, len(requests))
    return results


def _batches(lengths: Sequence[int]) -> Iterator[list[int]]:
    order = sorted(range(len(lengths)), key=lambda index: (lengths[index], index))
    batch: list[int] = []
    for index in order:
        if batch and (len(batch) + 1) * lengths[index] > TOKENS_PER_BATCH:
            yield batch
            batch = []
        batch.append(index)
    if batch:
        yield batch


def _score_batch(model: Any, requests: Sequence[Scoring], precision: str) -> list[list[float]]:
    import torch

    width = max(request.length for request in requests)
    ids = np.zeros((len(requests), width), dtype=np.int64)
    positions = np.zeros_like(ids)
    groups = np.full_like(ids, -1)  # 0 = prompt, k = k-th continuation, -1 = padding
    for row, request in enumerate(requests):
        begin = len(request.prompt)
        ids[row, :begin], positions[row, :begin], groups[row, :begin] = request.prompt, np.arange(begin), 0
        for number, continuation in enumerate(request.continuations, start=1):
            end = begin + len(continuation)
            ids[row, begin:end] = continuation
            positions[row, begin:end] = len(request.prompt) + np.arange(len(continuation))
            groups[row, begin:end] = number
            begin = end
    tokens = torch.from_numpy(ids).to(model.device)
    with torch.no_grad(), torch.autocast(model.device.type, torch.bfloat16, enabled=precision == "bf16"):
        logits = model(
            input_ids=tokens,
            position_ids=torch.from_numpy(positions).to(model.device),
            attention_mask=_tree_mask(torch.from_numpy(groups).to(model.device)),
            use_cache=False,
        ).logits  # (batch, width, vocab)
    return [_read_row(logits[row], request) for row, request in enumerate(requests)]


def _tree_mask(groups: Any) -> Any:
    """Return the additive float mask (batch, 1, time, time): causal, within a group or from it to the prompt."""
    import torch

    time = groups.shape[1]
    same = groups[:, :, None] == groups[:, None, :]  # (batch, time, time)
    prompt = (groups[:, None, :] == 0) & (groups[:, :, None] >= 0)
    causal = torch.ones(time, time, dtype=torch.bool, device=groups.device).tril()
    mask = torch.zeros(same.shape, dtype=torch.float32, device=groups.device)
    return mask.masked_fill_(~((same | prompt) & causal), torch.finfo(torch.float32).min)[:, None]


def _read_row(logits: Any, request: Scoring) -> list[float]:
    """Return the log-likelihood of each continuation from one row's logits ``(width, vocab)``."""
    import torch

    last = len(request.prompt) - 1
    begin, scores = len(request.prompt), []
    for continuation in request.continuations:
        rows = [last, *range(begin, begin + len(continuation) - 1)]
        log_probabilities = torch.log_softmax(logits[rows].float(), dim=-1)
        targets = torch.tensor(continuation, device=logits.device)
        scores.append(float(log_probabilities.gather(1, targets[:, None]).sum()))
        begin += len(continuation)
    return scores
