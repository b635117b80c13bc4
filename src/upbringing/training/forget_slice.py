"""The forget slice, or a module: attention heads and hidden units of a network that can be taken out of it whole."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any, Self

from pydantic import Field, model_validator

from upbringing.base.description import Description
from upbringing.base.errors import TrainingError

_TENSOR = re.compile(
    r"^(?P<stack>(?:.+\.)?layers)\.(?P<layer>\d+)\."
    r"(?P<module>self_attn\.[qkvo]_proj|mlp\.(?:gate|up|down)_proj)\.(?P<kind>weight|bias)$"
)
ATTENTION = ("self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj", "self_attn.o_proj")
FEED_FORWARD = ("mlp.up_proj", "mlp.down_proj")
GATE = "mlp.gate_proj"  # of gated networks
READERS = ("self_attn.o_proj", "mlp.down_proj")  # what reads the heads and the hidden units: their columns are these


class ForgetSlice(Description):
    """The last ``heads`` attention heads and the last ``hidden`` units of the feed-forward part of each layer.

    ``offset``: how many hidden units lie behind the slice's and belong to others; a slice with one has no heads.
    ``layers``: those that have a slice, counted from 0; ``None`` = all. Where several heads share keys and values,
    ``heads`` is a multiple of how many.
    """

    heads: int = Field(default=0, ge=0)
    hidden: int = Field(default=0, ge=0)
    offset: int = Field(default=0, ge=0, exclude_if=lambda value: not value)  # older ids stay
    layers: tuple[int, ...] | None = None

    @model_validator(mode="after")
    def _is_something(self) -> Self:
        if not self.heads and not self.hidden:
            raise ValueError("a slice without heads and without hidden units is nothing: give it heads, hidden or both")
        if self.layers is not None and (not self.layers or min(self.layers) < 0):
            raise ValueError(f"layers are numbers from 0 on, got {list(self.layers)}: name some, or leave layers out")
        if self.offset and self.heads:
            raise ValueError(f"an offset of {self.offset} hidden units goes with hidden units alone: leave heads out")
        return self

    def overlaps(self, other: ForgetSlice) -> bool:
        """Return whether both hold a head or a hidden unit of a layer that both have."""
        if self.layers is not None and other.layers is not None and not set(self.layers) & set(other.layers):
            return False
        apart = self.offset >= other.offset + other.hidden or other.offset >= self.offset + self.hidden
        return bool(self.heads and other.heads) or bool(self.hidden and other.hidden and not apart)

    def require_room(self, owner: str, *, layers: Collection[int], heads: int, hidden: int) -> None:
        """Raise ``TrainingError`` where a network of ``layers`` with so many heads and hidden units has no such slice.

        ``owner`` begins the error. Both parts must leave something to the rest of the network.
        """
        for layer in self.layers or ():
            if layer not in layers:
                raise TrainingError(
                    f"{owner}: the slice names layer {layer}, and the network has the layers {min(layers)} to "
                    f"{max(layers)}: name those"
                )
        behind = f" in front of {self.offset}" if self.offset else ""
        for what, asked, has in (("heads", self.heads, heads), (f"hidden units{behind}", self.hidden, hidden)):
            if asked and asked + self.offset >= has:
                raise TrainingError(
                    f"{owner}: the slice takes {asked} {what} of a layer, which has {has}: take fewer, so that "
                    "something is left when it is gone"
                )


@dataclass(frozen=True)
class SlicePlace:
    """The part of a tensor that is the slice's: ``begin`` to ``end`` along ``axis``. It may be empty: a bias that is
    added behind the heads or hidden units belongs to the rest.
    """

    axis: int
    begin: int
    end: int

    def of(self, tensor: Any) -> Any:
        """Return the slice's part of ``tensor``, a view."""
        return tensor.narrow(self.axis, self.begin, self.end - self.begin)


