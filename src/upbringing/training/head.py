"""Logits only where something is learned: in a chat, half of the positions carry no loss.

The last layer of a small model with a large vocabulary is a fifth of its arithmetic and most of its memory. A hook
hands it the hidden states of the learned positions alone; whatever a model does to its logits afterwards works on each
position by itself, so the loss is the same up to rounding.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from upbringing.data.packing import IGNORED

if TYPE_CHECKING:
    import torch

WORTH_SELECTING = 7 / 8  # of all positions: above, gathering costs about what it saves


class LearnedPositions:
    """Selects, for one forward pass at a time, the hidden states from which a learned token is predicted."""

    def __init__(self, model: Any) -> None:
        self._places: torch.Tensor | None = None
        self._is_pending = False
        self._targets: torch.Tensor | None = None
        head = model.get_output_embeddings()
        self._hook = None if head is None else head.register_forward_pre_hook(self._select)

    def choose(self, labels: torch.Tensor) -> None:
        """Set what the next forward pass predicts; ``labels`` (windows, time) are not shifted yet."""
        import torch

        shifted = torch.nn.functional.pad(labels[:, 1:], (0, 1), value=IGNORED).flatten()
        places = (shifted != IGNORED).nonzero().flatten()
        if len(places) > WORTH_SELECTING * len(shifted):
            self._places, self._targets = None, shifted
        else:
            self._places, self._targets = places, shifted[places]
        self._is_pending = self._places is not None

    def loss(self, outputs: Any, labels: Any, num_items_in_batch: Any = None) -> torch.Tensor:
        """Return the summed cross entropy over the chosen positions per learned token of the whole update."""
        import torch

        assert self._targets is not None
        logits = outputs["logits"].flatten(0, 1)
        if len(logits) != len(self._targets):  # a model that does not call its last layer as a module computed all
            logits = logits[self._places]
        total = torch.nn.functional.cross_entropy(logits.float(), self._targets, ignore_index=IGNORED, reduction="sum")
        mean: torch.Tensor = total / num_items_in_batch
        return mean

    def remove(self) -> None:
        """Take the hook off the model."""
        if self._hook is not None:
            self._hook.remove()

    def _select(self, module: Any, inputs: tuple[Any, ...]) -> tuple[Any, ...] | None:
        if not self._is_pending:
            return None
        self._is_pending = False
        hidden, *rest = inputs
        return (hidden.flatten(0, 1)[self._places][None], *rest)


def learned_positions(model: Any) -> LearnedPositions | None:
    """Return what selects the positions of ``model``, or ``None`` where the model itself must compute its loss.

    A model with a loss besides (of its router) keeps that.
    """
    has_own_loss = getattr(model.config, "output_router_logits", False)
    return None if has_own_loss else LearnedPositions(model)
