"""The weights that a stage trains: which they are, how they are updated, and that all processes hold the same."""

from __future__ import annotations

import hashlib
from typing import Any

from upbringing.base.errors import TrainingError
from upbringing.training.processes import Processes
from upbringing.training.settings import TrainedStage


def trainable(model: Any) -> dict[str, Any]:
    """Return the parameters of ``model`` that are trained, by name."""
    return {name: parameter for name, parameter in model.named_parameters() if parameter.requires_grad}


def adamw(model: Any, stage: TrainedStage) -> Any:
    """Return AdamW with a rate of 1, which the schedule multiplies; decay for matrices only."""
    import torch

    matrices = [parameter for parameter in trainable(model).values() if parameter.dim() >= 2]
    vectors = [parameter for parameter in trainable(model).values() if parameter.dim() < 2]
    groups = [{"params": matrices, "weight_decay": stage.weight_decay}, {"params": vectors, "weight_decay": 0.0}]
    return torch.optim.AdamW(
        [group for group in groups if group["params"]],
        lr=1.0,
        betas=(stage.beta1, stage.beta2),
        eps=stage.epsilon,
        fused=True,
    )


def require_agreement(model: Any, processes: Processes, name: str) -> None:
    """Raise ``TrainingError`` unless all processes hold the same bits; every process calls it."""
    digest = hashlib.sha256()
    for tensor in trainable(model).values():
        digest.update(tensor.detach().cpu().contiguous().numpy().tobytes())
    if len(set(processes.gather(digest.hexdigest()))) > 1:
        raise TrainingError(f"stage {name!r}: its {processes.size} processes ended with different weights")
