"""Logit-bias recalibration: what a checkpoint loses on text when only the frequencies of its tokens may be relearned.

A network whose slice was taken out often rates the tokens of the removed data as improbable, or as too probable. Its
loss then says little of what it still knows: one number per token of the vocabulary gives much of it back.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from upbringing.data.packing import IGNORED

if TYPE_CHECKING:
    import torch

LAST_FACTOR = 0.1  # of the learning rate
Batches = Sequence[Mapping[str, Any]]
"""Windows as ``data.collation.collate`` gives them, at least one batch."""


def recalibrated_bias(
    model: Any,
    batches: Mapping[str, Batches],
    *,
    weights: Mapping[str, float] | None = None,
    steps: int = 200,
    learning_rate: float = 1e-2,
) -> torch.Tensor:
    """Return the bias on the logits, shape ``(vocabulary,)``, that lowers the weighted losses of data sets most.

    Each of ``steps`` updates reads the next batch of every data set, from the first again after the last; ``weights``
    multiply their mean losses (absent = 1). The model's own weights stay as they are. Nothing is drawn. Compare losses
    on other text than that of ``batches``. Raises ``ValueError`` where there is nothing to read.

    Source: Shilov et al. 2025 (SGTM): AdamW at 1e-2, falling in a line to a tenth, over 200 or 500 steps, with weights
    of 1 for the data to forget and 100 for the rest. Departures: the bias begins at zero instead of at random; weights
    are 1 unless given.
    """
    import torch

    empty = [name for name, each in batches.items() if not each] or ([] if batches else ["no data set at all"])
    if empty:
        raise ValueError(f"recalibration has no batch of {', '.join(empty)}: give each data set one or more")
    bias = torch.zeros(model.config.vocab_size, device=model.device, requires_grad=True)
    optimizer = torch.optim.AdamW([bias], lr=learning_rate)
    schedule = torch.optim.lr_scheduler.LinearLR(optimizer, 1.0, LAST_FACTOR, total_iters=steps)
    for step in range(steps):
        optimizer.zero_grad()
        for name, each in batches.items():
            total, count = _summed_loss(model, each[step % len(each)], bias)
            loss: Any = (weights or {}).get(name, 1.0) * total / count
            loss.backward()
        optimizer.step()
        schedule.step()
    return bias.detach()


def loss_with_bias(model: Any, batches: Batches, bias: torch.Tensor | None = None) -> float:
    """Return the mean loss of the learned tokens of ``batches``, in nats, with ``bias`` added to the logits."""
    import torch

    with torch.no_grad():
        found = [_summed_loss(model, batch, bias) for batch in batches]
    return float(sum(total for total, _ in found)) / sum(count for _, count in found)


def _summed_loss(model: Any, batch: Mapping[str, Any], bias: torch.Tensor | None) -> tuple[torch.Tensor, int]:
    """Return the summed loss of a batch and over how many tokens; gradients reach the bias alone."""
    import torch

    inputs = {name: tensor.to(model.device) for name, tensor in batch.items() if name != "labels"}
    targets = batch["labels"][:, 1:].flatten().to(model.device)
    with torch.no_grad():
        logits = model(**inputs).logits[:, :-1].flatten(0, 1).float()
    shifted = logits if bias is None else logits + bias
    total = torch.nn.functional.cross_entropy(shifted, targets, ignore_index=IGNORED, reduction="sum")
    return total, int((targets != IGNORED).sum())
