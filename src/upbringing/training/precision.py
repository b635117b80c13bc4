"""Frozen weights in the precision they are multiplied in.

Under bf16 autocast a product casts its fp32 weights each time it is computed, and torch remembers the cast of weights
that are trained only. Below an adapter nothing but the adapter is, so every update casts the whole model anew.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from upbringing.formats.record import BuildProfile


@contextmanager
def frozen_matrices_cast(model: Any, profile: BuildProfile) -> Iterator[None]:
    """Hold the frozen matrices of linear layers as autocast would cast them; afterwards they are as they were.

    The products, and so all bits of the training, are the same. Weights that something else uses too (embeddings tied
    to the last layer) are left alone, because it may not read them in bf16.
    """
    import torch

    layers = list(_frozen_layers(model)) if profile.precision == "bf16" else []
    device = layers[0].weight.device if layers else None
    kept = [layer.weight.data.cpu() for layer in layers]  # an accelerator need not hold both; on the CPU no copy
    try:
        for layer in layers:
            layer.weight.data = layer.weight.data.to(torch.bfloat16)
        yield
    finally:
        for layer, weight in zip(layers, kept, strict=True):
            layer.weight.data = weight.to(device)


def _frozen_layers(model: Any) -> Iterator[Any]:
    import torch

    uses = Counter(id(weight) for module in model.modules() for weight in module.parameters(recurse=False))
    for module in model.modules():
        if type(module) is torch.nn.Linear and module.bias is None:
            weight = module.weight
            if not weight.requires_grad and weight.dtype == torch.float32 and uses[id(weight)] == 1:
                yield module
