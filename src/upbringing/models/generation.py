"""Answers: batched decoding whose result does not depend on who shares the batch.

Batches are canonical: sorted by length and content, of fixed membership, never re-formed. In fp32 the batch size
changes no greedy answer; in bf16 it can, so the batch plan belongs to what identifies a measurement.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from upbringing.base.streams import derived_seed
from upbringing.models.decoding import Decoding, Greedy

PROMPTS_PER_BATCH = 64
MAX_BATCH_TOKENS = 32768  # padded prompt and answer tokens of a batch; bounds the key-value cache


@dataclass(frozen=True)
class Prompt:
    """A prompt as token ids. ``name`` seeds its random stream: the item and the condition, never a position."""

    name: str
    ids: tuple[int, ...]


@dataclass(frozen=True)
class Generated:
    """One answer as token ids without the end token. ``finish``: ``stop`` or ``length``."""

    ids: tuple[int, ...]
    finish: str


def generate(
    model: Any,
    prompts: Sequence[Prompt],
    decoding: Decoding,
    *,
    end_tokens: Sequence[int],
    padding_token: int,
    precision: str,
    seed: int,
    on_progress: Callable[[int, int], None],
) -> list[list[Generated]]:
    """Return for each prompt its answers (one, or ``samples``), in order."""
    results: list[list[Generated]] = [[] for _ in prompts]
    done = 0
    for batch in _batches(prompts, decoding.max_tokens):
        chosen = [prompts[index] for index in batch]
        for sample in range(decoding.samples):
            answers = _decode(model, chosen, decoding, sample, tuple(end_tokens), padding_token, precision, seed)
            for index, answer in zip(batch, answers, strict=True):
                results[index].append(answer)
        done += len(batch)
        on_progress(done, len(prompts))
    return results


def _batches(prompts: Sequence[Prompt], max_tokens: int) -> Iterator[list[int]]:
    order = sorted(range(len(prompts)), key=lambda index: (len(prompts[index].ids), prompts[index].ids, index))
    batch: list[int] = []
    for index in order:
        padded = (len(batch) + 1) * (len(prompts[index].ids) + max_tokens)
        if batch and (len(batch) >= PROMPTS_PER_BATCH or padded > MAX_BATCH_TOKENS):
            yield batch
            batch = []
        batch.append(index)
    if batch:
        yield batch


def _decode(
    model: Any,
    prompts: Sequence[Prompt],
    decoding: Decoding,
    sample: int,
    end_tokens: tuple[int, ...],
    padding_token: int,
    precision: str,
    seed: int,
) -> list[Generated]:
    """Decode one batch token by token with a cache; left-padded, positions count real tokens only."""
    import torch

    device = model.device
    width = max(len(prompt.ids) for prompt in prompts)
    ids = torch.full((len(prompts), width), padding_token, device=device)
    mask = torch.zeros((len(prompts), width), dtype=torch.long, device=device)
    for row, prompt in enumerate(prompts):
        ids[row, width - len(prompt.ids) :] = torch.tensor(prompt.ids, device=device)
        mask[row, width - len(prompt.ids) :] = 1
    positions = (mask.cumsum(1) - 1).clamp(min=0)  # (batch, width)
    generators = [_generator(seed, prompt.name, sample, device) for prompt in prompts]
    answers: list[list[int]] = [[] for _ in prompts]
    open_rows = torch.ones(len(prompts), dtype=torch.bool, device=device)
    ends = torch.tensor(end_tokens, device=device)
    cache = None
    with torch.no_grad(), torch.autocast(device.type, torch.bfloat16, enabled=precision == "bf16"):
        for _ in range(decoding.max_tokens):
            output = model(
                input_ids=ids, attention_mask=mask, position_ids=positions, past_key_values=cache, use_cache=True
            )
            cache = output.past_key_values
            chosen = _choose(output.logits[:, -1].float(), decoding, generators)  # (batch,)
            chosen = torch.where(open_rows, chosen, torch.full_like(chosen, padding_token))
            for row in open_rows.nonzero().flatten().tolist():
                answers[row].append(int(chosen[row]))
            open_rows &= ~torch.isin(chosen, ends)
            if not open_rows.any():
                break
            ids = chosen[:, None]
            mask = torch.cat([mask, torch.ones_like(ids)], dim=1)
            positions = positions[:, -1:] + 1
    return [_finished(answer, end_tokens) for answer in answers]


def _finished(answer: list[int], end_tokens: tuple[int, ...]) -> Generated:
    if answer and answer[-1] in end_tokens:
        return Generated(tuple(answer[:-1]), "stop")
    return Generated(tuple(answer), "length")


def _generator(seed: int, name: str, sample: int, device: Any) -> Any:
    import torch

    generator = torch.Generator(device=device)
    generator.manual_seed(derived_seed(seed, "decode", name, sample))
    return generator


def _choose(logits: Any, decoding: Decoding, generators: Sequence[Any]) -> Any:
    """Return one token per row from logits ``(batch, vocab)``."""
    import torch

    if isinstance(decoding, Greedy):
        return logits.argmax(dim=-1)
    probabilities = torch.softmax(logits / decoding.temperature, dim=-1)
    if decoding.top_p < 1.0:
        ordered, order = probabilities.sort(dim=-1, descending=True)
        outside = ordered.cumsum(dim=-1) - ordered >= decoding.top_p
        probabilities = torch.zeros_like(probabilities).scatter(1, order, ordered.masked_fill(outside, 0.0))
    return torch.stack(
        [
            torch.multinomial(row, 1, generator=generator)[0]
            for row, generator in zip(probabilities, generators, strict=True)
        ]
    )
