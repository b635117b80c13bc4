"""Answers: batched decoding whose result does not depend on who shares the batch.

Batches are canonical: sorted by length and content, of fixed membership, never re-formed. In fp32 the batch size
changes no greedy answer; in bf16 it can, so the batch belongs to what identifies an answer. What all prompts of a
batch begin with (a system prompt, a template) is read once. Rows that have ended leave the batch, so a long answer does
not make the others wait.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from upbringing.base.errors import MeasurementError
from upbringing.base.streams import stream
from upbringing.base.tokenizer_names import tokenizer_name
from upbringing.models.answer_tokens import CHECK_STOP_EVERY, LEAVE_SHARE, Ends, Generated, TokenPrompt, finished
from upbringing.models.attention import grouped_heads
from upbringing.models.banning import allowed
from upbringing.models.beam_search import search
from upbringing.models.decoding import BeamSearch, Decoding, Greedy, Sampled
from upbringing.models.passes import cached_tokens
from upbringing.models.prompt_cache import last_logits, read_prompts
from upbringing.models.running_sums import running_sums

ROWS_PER_BATCH = 256  # larger batches gained nothing on CPU and would lose much when interrupted
# Padded prompt and answer tokens of a batch on a processor; bounds the key-value cache.
MAX_BATCH_TOKENS = 32768
_NOT_FINITE = -1  # chosen where logits are not finite


def end_tokens(tokenizer: Any, network: Any) -> tuple[int, ...]:
    """Return the tokens that end an answer: the tokenizer's end of text and what the model's own settings add."""
    declared = getattr(network.generation_config, "eos_token_id", None)
    declared = declared if isinstance(declared, list) else [declared]
    found = [token for token in (tokenizer.eos_token_id, *declared) if token is not None]
    if not found:
        raise MeasurementError(
            f"neither {tokenizer_name(tokenizer)} nor its model says which token ends an answer: set eos_token in its "
            "tokenizer_config.json"
        )
    return tuple(dict.fromkeys(int(token) for token in found))


def plan_batches(
    prompts: Sequence[TokenPrompt],
    decoding: Decoding,
    rows_per_batch: int = ROWS_PER_BATCH,
    tokens_per_batch: int = MAX_BATCH_TOKENS,
) -> list[list[int]]:
    """Return the canonical batches as indices into ``prompts``: by length, then content, then name.

    ``tokens_per_batch``: of which a batch may hold keys and values (``tokens_held``).
    """
    order = sorted(
        range(len(prompts)), key=lambda index: (len(prompts[index].ids), prompts[index].ids, prompts[index].name)
    )
    batches: list[list[int]] = []
    for index in order:
        num = len(batches[-1]) + 1 if batches else 0
        cached = num * decoding.cached_tokens(len(prompts[index].ids))
        if not batches or num * decoding.rows > rows_per_batch or cached > tokens_per_batch:
            batches.append([])
        batches[-1].append(index)
    return batches


def tokens_held(network: Any, itemsize: int) -> int:
    """Return of how many tokens a batch of answers may hold keys and values, of ``itemsize`` bytes a number."""
    return cached_tokens(network, MAX_BATCH_TOKENS, itemsize)


def generate(
    model: Any, prompts: Sequence[TokenPrompt], decoding: Decoding, *, ends: Ends, seed: int
) -> list[list[Generated]]:
    """Return the answers (one, or ``samples``) of each prompt, decoded as one batch.

    Stream: ``decode/<name>/<sample>``, one uniform number per token, so noise depends on nothing else.
    """
    if isinstance(decoding, BeamSearch):
        return [[answer] for answer in search(model, prompts, decoding, ends)]
    answers = [finished(row, ends) for row in decoded_tokens(model, prompts, decoding, ends=ends, seed=seed)]
    return [answers[first : first + decoding.samples] for first in range(0, len(answers), decoding.samples)]


def decoded_tokens(
    model: Any, prompts: Sequence[TokenPrompt], decoding: Decoding, *, ends: Ends, seed: int
) -> list[list[int]]:
    """Return the tokens of each answer, its end token included, as ``generate`` draws them: samples side by side."""
    import torch

    with torch.inference_mode(), grouped_heads(model):
        tokens = _Decoder(model, prompts, decoding, ends, seed).run()  # (rows, time), -1 after the end
    return [[int(token) for token in row if token >= 0] for row in tokens]


class _Decoder:
    """One batch being decoded. ``live[i]`` is the answer that row ``i`` of the tensors belongs to."""

    def __init__(self, model: Any, prompts: Sequence[TokenPrompt], decoding: Decoding, ends: Ends, seed: int) -> None:
        self.model, self.decoding, self.ends = model, decoding, ends
        self.read = read_prompts(model, [prompt.ids for prompt in prompts], ends.padding)
        rows = len(prompts) * decoding.samples
        self.tokens: NDArray[np.int64] = np.full((rows, decoding.max_tokens), -1, dtype=np.int64)
        self.noise = _noise(prompts, decoding, seed, model.device)  # (rows, time) or None, rows as those of the tensors
        self.live: NDArray[np.int64] = np.arange(rows)

    def run(self) -> NDArray[np.int64]:
        if self.decoding.samples > 1:  # the prompt was read once for all its samples
            self._repeat()
        logits = self.read.logits  # (rows, vocabulary)
        open_rows = np.ones(len(self.live), dtype=bool)
        for step in range(self.decoding.max_tokens):
            chosen = self._choose(logits, step)  # (rows,)
            drawn = chosen.cpu().numpy()  # the one time in a step that an accelerator is waited for
            _require_finite(drawn, step)
            self.tokens[self.live[open_rows], step] = drawn[open_rows]
            open_rows &= ~np.isin(drawn, self.ends.tokens)
            self._look_for_stops(open_rows, step)
            if not open_rows.any() or step + 1 == self.decoding.max_tokens:
                break
            if (~open_rows).mean() >= LEAVE_SHARE:
                chosen = self._leave(open_rows, chosen)
                open_rows = np.ones(len(self.live), dtype=bool)
            logits = self._step(chosen)
        return self.tokens

    def _step(self, chosen: Any) -> Any:
        """Return the logits (rows, vocabulary) behind one more token per row."""
        import torch

        read = self.read
        read.mask = torch.cat([read.mask, torch.ones_like(chosen[:, None])], dim=1)
        read.positions = read.positions + 1
        output = self.model(
            input_ids=chosen[:, None],
            attention_mask=read.mask,
            position_ids=read.positions,
            past_key_values=read.cache,
            use_cache=True,
            **last_logits(self.model, 1),
        )
        read.cache = output.past_key_values
        return output.logits[:, -1]

    def _repeat(self) -> None:
        samples, read = self.decoding.samples, self.read
        read.cache.batch_repeat_interleave(samples)
        read.mask = read.mask.repeat_interleave(samples, dim=0)
        read.positions = read.positions.repeat_interleave(samples, dim=0)
        read.logits = read.logits.repeat_interleave(samples, dim=0)

    def _leave(self, open_rows: NDArray[np.bool_], chosen: Any) -> Any:
        """Take ended rows out of every tensor and return what is left of ``chosen``."""
        import torch

        keep = torch.from_numpy(np.flatnonzero(open_rows)).to(chosen.device)
        self.read.cache.batch_select_indices(keep)
        self.read.mask, self.read.positions = self.read.mask[keep], self.read.positions[keep]
        self.live = self.live[open_rows]
        self.noise = None if self.noise is None else self.noise[keep]
        return chosen[keep]

    def _look_for_stops(self, open_rows: NDArray[np.bool_], step: int) -> None:
        if self.ends.stopped is None or (step + 1) % CHECK_STOP_EVERY:
            return
        for row in np.flatnonzero(open_rows):
            if self.ends.stopped(self.tokens[self.live[row], : step + 1].tolist()):
                open_rows[row] = False

    def _choose(self, logits: Any, step: int) -> Any:
        """Return one token per row from logits (rows, vocabulary); ``_NOT_FINITE`` where they are not finite."""
        import torch

        logits = allowed(logits, self.decoding, self.ends)
        highest = logits.max(dim=-1)  # not a number where any of a row is not
        is_finite = torch.isfinite(highest.values)
        if self.noise is None:  # the first of equals, as argmax, and three times faster in bf16
            return highest.indices.masked_fill(~is_finite, _NOT_FINITE)
        assert isinstance(self.decoding, Sampled)
        probabilities = sampling_probabilities(logits.double(), self.decoding)
        sums = running_sums(probabilities)
        places = self.noise[:, step, None] * sums[:, -1:]
        chosen = torch.searchsorted(sums, places, right=True).clamp(max=logits.shape[-1] - 1)[:, 0]
        return chosen.masked_fill(~is_finite, _NOT_FINITE)


def _require_finite(drawn: NDArray[np.int64], step: int) -> None:
    if (drawn == _NOT_FINITE).any():
        raise MeasurementError(
            f"the checkpoint's logits at token {step + 1} of an answer are not finite, so nothing can be read from "
            "them: its weights are broken, or overflow in this precision (measure_precision: fp32)"
        )


def sampling_probabilities(logits: Any, decoding: Sampled) -> Any:
    """Return the probabilities (rows, vocabulary) after temperature, top-k and top-p; not renormalised."""
    import torch

    logits = logits / decoding.temperature
    if 0 < decoding.top_k < logits.shape[-1]:
        least = logits.topk(decoding.top_k, dim=-1).values[:, -1:]
        logits = logits.masked_fill(logits < least, -torch.inf)
    probabilities = torch.softmax(logits, dim=-1)
    if decoding.top_p < 1.0:
        ordered, order = probabilities.sort(dim=-1, descending=True, stable=True)
        outside = running_sums(ordered) - ordered >= decoding.top_p
        probabilities = torch.zeros_like(probabilities).scatter(1, order, ordered.masked_fill(outside, 0.0))
    return probabilities


def _noise(prompts: Sequence[TokenPrompt], decoding: Decoding, seed: int, device: Any) -> Any:
    """Return a uniform number per answer and token, all on ``device`` at once: every copy there is waited for."""
    if isinstance(decoding, Greedy):
        return None
    import torch

    rows = [
        stream(seed, "decode", prompt.name, sample).random(decoding.max_tokens)
        for prompt in prompts
        for sample in range(decoding.samples)
    ]
    return torch.from_numpy(np.stack(rows)).to(device)
