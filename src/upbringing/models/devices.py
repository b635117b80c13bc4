"""Where networks compute: the processor, or an accelerator and what it has to be told before it is first used."""

from __future__ import annotations

import copy
import gc
import os
from typing import Any

WORKSPACE = ("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # deterministic products on an accelerator need a fixed workspace


def is_accelerator(device: Any) -> bool:
    """Return whether ``device`` (of torch) is anything but the processor."""
    return str(device.type) != "cpu"


def put_on(model: Any, device: str) -> Any:
    """Return ``model`` on ``device``, which on an accelerator can compute deterministically from then on.

    The library looks at the environment once in a process, at its first product. So it is set before any, not only
    where determinism is asked for: a checkpoint that was read earlier in the same process would leave it too late.
    """
    if device != "cpu":
        os.environ.setdefault(*WORKSPACE)
    return model.to(device)


def give_back_memory() -> None:
    """Give back what torch keeps of an accelerator for this process.

    What is left of a stage must be found first: trainers lie in circles, which nobody breaks when that memory runs out.
    """
    import torch

    gc.collect()
    torch.cuda.empty_cache()


def converted(network: Any, dtype: Any) -> Any:
    """Return ``network`` in ``dtype``: a copy on a processor, itself on an accelerator, whose memory is the scarcer.

    Whoever opened it for measuring has no other use for it.
    """
    return (network if is_accelerator(network.device) else copy.deepcopy(network)).to(dtype)
