"""Training on the pretended device: what the trainers ask of a machine is answered as if it had an accelerator."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any
from unittest.mock import patch

import torch
from pretend_device import DEVICE, PretendTensor, Waits, models_move, no_pretence, pretend_device


class Generator:
    """The device's random state, as ``torch.cuda`` shows it; nothing is drawn from it."""

    def __init__(self) -> None:
        self.state = torch.arange(16, dtype=torch.uint8)

    def get(self, *_: Any) -> torch.Tensor:
        return self.state.clone()

    def set(self, state: torch.Tensor, *_: Any) -> None:
        assert not isinstance(state, PretendTensor)
        self.state = state.clone()


def _there(plain: property) -> property:
    def device(self: Any) -> torch.device:
        assert plain.fget is not None
        plain.fget(self)  # which sets up what else is asked for
        return DEVICE

    return property(device)


@contextmanager
def training_there() -> Iterator[tuple[Waits, Generator]]:
    """Let profiles whose device is ``cuda`` train on the pretended one inside."""
    from accelerate import Accelerator
    from transformers import PreTrainedModel, TrainingArguments
    from trl.kernels import chunked_logprob
    from trl.trainer.base_trainer import _BaseTrainer as BaseTrainer

    generator, save, load = Generator(), PreTrainedModel.save_pretrained, PreTrainedModel.from_pretrained.__func__

    def saved(self: Any, *args: Any, **kwargs: Any) -> None:  # the library tells tensors apart by their addresses
        with no_pretence():
            save(copy.deepcopy(self).to("cpu"), *args, **kwargs)

    def loaded(cls: Any, *args: Any, **kwargs: Any) -> Any:
        with no_pretence():
            return load(cls, *args, **kwargs)

    with ExitStack() as stack:
        for owner, name in ((TrainingArguments, "device"), (Accelerator, "device")):
            stack.enter_context(patch.object(owner, name, _there(getattr(owner, name))))
        stack.enter_context(
            patch.object(chunked_logprob, "_use_triton", lambda device: False)
        )  # compiled for a real one
        stack.enter_context(patch.object(BaseTrainer, "_send_telemetry", lambda self: None))  # names the machine
        stack.enter_context(patch.object(PreTrainedModel, "save_pretrained", saved))
        stack.enter_context(patch.object(PreTrainedModel, "from_pretrained", classmethod(loaded)))
        stack.enter_context(patch.object(torch.cuda, "get_rng_state", generator.get))
        stack.enter_context(patch.object(torch.cuda, "set_rng_state", generator.set))
        stack.enter_context(models_move())
        yield stack.enter_context(pretend_device()), generator
