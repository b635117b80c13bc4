"""Likelihoods: a prompt is read once, whatever continues it.

All continuations of a prompt stand behind it in one row. A float mask lets each see the prompt and itself only,
and positions restart behind the prompt, so the row is the mathematics of separate sequences at the cost of one.
Prompts end in one column, so logits are computed for the continuations' columns only.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from upbringing.base.errors import MeasurementError
from upbringing.models.attention import grouped_heads
from upbringing.models.generation import last_logits
from upbringing.models.states import States, blocks_of, plain_network, split_states, states_kept

TOKENS_PER_BATCH = 8192  # padded tokens of a forward pass
LOGITS_PER_BATCH = 1 << 28  # numbers kept of a forward pass: half a gigabyte in bf16
CONTINUATION_TOKENS_BEYOND_PROMPT = 128  # sharing saves a prompt, attention inside a row grows with its square
POSITIONS_AT_ONCE = 1024  # rows of logits made fp32 at once
SHARING_TOLERANCE_NATS = 1e-2  # what a wrong mask changes is far more; rounding in fp32 far less


@dataclass(frozen=True)
class Scoring:
    """A prompt and what may continue it, as token ids; none is empty. ``states``: whether the prompt's hidden states
    are wanted, for which nothing need continue it.
    """

    prompt: tuple[int, ...]
    continuations: tuple[tuple[int, ...], ...]
    states: bool = False

    @property
    def num_continuation_tokens(self) -> int:
        """Tokens behind the prompt."""
        return sum(len(each) for each in self.continuations)


@dataclass(frozen=True)
class Scored:
    """Log-probabilities (nats) per token of each continuation, and the prompt's hidden states where asked for."""

    log_probabilities: tuple[NDArray[np.float64], ...]
    states: States | None = None

    @property
    def totals(self) -> list[float]:
        """Log-likelihood of each continuation."""
        return [float(each.sum()) for each in self.log_probabilities]


def score(
    model: Any,
    requests: Sequence[Scoring],
    *,
    share: bool = True,
    on_progress: Callable[[int, int], None] | None = None,
) -> list[Scored]:
    """Return what each request scored, in order; equal (prompt, continuation) pairs are computed once.

    ``share``: continuations of a prompt share its forward pass (see ``sharing_is_exact``). Hidden states come out of
    the same pass. Rows are batched in an order that depends on the requests alone. Raises ``MeasurementError`` for an
    empty prompt or continuation, which has no likelihood.
    """
    for request in requests:
        if not request.prompt or not all(request.continuations):
            raise MeasurementError("a likelihood needs a prompt and a continuation of at least one token each")
    rows = _rows(requests, share=share)
    found: dict[tuple[tuple[int, ...], tuple[int, ...]], NDArray[np.float64]] = {}
    states: dict[tuple[int, ...], States] = {}
    done = 0
    for batch in _batches(rows, int(model.config.get_text_config().vocab_size)):
        for row, log_probabilities, state in _score_rows(model, batch):
            found.update(zip(((row.prompt, each) for each in row.continuations), log_probabilities, strict=True))
            if state is not None:
                states[row.prompt] = state
        done += len(batch)
        if on_progress is not None:
            on_progress(done, len(rows))
    return [
        Scored(
            tuple(found[request.prompt, each] for each in request.continuations),
            states[request.prompt] if request.states else None,
        )
        for request in requests
    ]


def sharing_is_exact(model: Any) -> bool:
    """Whether this model honours the mask that lets continuations share a prompt.

    Some attention kernels and all recurrent models ignore such a mask silently; they are scored one sequence at a
    time. Costs two passes over a few tokens.
    """
    vocabulary = int(model.config.get_text_config().vocab_size)
    token = [(7 * place + 3) % vocabulary for place in range(12)]  # any distinct tokens show a leak
    request = Scoring(tuple(token[:4]), (tuple(token[4:8]), tuple(token[8:])))
    try:
        shared = score(model, [request])[0].totals
    except (RuntimeError, ValueError, TypeError, AttributeError):
        return False
    alone = score(model, [request], share=False)[0].totals
    tolerance = SHARING_TOLERANCE_NATS if model.dtype.itemsize >= 4 else 1.0  # bf16 rounds logits to 3 digits
    return bool(np.allclose(shared, alone, rtol=0, atol=tolerance))


def _rows(requests: Sequence[Scoring], *, share: bool) -> list[Scoring]:
    """Return rows with distinct (prompt, continuation) pairs: one each, or several as far as sharing a prompt pays."""
    wanted: dict[tuple[int, ...], dict[tuple[int, ...], None]] = {}
    for request in requests:
        wanted.setdefault(request.prompt, {}).update(dict.fromkeys(request.continuations))
    read = {request.prompt for request in requests if request.states}
    rows: list[Scoring] = []
    for prompt, continuations in wanted.items():
        first = len(rows)
        capacity = len(prompt) + CONTINUATION_TOKENS_BEYOND_PROMPT if share else 0
        row: list[tuple[int, ...]] = []
        for continuation in sorted(continuations, key=lambda each: (len(each), each)):
            if row and sum(len(each) for each in row) + len(continuation) > capacity:
                rows.append(Scoring(prompt, tuple(row)))
                row = []
            row.append(continuation)
        rows.append(Scoring(prompt, tuple(row)))
        rows[first] = replace(rows[first], states=prompt in read)
    return sorted(rows, key=lambda row: (len(row.prompt), row.num_continuation_tokens, row.prompt, row.continuations))


