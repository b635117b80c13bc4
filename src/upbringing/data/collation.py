"""From windows to tensors, with document boundaries the attention cannot cross.

The mask is an explicit *float* mask of shape (batch, 1, time, time): additive, zero where a token may look and
the most negative finite number elsewhere. The traps it avoids: an all-ones mask or a cache leaks across
documents, and a boolean 4D mask was silently wrong under eager attention in earlier transformers.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    import torch


def block_mask(documents: torch.Tensor, dtype: torch.dtype) -> torch.Tensor:
    """Return the additive mask ``(batch, 1, time, time)`` for document ids ``(batch, time)``.

    A token sees itself and earlier tokens of its own document. Padding (-1) sees earlier padding and itself, so no
    row is empty and no softmax divides by zero.
    """
    import torch

    time = documents.shape[1]
    same = documents[:, :, None] == documents[:, None, :]  # (batch, time, time)
    causal = torch.ones(time, time, dtype=torch.bool, device=documents.device).tril()
    mask = torch.zeros(same.shape, dtype=dtype, device=documents.device)
    mask.masked_fill_(~(same & causal), torch.finfo(dtype).min)
    return mask[:, None]


def collate(arrays: Mapping[str, NDArray[np.int32]], begin: int, end: int, dtype: torch.dtype) -> dict[str, Any]:
    """Return windows ``begin..end`` as the keyword arguments of a causal language model."""
    import torch

    def tensor(name: str) -> torch.Tensor:
        return torch.from_numpy(np.asarray(arrays[name][begin:end], dtype=np.int64))

    return {
        "input_ids": tensor("tokens"),
        "labels": tensor("labels"),
        "position_ids": tensor("positions"),
        "attention_mask": block_mask(tensor("documents"), dtype),
    }
