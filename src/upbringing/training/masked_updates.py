"""Selective gradient masking at work: windows are computed mode by mode, and hooks mask what each mode may not move."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import Any

from upbringing.base.errors import TrainingError
from upbringing.data.modes import DEFAULT, FORGET, RETAIN
from upbringing.data.window_arrays import MODES
from upbringing.formats.record import BuildProfile
from upbringing.training.forget_slice import READERS, SlicePlace, slice_places
from upbringing.training.gradient_masking import GradientMasking


class MaskedUpdates:
    """The masks of a model for as long as it trains. Outside ``parts`` they do nothing.

    Raises ``TrainingError`` for a slice that the model has no room for, for adapters, for compiled layers (every mode
    would be another graph) and for several processes (which would wait for each other's modes).
    """

    def __init__(self, model: Any, masking: GradientMasking, profile: BuildProfile) -> None:
        _require_plain(model, profile)
        parameters = dict(model.named_parameters())
        shapes = {name: tuple(parameter.shape) for name, parameter in parameters.items()}
        places = slice_places(masking.slice, shapes, model.config.to_dict(), "masking")
        self._mode = DEFAULT
        self._moves_shared = masking.forget_moves == "slice_and_shared"
        self._handles = [
            parameter.register_hook(partial(self._masked, places.get(name))) for name, parameter in parameters.items()
        ]
        for name, place in places.items():
            module = name.removesuffix(".weight")
            if module.endswith(READERS):
                reader = model.get_submodule(module)
                self._handles.append(reader.register_forward_pre_hook(partial(self._switched, place)))

    def parts(self, inputs: dict[str, Any]) -> Iterator[dict[str, Any]]:
        """Yield the windows of a micro-batch by their modes; the masks are those of the part that was yielded last.

        ``inputs``: tensors with one row per window, and their ``modes`` unless all are default.
        """
        modes = inputs.pop(MODES, None)
        found = [DEFAULT] if modes is None else modes.unique().tolist()
        try:
            for mode in found:
                self._mode = mode
                whole = len(found) == 1
                yield inputs if whole else {name: tensor[modes == mode] for name, tensor in inputs.items()}
        finally:
            self._mode = DEFAULT

    def remove(self) -> None:
        """Take the hooks off the model."""
        for handle in self._handles:
            handle.remove()

    def _masked(self, place: SlicePlace | None, gradient: Any) -> Any:
        """Return the gradient of a tensor as the mode lets it be, ``None`` where it stays as it is."""
        import torch

        if self._mode == FORGET and place is not None:
            masked = torch.zeros_like(gradient)
            place.of(masked).copy_(place.of(gradient))
            return masked
        if self._mode == FORGET and not self._moves_shared:
            return torch.zeros_like(gradient)
        if self._mode == RETAIN and place is not None:  # zero by the forward pass; said once more, whatever the kernels
            masked = gradient.clone()
            place.of(masked).zero_()
            return masked
        return None

    def _switched(self, place: SlicePlace, module: Any, arguments: tuple[Any, ...]) -> Any:
        """Return what a module reads with the slice's heads or hidden units at zero, in windows to retain."""
        if self._mode != RETAIN:
            return None
        states = arguments[0].clone()
        states[..., place.begin :] = 0
        return (states, *arguments[1:])


def _require_plain(model: Any, profile: BuildProfile) -> None:
    if getattr(model, "peft_config", None):
        raise TrainingError(
            "masking masks the gradients of a model's own weights, and adapters are trained: use weights: full"
        )
    if profile.compile:
        raise TrainingError("masking computes windows mode by mode, each another graph to compile: set compile: off")
    if profile.world_size > 1:
        raise TrainingError(
            f"masking is trained in one process, because the modes of windows would differ between processes; "
            f"{profile.world_size} were asked for"
        )