def _batches(rows: Sequence[Scoring], vocabulary: int) -> list[list[Scoring]]:
    batches: list[list[Scoring]] = []
    prompt = behind = 0
    for row in rows:
        prompt, behind = max(prompt, len(row.prompt)), max(behind, row.num_continuation_tokens)
        size = len(batches[-1]) + 1 if batches else 1
        full = size * (prompt + behind) > TOKENS_PER_BATCH or size * (behind + 1) * vocabulary > LOGITS_PER_BATCH
        if not batches or (full and batches[-1]):
            batches.append([])
            prompt, behind = len(row.prompt), row.num_continuation_tokens
        batches[-1].append(row)
    return batches


Line = tuple[Scoring, list[NDArray[np.float64]], States | None]


def _score_rows(model: Any, rows: Sequence[Scoring]) -> list[Line]:
    import torch

    layout = _Layout(rows)
    reads = any(row.states for row in rows)
    keeping: AbstractContextManager[list[Any]] = nullcontext([])
    if reads:
        model = plain_network(model)
        keeping = states_kept(model, layout.prompt - 1, torch.from_numpy(layout.mean_weights).to(model.device))
    with torch.inference_mode(), grouped_heads(model), keeping as kept:
        output = model(
            input_ids=torch.from_numpy(layout.ids).to(model.device),
            position_ids=torch.from_numpy(layout.positions).to(model.device),
            attention_mask=_tree_mask(torch.from_numpy(layout.groups).to(model.device), model.dtype)
            if layout.branches
            else torch.from_numpy((layout.groups >= 0).astype(np.int64)).to(model.device),
            use_cache=False,
            **last_logits(model, layout.width - layout.prompt + 1),
        )
        values = _read(output.logits[:, layout.prompt - 1 - layout.width :], layout)
    states = split_states(kept, len(blocks_of(model)) + 1) if reads else None
    result: list[Line] = []
    place = 0
    for number, row in enumerate(rows):
        scores = []
        for continuation in row.continuations:
            scores.append(values[place : place + len(continuation)])
            place += len(continuation)
        result.append((row, scores, states[number] if states is not None and row.states else None))
    return result


class _Layout:
    """Where every token of a batch stands: prompts end in column ``prompt - 1``, continuations follow."""

    def __init__(self, rows: Sequence[Scoring]) -> None:
        self.prompt = max(len(row.prompt) for row in rows)
        self.width = self.prompt + max(row.num_continuation_tokens for row in rows)
        self.branches = any(len(row.continuations) > 1 for row in rows)
        self.ids = np.zeros((len(rows), self.width), dtype=np.int64)
        self.positions = np.zeros_like(self.ids)
        self.groups = np.full_like(self.ids, -1)  # 0 = prompt, k = k-th continuation, -1 = padding
        self.sources: list[tuple[int, int, int]] = []  # row, column that predicts, token predicted
        for number, row in enumerate(rows):
            self._place(number, row)

    @property
    def mean_weights(self) -> NDArray[np.float32]:
        """What each column up to the prompts' end counts in the mean over a prompt (rows, prompt)."""
        inside = self.groups[:, : self.prompt] == 0
        weights: NDArray[np.float32] = (inside / inside.sum(axis=1, keepdims=True)).astype(np.float32)
        return weights

    def _place(self, number: int, row: Scoring) -> None:
        first = self.prompt - len(row.prompt)
        self.ids[number, first : self.prompt] = row.prompt
        self.positions[number, first : self.prompt] = np.arange(len(row.prompt))
        self.groups[number, first : self.prompt] = 0
        begin = self.prompt
        for group, continuation in enumerate(row.continuations, start=1):
            end = begin + len(continuation)
            self.ids[number, begin:end] = continuation
            self.positions[number, begin:end] = len(row.prompt) + np.arange(len(continuation))
            self.groups[number, begin:end] = group
            columns = [self.prompt - 1, *range(begin, end - 1)]
            self.sources += [(number, column, token) for column, token in zip(columns, continuation, strict=True)]
            begin = end


def _tree_mask(groups: Any, dtype: Any) -> Any:
    """Return the additive mask (batch, 1, time, time): causal, within a group or from it to the prompt."""
    import torch

    time = groups.shape[1]
    same = groups[:, :, None] == groups[:, None, :]  # (batch, time, time)
    prompt = (groups[:, None, :] == 0) & (groups[:, :, None] >= 0)
    causal = torch.ones(time, time, dtype=torch.bool, device=groups.device).tril()
    mask = torch.zeros(same.shape, dtype=dtype, device=groups.device)
    return mask.masked_fill_(~((same | prompt) & causal), torch.finfo(dtype).min)[:, None]


def _read(logits: Any, layout: _Layout) -> NDArray[np.float64]:
    """Return the log-probability of every predicted token from logits (batch, columns, vocabulary)."""
    import torch

    if not layout.sources:
        return np.zeros(0)
    rows, columns, targets = (torch.tensor(each, device=logits.device) for each in zip(*layout.sources, strict=True))
    columns = columns - (layout.prompt - 1)
    parts = []
    for first in range(0, len(targets), POSITIONS_AT_ONCE):
        chosen = slice(first, first + POSITIONS_AT_ONCE)
        numbers = logits[rows[chosen], columns[chosen]].float()  # (positions, vocabulary)
        right = numbers.gather(1, targets[chosen, None])[:, 0]
        parts.append((right - numbers.logsumexp(dim=-1)).double().cpu())
    return torch.cat(parts).numpy()