def slice_places(
    wanted: ForgetSlice, shapes: Mapping[str, tuple[int, ...]], config: Mapping[str, Any], owner: str
) -> dict[str, SlicePlace]:
    """Return which part of which tensor is the slice's, by the tensor's name.

    ``shapes``: of all weights of a network, as ``(outputs, inputs)``; ``config``: its configuration, with its numbers
    of heads; ``owner`` begins errors. Tensors that are not named belong to neither side. Raises ``TrainingError`` for a
    slice that the network has no room for, and for networks that are not built of the modules that are known here.
    """
    layers = _layers(shapes, config, owner)
    chosen = sorted(layers) if wanted.layers is None else wanted.layers
    wanted.require_room(
        owner, layers=layers, heads=_number(config, "num_attention_heads", owner), hidden=_hidden(layers)
    )
    places: dict[str, SlicePlace] = {}
    for layer in chosen:
        sizes = _sizes(wanted, layer, layers[layer], config, owner)
        for (module, kind), (name, shape) in layers[layer].items():
            if module not in sizes:
                continue
            axis = 1 if module in READERS and kind == "weight" else 0
            taken = 0 if module in READERS and kind == "bias" else sizes[module]
            end = shape[axis] - (wanted.offset if taken else 0)
            places[name] = SlicePlace(axis, end - taken, end)
    return places


_Layer = dict[tuple[str, str], tuple[str, tuple[int, ...]]]  # (module, weight or bias): its name and shape


def _layers(shapes: Mapping[str, tuple[int, ...]], config: Mapping[str, Any], owner: str) -> dict[int, _Layer]:
    """Return what is known of each layer; raises ``TrainingError`` where there is not exactly one stack of them."""
    layers: dict[int, _Layer] = {}
    stacks = set()
    for name, shape in shapes.items():
        if match := _TENSOR.match(name):
            stacks.add(match["stack"])
            layers.setdefault(int(match["layer"]), {})[match["module"], match["kind"]] = (name, tuple(shape))
    if len(stacks) != 1:
        found = "none of them" if not stacks else f"{len(stacks)} stacks of them ({', '.join(sorted(stacks))})"
        raise TrainingError(
            f"{owner}: a slice is cut out of layers named layers.N.{{{', '.join((*ATTENTION, *FEED_FORWARD))}}}, and "
            f"this {config.get('model_type', 'network')} has {found} ({', '.join(sorted(shapes)[:3])}, ...): use a "
            "network of the form of Llama, or train it without masking"
        )
    return layers


def _hidden(layers: Mapping[int, _Layer]) -> int:
    """Return the fewest hidden units that a layer has; 0 where one has no plain feed-forward part."""
    return min(layer.get(("mlp.up_proj", "weight"), ("", (0, 0)))[1][0] for layer in layers.values())


def _sizes(wanted: ForgetSlice, layer: int, found: _Layer, config: Mapping[str, Any], owner: str) -> dict[str, int]:
    """Return how many rows (of what reads them: columns) of each module of a layer are the slice's."""
    needed = (*(ATTENTION if wanted.heads else ()), *(FEED_FORWARD if wanted.hidden else ()))
    missing = [module for module in needed if (module, "weight") not in found]
    if missing:
        raise TrainingError(
            f"{owner}: layer {layer} of this {config.get('model_type', 'network')} has no {' and no '.join(missing)}, "
            "of which the slice would be a part: leave the layer out (layers), or take heads or hidden units alone, "
            "whichever it has in the form of Llama"
        )
    sizes = dict.fromkeys((*FEED_FORWARD, GATE), wanted.hidden) if wanted.hidden else {}
    if wanted.heads:
        sizes |= _head_sizes(wanted, layer, found, config, owner)
    return sizes


def _head_sizes(
    wanted: ForgetSlice, layer: int, found: _Layer, config: Mapping[str, Any], owner: str
) -> dict[str, int]:
    heads = _number(config, "num_attention_heads", owner)
    shared_by, rest = divmod(heads, int(config.get("num_key_value_heads") or heads))
    if rest or wanted.heads % shared_by:
        raise TrainingError(
            f"{owner}: {shared_by} attention heads share their keys and values, and the slice takes {wanted.heads}: "
            f"take a multiple of {shared_by}, so that what it shares is its own"
        )
    query, key, value, output = (found[module, "weight"][1] for module in ATTENTION)
    width, rest = divmod(query[0], heads)
    if rest or output[1] != query[0] or {key[0], value[0]} != {query[0] // shared_by}:
        raise TrainingError(
            f"{owner}: the attention of layer {layer} has the shapes {query}, {key}, {value} and {output}, which are "
            f"not {heads} heads of one width: take hidden units only (heads: 0)"
        )
    own, of_keys = wanted.heads * width, wanted.heads // shared_by * width
    return dict(zip(ATTENTION, (own, of_keys, of_keys, own), strict=True))


def _number(config: Mapping[str, Any], name: str, owner: str) -> int:
    value = config.get(name)
    if not isinstance(value, int) or value < 1:
        raise TrainingError(f"{owner}: the network's configuration says {name} {value!r}, so its heads are unknown")
    return value
