"""Logits only where something is learned: in a chat, half of the positions carry no loss."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from upbringing.data.packing import IGNORED
from upbringing.models.selection import SelectedPositions

if TYPE_CHECKING:
    import torch

WORTH_SELECTING = 7 / 8  # of all positions: above, gathering costs about what it saves


class LearnedPositions:
    """Selects, for one forward pass at a time, the hidden states from which a learned token is predicted."""

    def __init__(self, model: Any) -> None:
        self._selected = SelectedPositions(model)
        self._targets: torch.Tensor | None = None

    def choose(self, labels: torch.Tensor) -> None:
        """Set what the next forward pass predicts; ``labels`` (windows, time) are not shifted yet."""
        import torch

        shifted = torch.nn.functional.pad(labels[:, 1:], (0, 1), value=IGNORED).flatten()
        places = (shifted != IGNORED).nonzero().flatten()
        is_worth_it = len(places) <= WORTH_SELECTING * len(shifted)
        self._selected.choose(places if is_worth_it else None)
        self._targets = shifted[places] if is_worth_it else shifted

    def loss(self, outputs: Any, labels: Any, num_items_in_batch: Any = None) -> torch.Tensor:
        """Return the summed cross entropy over the chosen positions per learned token of the whole update."""
        import torch

        assert self._targets is not None
        logits = self._selected.read(outputs["logits"])
        total = torch.nn.functional.cross_entropy(logits.float(), self._targets, ignore_index=IGNORED, reduction="sum")
        mean: torch.Tensor = total / num_items_in_batch
        return mean

    def remove(self) -> None:
        """Take the hook off the model."""
        self._selected.remove()


def learned_positions(model: Any) -> LearnedPositions | None:
    """Return what selects the positions of ``model``, or ``None`` where the model itself must compute its loss.

    A model with a loss besides (of its router) keeps that.
    """
    has_own_loss = getattr(model.config, "output_router_logits", False)
    return None if has_own_loss else LearnedPositions(model)
