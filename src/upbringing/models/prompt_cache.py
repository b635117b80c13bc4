"""Prompts read into a cache of keys and values: what they begin with alike once, and no row padded to the longest.

Padding a short prompt to the length of the longest one of its batch costs as much as reading a long prompt. So prompts
are read in groups of few tokens, which a processor's cache holds (or as many as an accelerator takes at once), and
their keys and values are joined afterwards.
"""

from __future__ import annotations

import inspect
import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from upbringing.models.attention import answer_cache
from upbringing.models.passes import PassLimits, pass_limits

TOKENS_READ_AT_ONCE = 1024  # padded tokens of a group of prompts, on a processor (accelerators: ``models.passes``)

Tokens = tuple[int, ...]


@dataclass
class ReadPrompts:
    """A batch of prompts that have been read. ``logits``: (batch, vocabulary) of the next token.

    ``cache``: keys and values, prompts flush right behind what they share; ``mask`` (batch, columns) says which columns
    hold a token. ``positions``: (batch, 1) of the last token.
    """

    cache: Any
    mask: Any
    positions: Any
    logits: Any


def read_prompts(model: Any, prompts: Sequence[Tokens], padding: int) -> ReadPrompts:
    """Return ``prompts`` as read by ``model``; a network that makes its own cache reads them all at once."""
    import torch

    beginning = answer_cache(model)
    if beginning is None:
        return _read_group(model, None, 0, prompts, padding)
    shared = shared_beginning(prompts)
    read_beginning(model, beginning, prompts[0][:shared])
    groups = [
        _read_group(model, _for_rows(model, beginning, len(group)) if shared else answer_cache(model), shared, group,
                    padding)
        for group in _groups(prompts, shared, pass_limits(model, tokens=TOKENS_READ_AT_ONCE))
    ]  # fmt: skip
    if len(groups) == 1:
        return groups[0]
    columns = max(group.mask.shape[1] for group in groups)
    return ReadPrompts(
        _joined(model, [group.cache for group in groups], shared, columns),
        torch.cat([_widened(group.mask, shared, columns, 1) for group in groups]),
        torch.cat([group.positions for group in groups]),
        torch.cat([group.logits for group in groups]),
    )


def shared_beginning(prompts: Sequence[Tokens]) -> int:
    """Return how many tokens all prompts begin with alike, at least one less than the shortest has; 0 for one alone."""
    if len(prompts) < 2:
        return 0
    first, last = min(prompts), max(prompts)  # all others lie between them, so they share what these two share
    most = min(len(prompt) for prompt in prompts) - 1
    alike = itertools.takewhile(lambda pair: pair[0] == pair[1], zip(first, last, strict=False))
    return min(sum(1 for _ in alike), most)


def read_beginning(model: Any, cache: Any, beginning: Tokens) -> None:
    """Read into ``cache``, as one row, what all prompts begin with, if anything."""
    import torch

    if beginning:
        ids = torch.tensor([beginning], device=model.device)
        mask = torch.ones_like(ids)
        model(input_ids=ids, attention_mask=mask, past_key_values=cache, use_cache=True, **last_logits(model, 1))


def last_logits(model: Any, num_positions: int) -> dict[str, int]:
    """Return the argument that computes logits of the last positions only, where the model knows it."""
    known = "logits_to_keep" in inspect.signature(model.forward).parameters
    return {"logits_to_keep": num_positions} if known else {}


def left_padded(prompts: Sequence[Tokens], padding: int, device: Any) -> tuple[Any, Any]:
    """Return ids and mask (batch, width), prompts flush right."""
    import torch

    width = max(len(prompt) for prompt in prompts)
    ids = np.full((len(prompts), width), padding, dtype=np.int64)
    mask = np.zeros_like(ids)
    for row, prompt in enumerate(prompts):
        ids[row, width - len(prompt) :] = prompt
        mask[row, width - len(prompt) :] = 1
    return torch.from_numpy(ids).to(device), torch.from_numpy(mask).to(device)


def _groups(prompts: Sequence[Tokens], shared: int, limits: PassLimits) -> Iterator[list[Tokens]]:
    """Yield neighbours that fill a group; a batch is sorted by length, so neighbours are padded little."""
    group: list[Tokens] = []
    for prompt in prompts:
        width = max(len(each) for each in (*group, prompt)) - shared
        if group and not limits.hold(len(group) + 1, width, shared + width):
            yield group
            group = []
        group.append(prompt)
    yield group


def _read_group(model: Any, cache: Any, shared: int, prompts: Sequence[Tokens], padding: int) -> ReadPrompts:
    import torch

    ids, own = left_padded([prompt[shared:] for prompt in prompts], padding, model.device)
    mask = torch.cat([own.new_ones(len(prompts), shared), own], dim=1)
    positions = shared + (own.cumsum(1) - 1).clamp(min=0)  # padding does not count
    output = model(
        input_ids=ids,
        attention_mask=mask,
        position_ids=positions,
        past_key_values=cache,
        use_cache=True,
        **last_logits(model, 1),
    )
    kept = output.past_key_values if cache is None else cache
    return ReadPrompts(kept, mask, positions[:, -1:], output.logits[:, -1])


def _held(layer: Any) -> tuple[Any, Any]:
    """Return the keys and values (batch, heads, columns, width) of a cache's layer without its room."""
    columns = layer.get_seq_length()
    return layer.keys[:, :, :columns], layer.values[:, :, :columns]


def _for_rows(model: Any, beginning: Any, rows: int) -> Any:
    """Return a cache in which each of ``rows`` begins with ``beginning``."""
    cache = answer_cache(model)
    for number, layer in enumerate(beginning.layers):
        keys, values = _held(layer)
        cache.update(keys.expand(rows, -1, -1, -1), values.expand(rows, -1, -1, -1), number)
    return cache


def _joined(model: Any, caches: Sequence[Any], shared: int, columns: int) -> Any:
    """Return one cache with the rows of all ``caches``, each widened to ``columns`` behind what they share."""
    import torch

    cache = answer_cache(model)
    for number in range(len(caches[0].layers)):
        held = [_held(each.layers[number]) for each in caches]
        keys, values = (
            torch.cat([_widened(part, shared, columns, 2) for part in side]) for side in zip(*held, strict=True)
        )
        cache.update(keys, values, number)
        for each in caches:
            each.layers[number].keys = each.layers[number].values = None  # given back layer by layer
    return cache


def _widened(tensor: Any, first: int, columns: int, dimension: int) -> Any:
    """Return ``tensor`` with zeros behind its ``first`` columns, so that it has ``columns`` along ``dimension``."""
    import torch

    missing = columns - tensor.shape[dimension]
    if not missing:
        return tensor
    shape = [*tensor.shape]
    shape[dimension] = missing
    front, back = tensor.split([first, tensor.shape[dimension] - first], dim=dimension)
    return torch.cat([front, tensor.new_zeros(shape), back], dim=dimension)
