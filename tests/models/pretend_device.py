"""An accelerator that is none: tensors that say they are on ``cuda:0``, whose numbers are computed on the CPU.

Inside ``pretend_device`` an operation between such a tensor and one of the CPU raises, as it does on an accelerator,
``numpy`` refuses, and what has no deterministic kernel there raises where determinism is asked for. Every operation
that would make the processor wait for the accelerator is counted.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any
from unittest.mock import patch

import torch
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode, return_and_correct_aliasing
from torch.utils._pytree import tree_flatten, tree_map

from upbringing.base import devices

DEVICE = torch.device("cuda:0")
_HIDDEN = torch.device("meta")  # what C++ takes it for: autograd runs it in the calling thread, no driver is looked for
_MAY_MIX = ("aten.copy_", "aten._to_copy", "aten._copy_from")
_INDEXING = ("aten.index", "aten.index_put", "aten.index_put_", "aten._index_put_impl_", "aten._unsafe_index")
_WAITS = ("aten._local_scalar_dense", "aten.nonzero", "aten.equal", "aten._unique2", "aten.masked_select", "aten.item")
# Those of torch.use_deterministic_algorithms that raise on CUDA tensors, as far as networks or this project know them.
_NOT_DETERMINISTIC = (
    "aten.scatter_add",
    "aten.scatter_add_",
    "aten.put_",
    "aten.kthvalue",
    "aten.histc",
    "aten.nll_loss2d_forward",
    "aten.nll_loss2d_backward",
    "aten.scatter_reduce",
    "aten.scatter_reduce_",
)
_NOT_DETERMINISTIC_FLOATS = ("aten.cumsum", "aten.cumsum_")
_HAVE_INDICES = ("aten.median.dim", "aten.nanmedian.dim")


_paused: list[bool] = []


class WrongDeviceError(RuntimeError):
    """Tensors of two devices met, or one was read where it does not lie."""


class PretendTensor(torch.Tensor):
    """A tensor whose ``device`` is the pretended one. ``inner``: its numbers, on the CPU."""

    inner: torch.Tensor

    @staticmethod
    def __new__(cls, inner: torch.Tensor) -> PretendTensor:
        made = torch.Tensor._make_wrapper_subclass(
            cls,
            inner.size(),
            strides=inner.stride(),
            storage_offset=inner.storage_offset(),
            dtype=inner.dtype,
            layout=inner.layout,
            device=_HIDDEN,
        )
        made.inner = inner.detach()
        return made

    @property
    def device(self) -> torch.device:
        """Where it says it is."""
        return DEVICE

    is_cuda, is_cpu, is_meta = True, False, False

    def __reduce_ex__(self, protocol: Any) -> Any:
        """Be written to files as what they are read as on the CPU."""
        return self.inner.__reduce_ex__(protocol)

    def __repr__(self, *_: Any, **__: Any) -> str:
        return f"PretendTensor({self.inner!r})"

    @classmethod
    def __torch_dispatch__(cls, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        return _computed(func, args, kwargs or {}, None)


@dataclass
class Waits:
    """How often the processor waited for the device, by operation."""

    by_operation: dict[str, int] = field(default_factory=dict)

    @property
    def total(self) -> int:
        """All of them."""
        return sum(self.by_operation.values())

    def note(self, operation: str) -> None:
        """Count one."""
        self.by_operation[operation] = self.by_operation.get(operation, 0) + 1


@contextmanager
def pretend_device() -> Iterator[Waits]:
    """Let ``cuda`` be the pretended device inside; yields what counts how often the processor waits for it."""
    waits, run = Waits(), torch.autograd._engine_run_backward
    functions = _Functions(waits)

    def run_backward(*args: Any, **kwargs: Any) -> Any:
        with functions:  # which is off inside of ``backward``, and gradients written in Python make tensors too
            return run(*args, **kwargs)

    with patch.object(torch.autograd, "_engine_run_backward", run_backward), _Dispatch(waits), functions:
        yield waits


@contextmanager
def no_pretence() -> Iterator[None]:
    """Let nothing be pretended inside: for libraries that use the device ``meta`` themselves."""
    _paused.append(True)
    try:
        yield
    finally:
        _paused.pop()


@contextmanager
def models_move() -> Iterator[None]:
    """Let ``Module.to`` put a module's tensors onto the pretended device inside, and take them back; it is here."""
    plain = torch.nn.Module.to

    def moved(self: Any, *args: Any, **kwargs: Any) -> Any:
        asked = [*args, *kwargs.values()]
        if any(_is_pretended(each) for each in asked):
            return put(self)
        return plain(_taken_back(self) if "cpu" in map(str, asked) else self, *args, **kwargs)

    here = patch.object(devices, "usable_accelerators", lambda: ("0",))
    with here, patch.object(torch.nn.Module, "to", moved):
        yield


def on_pretend_device(module: Any) -> Any:
    """Return a copy of ``module`` on the pretended device; parameters that were one stay one."""
    return put(copy.deepcopy(module))


def put(module: Any) -> Any:
    """Put the tensors of ``module`` onto the pretended device, and return it."""
    return _replaced(module, lambda each: each if isinstance(each, PretendTensor) else PretendTensor(each))


def _taken_back(module: Any) -> Any:
    return _replaced(module, inner)


def _replaced(module: Any, made: Callable[[Any], Any]) -> Any:
    known: dict[int, Any] = {}
    for part in module.modules():
        for name, parameter in part._parameters.items():
            if parameter is not None and type(new := made(parameter.data)) is not type(parameter.data):
                new = torch.nn.Parameter(new, requires_grad=parameter.requires_grad)
                part._parameters[name] = known.setdefault(id(parameter), new)
        for name, buffer in part._buffers.items():
            if buffer is not None:
                part._buffers[name] = made(buffer)
    return module


