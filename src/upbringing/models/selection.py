"""Logits only where they are read: the last layer of a small model with a large vocabulary is a fifth of its work.

A hook hands the last layer the hidden states of chosen positions alone. Whatever a model does to its logits
afterwards works on each position by itself, so the numbers are the same up to rounding.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from upbringing.models.members import members_of

if TYPE_CHECKING:
    import torch


class SelectedPositions:
    """Chooses, for one forward pass at a time, the places of ``(batch, time)``, flattened, whose logits are wanted."""

    def __init__(self, model: Any) -> None:
        self._places: torch.Tensor | None = None
        self._pending: set[int] = set()  # the last layers that this pass has not called yet
        heads = [head for member in members_of(model) if (head := _last_layer(member)) is not None]
        self._heads = {id(head): head for head in heads}
        self._hooks = [head.register_forward_pre_hook(self._select) for head in self._heads.values()]

    def choose(self, places: torch.Tensor | None) -> None:
        """Set what the next forward pass computes logits of; ``None`` = of everything."""
        self._places = places
        self._pending = set() if places is None else set(self._heads)

    def read(self, logits: torch.Tensor) -> torch.Tensor:
        """Return the chosen logits (places, vocabulary) of what that pass gave back."""
        found = logits.flatten(0, 1)
        if self._places is None or len(found) == len(self._places):
            return found
        return found[self._places]  # a model that does not call its last layer as a module computed all

    def remove(self) -> None:
        """Take the hooks off the model."""
        for hook in self._hooks:
            hook.remove()

    def _select(self, module: Any, inputs: tuple[Any, ...]) -> tuple[Any, ...] | None:
        if id(module) not in self._pending:
            return None
        self._pending.remove(id(module))
        hidden, *rest = inputs
        return (hidden.flatten(0, 1)[self._places][None], *rest)


def _last_layer(network: Any) -> Any:
    find = getattr(network, "get_output_embeddings", None)
    return None if find is None else find()
