"""The arrays of windows as files and as hashes; of isolated text and of modes only where there are some."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from upbringing.data.modes import DEFAULT
from upbringing.data.packing import OWN, Window

ARRAYS = ("tokens", "labels", "positions", "documents")
ISOLATED = "isolated"
MODES = "modes"  # shape (windows,)
OPTIONAL = {ISOLATED: OWN, MODES: DEFAULT}  # arrays that stand only where a number is another

WindowArrays = Mapping[str, NDArray[np.int32]]


def write_windows(windows: Sequence[Window], folder: Path, prefix: str = "") -> WindowArrays:
    """Write the arrays of ``windows`` and return them by name, each of shape ``(windows, context)`` but the modes."""
    if not windows:
        return {}
    found = {name: np.stack([getattr(window, name) for window in windows]) for name in (*ARRAYS, ISOLATED)}
    found[MODES] = np.array([window.mode for window in windows], dtype=np.int32)
    for name, usual in OPTIONAL.items():
        if (found[name] == usual).all():
            del found[name]
    for name, array in found.items():
        np.save(folder / f"{prefix}{name}.npy", array, allow_pickle=False)
    return found


def read_windows(folder: Path, prefix: str = "", *, mapped: Literal["r"] | None = None) -> WindowArrays:
    """Return what ``write_windows`` wrote; raises ``OSError`` or ``ValueError`` where it is not there or torn."""
    names = (*ARRAYS, *(name for name in OPTIONAL if (folder / f"{prefix}{name}.npy").exists()))
    return {name: np.load(folder / f"{prefix}{name}.npy", mmap_mode=mapped, allow_pickle=False) for name in names}


def hash_chain(arrays: WindowArrays, batch_size: int) -> tuple[str, ...]:
    """Return, per update, the sha256 of all that was read up to its end.

    An update without isolated text, or with windows of the default mode alone, moves it as it would in a stream that
    has no others.
    """
    chain, digest = [], hashlib.sha256()
    for begin in range(0, len(arrays["tokens"]), batch_size):
        for name, array in arrays.items():
            batch = np.ascontiguousarray(array[begin : begin + batch_size]).astype("<i4")
            if name not in OPTIONAL:
                digest.update(batch.tobytes())
            elif (batch != OPTIONAL[name]).any():
                digest.update(name.encode() + batch.tobytes())
        chain.append(digest.hexdigest())
    return tuple(chain)
