"""A direction in the hidden states, taken out or put in while answers are decoded.

Source: Arditi et al. 2024 (refusal is mediated by a single direction). Departures: the direction is taken out of what
enters each block and of what leaves the last, not of every single write, so attention can write it inside a block and
the same block's feed-forward part still reads it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from upbringing.base.errors import MeasurementError
from upbringing.base.fingerprint import fingerprint
from upbringing.models.decoding import Decoding
from upbringing.models.states import blocks_of, first_tensor, plain_network
from upbringing.models.through_local import ThroughLocal

if TYPE_CHECKING:
    from upbringing.models.asking import Prompt, Reply
    from upbringing.models.local import LocalModel

Edit = Literal["ablate", "add"]
"""Take the direction out of every block, or add it where one block begins."""


@dataclass(frozen=True)
class Steering:
    """``vector`` (width,) in fp32. ``add`` adds ``strength`` times the vector where block ``layer`` begins; ``ablate``
    takes ``strength`` times the part along it out of every block. Strength 0 changes no bit of any answer.
    """

    edit: Edit
    vector: tuple[float, ...]
    layer: int
    strength: float = 1.0

    @classmethod
    def of(cls, edit: Edit, vector: NDArray[np.float32], layer: int, strength: float) -> Steering:
        """Return the steering by an array; raises ``MeasurementError`` for a vector without a direction."""
        length = float(np.linalg.norm(vector))
        if not np.isfinite(length) or length == 0.0:
            raise MeasurementError(f"a direction of length {length} leads nowhere: steer by another layer")
        return cls(edit, tuple(float(value) for value in vector), layer, strength)


@contextmanager
def steered(network: Any, steering: Steering) -> Iterator[Any]:
    """Yield the network to compute with while ``steering`` acts on it; its hooks are gone afterwards.

    Raises ``MeasurementError`` for a vector of another width and for a layer that does not exist.
    """
    import torch

    network = plain_network(network)
    blocks = blocks_of(network)
    width = int(network.config.get_text_config().hidden_size)
    if len(steering.vector) != width or not 0 <= steering.layer < len(blocks):
        raise MeasurementError(
            f"steering has width {len(steering.vector)} and block {steering.layer}; the network has width {width} and "
            f"blocks 0 to {len(blocks) - 1}"
        )
    vector = torch.tensor(steering.vector, dtype=torch.float32, device=network.device)
    change = _added(vector * steering.strength) if steering.edit == "add" else _ablated(vector, steering.strength)
    chosen = [blocks[steering.layer]] if steering.edit == "add" else list(blocks)
    handles = [block.register_forward_pre_hook(_before(change), with_kwargs=True) for block in chosen]
    if steering.edit == "ablate":
        handles.append(blocks[-1].register_forward_hook(_after(change)))
    try:
        yield network
    finally:
        for handle in handles:
            handle.remove()


Change = Callable[[Any], Any]


def _added(vector: Any) -> Change:
    return lambda state: state + vector.to(state.dtype)


def _ablated(vector: Any, strength: float) -> Change:
    unit = vector / vector.norm()

    def change(state: Any) -> Any:
        along = state.float() @ unit  # in fp32: a bf16 sum over the width would leave part of the direction
        return state - (strength * along[..., None] * unit).to(state.dtype)

    return change


def _before(change: Change) -> Callable[..., Any]:
    def hook(_: Any, given: tuple[Any, ...], named: dict[str, Any]) -> tuple[tuple[Any, ...], dict[str, Any]]:
        if given:
            return (change(given[0]), *given[1:]), named
        return given, {**named, "hidden_states": change(named["hidden_states"])}

    return hook


def _after(change: Change) -> Callable[..., Any]:
    def hook(_: Any, __: Any, output: Any) -> Any:
        changed = change(first_tensor(output))
        return (changed, *output[1:]) if isinstance(output, tuple) else changed

    return hook


@dataclass(frozen=True)
class SteeredModel(ThroughLocal):
    """A local model whose answers are decoded under ``steering``; its batches are the local model's."""

    local: LocalModel
    steering: Steering

    @property
    def identity(self) -> Mapping[str, str]:
        """What decides an answer besides the prompt: the steering too."""
        plain = [self.steering.edit, self.steering.layer, self.steering.strength, list(self.steering.vector)]
        return {**self.local.identity, "steering": fingerprint(plain)}

    @property
    def asked_through(self) -> LocalModel:
        """The model itself: steering changes how it answers, not what it is asked."""
        return self.local

    @property
    def scores(self) -> bool:
        """Answers alone are steered."""
        return False

    def answer(self, prompts: Sequence[Prompt], decoding: Decoding, seed: int) -> list[list[Reply]]:
        """Return the replies of one batch, decoded under the steering."""
        with steered(self.local.computing, self.steering) as network:
            return self.local.answer_by(network, prompts, decoding, seed)

    def score(
        self, requests: Sequence[tuple[Prompt, tuple[str, ...]]], on_progress: Callable[[int, int], None]
    ) -> list[list[float]]:
        """Raise ``MeasurementError``: see ``scores``."""
        raise MeasurementError("a steered model gives answers only: ask the model itself for likelihoods")
