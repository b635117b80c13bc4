"""From windows to tensors, with document boundaries the attention cannot cross.

The mask is an explicit *float* mask of shape (batch, 1, time, time): additive, zero where a token may look and
the most negative finite number elsewhere. The traps it avoids: an all-ones mask or a cache leaks across
documents, and a boolean 4D mask was silently wrong under eager attention in earlier transformers.

Attention that is computed document by document is told where each ends instead, and no mask is made.

Isolated text needs the mask: its positions repeat those of the text behind its place, and attention that knows
documents by their positions or ends alone (flash attention) would read it as a document of its own.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from upbringing.base.errors import DataError
from upbringing.data.packing import OWN

if TYPE_CHECKING:
    import torch

ENDS = "cu_seq_lens_q"  # transformers' name for where documents end
FLOAT_MASK_ATTENTION = ("eager", "sdpa")  # what adds a float mask of every pair of places to its scores


def block_mask(documents: torch.Tensor, dtype: torch.dtype) -> torch.Tensor:
    """Return the additive mask ``(batch, 1, time, time)`` for document ids ``(batch, time)``.

    A token sees itself and earlier tokens of its own document. Padding (-1) sees earlier padding and itself, so no
    row is empty and no softmax divides by zero.
    """
    return _additive(_earlier_in_document(documents), dtype)


def isolating_mask(
    documents: torch.Tensor, positions: torch.Tensor, isolated: torch.Tensor, dtype: torch.dtype
) -> torch.Tensor:
    """Return the mask of ``block_mask`` for windows with isolated text; all arguments have shape ``(batch, time)``.

    No other text sees isolated text; that sees itself up to each token, and its document up to its place.
    """
    import torch

    is_own = isolated == OWN  # (batch, time)
    place = positions.gather(1, isolated.clamp(min=0))  # of each isolated text within its document
    place = place.masked_fill(is_own, torch.iinfo(positions.dtype).max)
    before = is_own[:, None, :] & (positions[:, None, :] < place[:, :, None])  # (batch, time, time)
    inside = ~is_own[:, None, :] & (isolated[:, :, None] == isolated[:, None, :])
    return _additive(_earlier_in_document(documents) & (before | inside), dtype)


def _earlier_in_document(documents: torch.Tensor) -> torch.Tensor:
    """Return whether a place (rows) may look at another (columns), shape ``(batch, time, time)``."""
    import torch

    time = documents.shape[1]
    causal = torch.ones(time, time, dtype=torch.bool, device=documents.device).tril()
    return (documents[:, :, None] == documents[:, None, :]) & causal


def _additive(allowed: torch.Tensor, dtype: torch.dtype) -> torch.Tensor:
    import torch

    mask = torch.zeros(allowed.shape, dtype=dtype, device=allowed.device)
    mask.masked_fill_(~allowed, torch.finfo(dtype).min)
    return mask[:, None]


def document_ends(documents: NDArray[np.int32], device: Any = "cpu") -> torch.Tensor:
    """Return 0 and the place behind each document of ``documents`` (windows, time), one window behind the other.

    Padding is a document. On a CPU the last end is repeated up to one entry per place and one more, so that compiled
    layers see one shape; elsewhere each repetition would be a document to start a kernel for.
    """
    import torch

    is_first = np.ones(documents.shape, bool)
    is_first[:, 1:] = documents[:, 1:] != documents[:, :-1]
    ends = np.append(np.flatnonzero(is_first), documents.size).astype(np.int32)
    is_padded = torch.device(device).type == "cpu"
    return torch.from_numpy(np.pad(ends, (0, documents.size + 1 - len(ends)), "edge") if is_padded else ends).to(device)


def collate(
    arrays: Mapping[str, NDArray[np.int32]],
    begin: int,
    end: int,
    dtype: torch.dtype,
    device: Any = "cpu",
    *,
    by_documents: bool = False,
) -> dict[str, Any]:
    """Return windows ``begin..end`` as the keyword arguments of a causal language model, on ``device``.

    The mask is computed there: it is as large as the square of the context, and what it follows from is not.
    ``by_documents``: for attention that is told where documents end; the windows hold no isolated text.
    """
    import torch

    def tensor(name: str) -> torch.Tensor:
        return torch.from_numpy(np.asarray(arrays[name][begin:end], dtype=np.int64)).to(device)

    documents, positions = tensor("documents"), tensor("positions")
    found = {"input_ids": tensor("tokens"), "labels": tensor("labels"), "position_ids": positions}
    if by_documents:
        return found | {ENDS: document_ends(np.asarray(arrays["documents"][begin:end]), device)}
    if "isolated" in arrays:
        return found | {"attention_mask": isolating_mask(documents, positions, tensor("isolated"), dtype)}
    return found | {"attention_mask": block_mask(documents, dtype)}


def require_float_mask(arrays: Mapping[str, NDArray[np.int32]], attention: str) -> None:
    """Raise ``DataError`` where windows hold isolated text and ``attention`` takes no float mask of every pair."""
    if "isolated" in arrays and attention not in FLOAT_MASK_ATTENTION:
        raise DataError(
            f"the data holds isolated text, and the attention {attention!r} knows documents by their positions alone, "
            f"so it would read that text as documents of their own: use attention {' or '.join(FLOAT_MASK_ATTENTION)}"
        )