def inner(value: Any) -> Any:
    """Return ``value`` with the numbers of pretended tensors."""
    return tree_map(lambda each: each.inner if isinstance(each, PretendTensor) else each, value)


def _is_pretended(value: Any) -> bool:
    if isinstance(value, str) and value.startswith("cuda"):
        return True
    return isinstance(value, torch.device) and value.type == "cuda"


class _Functions(TorchFunctionMode):
    """Names of the device become what C++ can make; ``tolist`` and ``numpy`` are as on an accelerator."""

    def __init__(self, waits: Waits) -> None:
        super().__init__()
        self.waits = waits

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if _paused or func is torch.device:
            return func(*args, **(kwargs or {}))
        if func is torch.Tensor.tolist and isinstance(args[0], PretendTensor):
            self.waits.note("tolist")
            return args[0].inner.tolist()
        if func is torch.Tensor.numpy and isinstance(args[0], PretendTensor):
            raise WrongDeviceError("numpy of a tensor on the device: copy it to the CPU first")
        if func in (torch.tensor, torch.as_tensor) and _is_pretended((kwargs or {}).get("device")):
            self.waits.note("to the device")
            return PretendTensor(
                inner(func(*args, **{**(kwargs or {}), "device": "cpu"}))
            )  # C++ would lose the numbers
        if func in (torch.Tensor.__getitem__, torch.Tensor.__setitem__) and isinstance(args[0], PretendTensor):
            args = (args[0], _without_lists(args[1]), *args[2:])
        if func == torch.Tensor.data.__set__ and isinstance(args[0], PretendTensor):
            assert isinstance(args[1], PretendTensor), "data of the CPU were put into a tensor on the device"
            args[0].inner = args[1].inner
        hidden = [_hidden(each) for each in args]
        named = {name: _hidden(each) for name, each in (kwargs or {}).items()}
        return func(*hidden, **named)


def _hidden(value: Any) -> Any:
    return _HIDDEN if _is_pretended(value) else value


def _without_lists(index: Any) -> Any:
    """Return an index whose lists are tensors of the CPU; C++ would make tensors without numbers of them."""
    if isinstance(index, tuple):
        return tuple(_without_lists(each) for each in index)
    return torch.tensor(index) if isinstance(index, list) else index


class _Dispatch(TorchDispatchMode):
    """Computes what is made on the device, or from tensors on it."""

    def __init__(self, waits: Waits) -> None:
        super().__init__()
        self.waits = waits

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        return func(*args, **(kwargs or {})) if _paused else _computed(func, args, kwargs or {}, self.waits)


def _computed(func: Any, args: Any, kwargs: Any, waits: Waits | None) -> Any:
    name, given = str(func.overloadpacket), tree_flatten((args, kwargs))[0]
    tensors = [each for each in given if isinstance(each, torch.Tensor)]
    has_pretended = any(isinstance(each, PretendTensor) for each in tensors)
    target = next((each for each in given if isinstance(each, torch.device)), None)
    assert not any(each.is_meta for each in tensors), f"{name} is given a tensor whose numbers the pretence lost"
    if not has_pretended and target != _HIDDEN:
        return func(*args, **kwargs)
    if has_pretended:
        _require_one_device(name, args, tensors)
        _require_determinism(name, str(func), tensors)
    leaves_device = target is not None and target != _HIDDEN
    if waits is not None and (leaves_device or name in _WAITS or _copies_away(name, args) or _masks(name, args)):
        waits.note(name)
    if waits is not None and target == _HIDDEN and tensors and not has_pretended:
        waits.note("to the device")
    plain = tree_map(lambda each: torch.device("cpu") if isinstance(each, torch.device) else each, (args, kwargs))
    found = func(*inner(plain[0]), **inner(plain[1]))
    if leaves_device:
        return found
    if name == "aten.copy_" and not isinstance(args[0], PretendTensor):
        return args[0]
    wrapped = tree_map(
        lambda each: PretendTensor(each) if isinstance(each, torch.Tensor) and each.dim() >= 0 else each, found
    )
    return return_and_correct_aliasing(func, args, kwargs, wrapped) if has_pretended else wrapped


def _copies_away(name: str, args: Any) -> bool:
    return name == "aten.copy_" and not isinstance(args[0], PretendTensor)


def _masks(name: str, args: Any) -> bool:
    masks = [each for each in (args[1] if name in _INDEXING else ()) if each is not None]
    return any(each.dtype in (torch.bool, torch.uint8) for each in masks)


def _require_one_device(name: str, args: Any, tensors: list[Any]) -> None:
    if name in _MAY_MIX:
        return
    if name in _INDEXING and isinstance(args[0], PretendTensor):  # indices may lie on the CPU, values may not
        tensors = [args[0], *(each for each in args[2:] if isinstance(each, torch.Tensor))]
    elsewhere = [each for each in tensors if not isinstance(each, PretendTensor) and each.dim()]
    if elsewhere:
        raise WrongDeviceError(f"{name}: a tensor of shape {list(elsewhere[0].shape)} on the CPU met one on {DEVICE}")


def _require_determinism(name: str, overload: str, tensors: list[Any]) -> None:
    if not torch.are_deterministic_algorithms_enabled():
        return
    sums_floats = name in _NOT_DETERMINISTIC_FLOATS and tensors[0].is_floating_point()
    if sums_floats or name in _NOT_DETERMINISTIC or overload in _HAVE_INDICES:
        raise RuntimeError(f"{name} does not have a deterministic implementation on {DEVICE}")
