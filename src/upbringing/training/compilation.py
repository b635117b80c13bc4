"""Compiled training: the layers of a model, one graph for all of them.

A model's layers are equal, so the compiler reads one of them and its kernels serve all: seconds where the whole model
takes minutes. What stands outside the layers stays as it is, the last projection and the loss above all, whose shape
may differ from update to update.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from upbringing.base.errors import TrainingError


def equal_layers(model: Any) -> Sequence[Any]:
    """Return the layers of ``model``: the longest list of modules of one class that stands in no other such list (as
    the experts of a layer do); raises ``TrainingError`` if there is none.
    """
    from torch.nn import ModuleList

    lists: dict[str, tuple[Any, ...]] = {}
    for name, module in model.named_modules():
        is_list = isinstance(module, ModuleList) and len({type(one) for one in module}) == 1
        if is_list and not any(name.startswith(f"{outer}.") for outer in lists):
            lists[name] = tuple(module)
    if not lists:
        raise TrainingError(
            f"compile: on compiles the equal layers of a model, and {type(model).__name__} has no list of them: set "
            "compile: off"
        )
    return max(lists.values(), key=len)


@contextmanager
def compiled_layers(model: Any) -> Iterator[None]:
    """Compute the layers of ``model`` by compiled code inside; afterwards they are as they were.

    Every shape is a graph of its own (guessed dynamic shapes would give other kernels than a straight run), and more
    shapes than the compiler keeps raise ``TrainingError`` instead of going on uncompiled, with other bits.
    """
    from torch._dynamo import config
    from torch._dynamo.exc import FailOnRecompileLimitHit

    layers = equal_layers(model)
    try:
        for layer in layers:
            layer.compile(dynamic=False)
        with config.patch(fail_on_recompile_limit_hit=True):
            yield
    except FailOnRecompileLimitHit as error:
        raise TrainingError(
            f"the batches of this stage have more than {config.recompile_limit} shapes, and each is compiled anew: set "
            "compile: off"
        ) from error
    finally:
        for layer in layers:
            layer._compiled_call_impl = None
