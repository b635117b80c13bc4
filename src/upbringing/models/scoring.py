"""Likelihoods: a prompt is read once, whatever continues it.

All continuations of a prompt stand behind it in one row. A float mask lets each see the prompt and itself only,
and positions restart behind the prompt, so the row is the mathematics of separate sequences at the cost of one.
What all prompts of a batch begin with (a template) is read once for all of them, and logits are computed where a
token is predicted, nowhere else.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from upbringing.base.errors import MeasurementError
from upbringing.models.attention import answer_cache, grouped_heads
from upbringing.models.passes import PassLimits, numbers_at_once, pass_limits
from upbringing.models.prompt_cache import Tokens, read_beginning, shared_beginning
from upbringing.models.row_layout import RowLayout, Scoring, tree_mask
from upbringing.models.selection import SelectedPositions
from upbringing.models.states import States, blocks_of, plain_network, split_states, states_kept

# Of a processor; those of an accelerator are in ``models.passes``.
TOKENS_PER_BATCH = 8192  # padded tokens of a forward pass
LOGITS_PER_BATCH = 1 << 26  # numbers kept of a forward pass: an eighth of a gigabyte in bf16
NUMBERS_AT_ONCE = 1 << 21  # logits made fp32 at once: 8 MB, which a processor's cache may hold

FED_TOKENS_BEYOND_PROMPT = 128  # sharing saves a prompt, attention inside a row grows with its square
SHARING_TOLERANCE_NATS = 1e-2  # what a wrong mask changes is far more; rounding in fp32 far less


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
    rows = rows_of(requests, share=share)
    found: dict[tuple[Tokens, Tokens], NDArray[np.float64]] = {}
    states: dict[Tokens, States] = {}
    done = 0
    for batch in batches_of(rows, int(model.config.get_text_config().vocab_size), limits_of(model)):
        for row, log_probabilities, state in _score_rows(model, batch, share=share):
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
    import torch

    vocabulary = int(model.config.get_text_config().vocab_size)
    token = [(7 * place + 3) % vocabulary for place in range(12)]  # any distinct tokens show a leak
    continuations = (tuple(token[4:8]), tuple(token[8:]))
    requests = [Scoring(tuple(token[:4]), continuations), Scoring((*token[:3], *token[6:8]), continuations)]
    try:
        shared = [total for scored in score(model, requests) for total in scored.totals]
    except torch.OutOfMemoryError:
        raise
    except (RuntimeError, ValueError, TypeError, AttributeError):
        return False
    alone = [total for scored in score(model, requests, share=False) for total in scored.totals]
    tolerance = SHARING_TOLERANCE_NATS if model.dtype.itemsize >= 4 else 1.0  # bf16 rounds logits to 3 digits
    return bool(np.allclose(shared, alone, rtol=0, atol=tolerance))


def rows_of(requests: Sequence[Scoring], *, share: bool) -> list[Scoring]:
    """Return rows with distinct (prompt, continuation) pairs: one each, or several as far as sharing a prompt pays."""
    wanted: dict[Tokens, dict[Tokens, None]] = {}
    for request in requests:
        wanted.setdefault(request.prompt, {}).update(dict.fromkeys(request.continuations))
    read = {request.prompt for request in requests if request.states}
    rows: list[Scoring] = []
    for prompt, continuations in wanted.items():
        ordered = sorted(continuations, key=lambda each: (len(each), each))
        parts = _parts(ordered, len(prompt) + FED_TOKENS_BEYOND_PROMPT if share else 0)
        rows += [Scoring(prompt, part, states=number == 0 and prompt in read) for number, part in enumerate(parts)]
    return sorted(rows, key=lambda row: (len(row.prompt), row.num_fed, row.prompt, row.continuations))


def _parts(continuations: Sequence[Tokens], capacity: int) -> list[tuple[Tokens, ...]]:
    """Cut ``continuations`` into as few parts as feed about ``capacity`` tokens each, all about as many; 0 = one each.

    Where nothing continues a prompt, which is read for its states alone, its one part is empty.
    """
    if not capacity:
        return [(each,) for each in continuations] or [()]
    total = sum(len(each) - 1 for each in continuations)
    enough = total / max(1, math.ceil(total / capacity))
    parts: list[tuple[Tokens, ...]] = []
    row: list[Tokens] = []
    fed = 0
    for continuation in continuations:
        row.append(continuation)
        fed += len(continuation) - 1
        if fed and fed >= enough:
            parts.append(tuple(row))
            row, fed = [], 0
    return [*parts, tuple(row)] if row or not parts else parts


def limits_of(network: Any) -> PassLimits:
    """Return what a pass that scores may hold."""
    return pass_limits(network, tokens=TOKENS_PER_BATCH, logits=LOGITS_PER_BATCH)


def batches_of(rows: Sequence[Scoring], vocabulary: int, limits: PassLimits) -> list[list[Scoring]]:
    """Return ``rows`` in batches whose tokens and logits of ``vocabulary`` numbers each are within ``limits``."""
    batches: list[list[Scoring]] = []
    prompt = behind = 0
    for row in rows:
        prompt, behind = max(prompt, len(row.prompt)), max(behind, row.num_fed)
        size = len(batches[-1]) + 1 if batches else 1
        full = not limits.hold(size, prompt + behind) or size * (behind + 1) * vocabulary > limits.logits
        if not batches or (full and batches[-1]):
            batches.append([])
            prompt, behind = len(row.prompt), row.num_fed
        batches[-1].append(row)
    return batches


Line = tuple[Scoring, list[NDArray[np.float64]], States | None]


def _score_rows(model: Any, rows: Sequence[Scoring], *, share: bool) -> list[Line]:
    import torch

    reads = any(row.states for row in rows)
    network = plain_network(model)
    prompts = [row.prompt for row in rows]
    with torch.inference_mode(), grouped_heads(network):
        cache = answer_cache(network) if share else None
        beginning = 0 if cache is None else shared_beginning(prompts)
        layout = RowLayout(rows, beginning)
        with _keeping(network, np.ones((1, beginning), dtype=np.float32), reads=reads and beginning > 0) as begun:
            read_beginning(network, cache, prompts[0][:beginning])
        if cache is not None and beginning:
            cache.batch_repeat_interleave(len(rows))
        with _keeping(network, layout.mean_weights, reads=reads) as kept:
            logits = forward_logits(network, layout, cache if beginning else None)
        values = _log_probabilities(logits, layout)
        lengths = torch.tensor([[len(prompt)] for prompt in prompts], device=network.device)
        for own, first in zip(kept, begun, strict=False):  # nothing begun: the means are whole
            own[:, 1] += first[:, 1] / lengths
    states = split_states(kept, len(blocks_of(network)) + 1) if reads else None
    result: list[Line] = []
    place = 0
    for number, row in enumerate(rows):
        scores = []
        for continuation in row.continuations:
            scores.append(values[place : place + len(continuation)])
            place += len(continuation)
        result.append((row, scores, states[number] if states is not None and row.states else None))
    return result


def _keeping(network: Any, weights: NDArray[np.float32], *, reads: bool) -> AbstractContextManager[list[Any]]:
    """Return what keeps the states of the last of the columns that ``weights`` has, and of their weighted sum."""
    import torch

    if not reads:
        return nullcontext([])
    return states_kept(network, weights.shape[1] - 1, torch.from_numpy(weights).to(network.device))


def forward_logits(network: Any, layout: RowLayout, cache: Any = None) -> Any:
    """Return the logits (places, vocabulary) of every place in ``layout`` that predicts something.

    ``cache``: holds the beginning that ``layout`` takes as read.
    """
    import torch

    def on_device(array: NDArray[np.int64]) -> Any:
        return torch.from_numpy(array).to(network.device)

    if layout.branches:
        mask = tree_mask(on_device(layout.groups), layout.beginning, network.dtype)
    else:
        own = np.pad(layout.groups >= 0, ((0, 0), (layout.beginning, 0)), constant_values=True)
        mask = on_device(own.astype(np.int64))
    selected = SelectedPositions(network)
    try:
        selected.choose(on_device(layout.places))
        output = network(
            input_ids=on_device(layout.ids),
            position_ids=on_device(layout.positions),
            attention_mask=mask,
            **({"use_cache": False} if cache is None else {"past_key_values": cache, "use_cache": True}),
        )
    finally:
        selected.remove()
    return selected.read(output.logits)


def _log_probabilities(logits: Any, layout: RowLayout) -> NDArray[np.float64]:
    """Return the log-probability of every token that ``layout`` wants predicted, in its order."""
    import torch

    if not len(layout.targets):
        return np.zeros(0)
    predicts, targets = (torch.from_numpy(each).to(logits.device) for each in (layout.predicts, layout.targets))
    right = logits[predicts, targets].float()
    num_rows = max(1, numbers_at_once(logits.device, NUMBERS_AT_ONCE) // logits.shape[-1])
    total = [part.float().logsumexp(dim=-1) for part in logits.split(num_rows)]
    found: NDArray[np.float64] = (right - torch.cat(total)[predicts]).double().cpu().numpy()
    return found
