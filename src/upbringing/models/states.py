"""Hidden states of a prompt, reduced inside the forward pass: no position but the last and the mean is ever kept."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from upbringing.base.errors import MeasurementError

BLOCK_LISTS = ("layers", "h", "blocks")  # what decoders call the list of their blocks


@dataclass(frozen=True)
class States:
    """Hidden states of one prompt, each (blocks + 1, width) in fp32: what enters each block, and at last what leaves
    the final norm. ``last``: at the last prompt token; ``mean``: averaged over the prompt's tokens.
    """

    last: NDArray[np.float32]
    mean: NDArray[np.float32]

    @property
    def is_finite(self) -> bool:
        """Whether every number is one."""
        return bool(np.isfinite(self.last).all() and np.isfinite(self.mean).all())


def plain_network(model: Any) -> Any:
    """Return the network that a compiled one was made of: compiled graphs do not look for hooks added later."""
    return getattr(model, "_orig_mod", model)


def decoder_of(model: Any) -> Any:
    """Return the module whose blocks compute the residual stream."""
    return plain_network(model).get_decoder()


def blocks_of(model: Any) -> Any:
    """Return the list of a causal model's blocks; raises ``MeasurementError`` for a network that has none we know."""
    decoder = decoder_of(model)
    for name in BLOCK_LISTS:
        blocks = getattr(decoder, name, None)
        if blocks is not None and len(blocks):
            return blocks
    raise MeasurementError(
        f"{type(decoder).__name__} names its blocks none of {', '.join(BLOCK_LISTS)}: its hidden states cannot be "
        "read; leave out measures that read them"
    )


def first_tensor(output: Any) -> Any:
    """Return the hidden states (batch, time, width) of what a block or decoder gave back."""
    return output[0] if isinstance(output, tuple) or hasattr(output, "last_hidden_state") else output


@contextmanager
def states_kept(model: Any, last: int, weights: Any) -> Iterator[list[Any]]:
    """Keep two numbers per row and width of each layer: a list that a forward pass fills with (rows, 2, width).

    ``last``: the column of the last prompt token; ``weights`` (rows, last + 1): what each prompt token counts in the
    mean, 0 for padding. The hooks are gone afterwards, whatever happened.
    """
    import torch

    kept: list[Any] = []

    def keep(state: Any) -> None:
        prompt = state[:, : last + 1].float()
        mean = torch.bmm(weights[:, None].to(prompt), prompt)[:, 0]
        kept.append(torch.stack([prompt[:, -1], mean], dim=1))  # where it is: a copy away would wait for every layer

    handles = [
        block.register_forward_pre_hook(lambda _, given, named: keep(_entering(given, named)), with_kwargs=True)
        for block in blocks_of(model)
    ]
    handles.append(decoder_of(model).register_forward_hook(lambda _, __, output: keep(first_tensor(output))))
    try:
        yield kept
    finally:
        for handle in handles:
            handle.remove()


def _entering(given: tuple[Any, ...], named: dict[str, Any]) -> Any:
    return given[0] if given else named["hidden_states"]


def split_states(kept: list[Any], num_layers: int) -> list[States]:
    """Return the states of each row; raises ``MeasurementError`` where a layer was not seen exactly once."""
    import torch

    if len(kept) != num_layers:
        raise MeasurementError(
            f"the network has {num_layers - 1} blocks, but {len(kept)} readings came out of its pass: a compiled or "
            "shared block hides its hidden states; leave out measures that read them"
        )
    layers = torch.stack(kept, dim=1).cpu().numpy()  # (rows, layers, 2, width)
    return [States(last=row[:, 0].copy(), mean=row[:, 1].copy()) for row in layers]
