"""Masked updates at work: windows are computed mode by mode, and hooks mask what each mode may not move."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import Any

from upbringing.base.errors import TrainingError
from upbringing.data.modes import DEFAULT
from upbringing.data.window_arrays import MODES
from upbringing.formats.record import BuildProfile
from upbringing.training.forget_slice import READERS, SlicePlace, slice_places
from upbringing.training.masking import Masking
from upbringing.training.mode_rules import ModeRule

Places = tuple[SlicePlace | None, ...]
"""The part of a tensor that each slice holds, ``None`` where it holds none."""


class MaskedUpdates:
    """The masks of a model for as long as it trains. Outside ``parts`` they do nothing.

    Raises ``TrainingError`` for a slice that the model has no room for, for adapters, for compiled layers (every mode
    would be another graph) and for several processes (which would wait for each other's modes).
    """

    def __init__(self, model: Any, masking: Masking, profile: BuildProfile) -> None:
        _require_plain(model, profile)
        parameters = dict(model.named_parameters())
        shapes = {name: tuple(parameter.shape) for name, parameter in parameters.items()}
        config = model.config.to_dict()
        slices = [slice_places(each, shapes, config, "masking") for each in masking.slices]
        self._rules = masking.rules
        self._rule: ModeRule | None = None
        self._handles = []
        for name, parameter in parameters.items():
            places = tuple(each.get(name) for each in slices)
            self._handles.append(parameter.register_hook(partial(self._masked, places)))
            module = name.removesuffix(".weight")
            if module.endswith(READERS) and any(places):
                reader = model.get_submodule(module)
                self._handles.append(reader.register_forward_pre_hook(partial(self._switched, places)))

    def parts(self, inputs: dict[str, Any]) -> Iterator[dict[str, Any]]:
        """Yield the windows of a micro-batch by their modes; the masks are those of the part that was yielded last.

        ``inputs``: tensors with one row per window, and their ``modes`` unless all are default.
        """
        modes = inputs.pop(MODES, None)
        found = [DEFAULT] if modes is None else modes.unique().tolist()
        try:
            for mode in found:
                self._rule = self._rules[mode]
                whole = len(found) == 1
                yield inputs if whole else {name: tensor[modes == mode] for name, tensor in inputs.items()}
        finally:
            self._rule = None

    def remove(self) -> None:
        """Take the hooks off the model."""
        for handle in self._handles:
            handle.remove()

    def _masked(self, places: Places, gradient: Any) -> Any:
        """Return the gradient of a tensor as the mode lets it be, ``None`` where it stays as it is."""
        import torch

        rule = self._rule
        if rule is None:
            return None
        if rule.only is not None:
            own = places[rule.only]
            if own is None and rule.moves_shared and not any(places):
                return None
            masked = torch.zeros_like(gradient)
            if own is not None:
                own.of(masked).copy_(own.of(gradient))
            return masked
        still = [place for number in sorted(rule.still) if (place := places[number]) is not None]
        if not still:
            return None
        masked = gradient.clone()  # zero by the forward pass where a slice is off; said once more, whatever the kernels
        for place in still:
            place.of(masked).zero_()
        return masked

    def _switched(self, places: Places, module: Any, arguments: tuple[Any, ...]) -> Any:
        """Return what a module reads with heads or hidden units at zero, of the slices that the mode switches off."""
        off = () if self._rule is None else sorted(self._rule.off)
        found = [place for number in off if (place := places[number]) is not None]
        if not found:
            return None
        states = arguments[0].clone()
        for place in found:
            states[..., place.begin : place.end] = 0
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
