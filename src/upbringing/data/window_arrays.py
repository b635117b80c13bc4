"""The arrays of windows as files and as hashes; that of isolated text only where there is some."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from upbringing.data.packing import OWN, Window

ARRAYS = ("tokens", "labels", "positions", "documents")
ISOLATED = "isolated"

WindowArrays = Mapping[str, NDArray[np.int32]]


def write_windows(windows: Sequence[Window], folder: Path, prefix: str = "") -> WindowArrays:
    """Write the arrays of ``windows``, each of shape ``(windows, context)``, and return them by name."""
    if not windows:
        return {}
    found = {name: np.stack([getattr(window, name) for window in windows]) for name in (*ARRAYS, ISOLATED)}
    if (found[ISOLATED] == OWN).all():
        del found[ISOLATED]
    for name, array in found.items():
        np.save(folder / f"{prefix}{name}.npy", array, allow_pickle=False)
    return found


def read_windows(folder: Path, prefix: str = "", *, mapped: Literal["r"] | None = None) -> WindowArrays:
    """Return what ``write_windows`` wrote; raises ``OSError`` or ``ValueError`` where it is not there or torn."""
    names = (*ARRAYS, ISOLATED) if (folder / f"{prefix}{ISOLATED}.npy").exists() else ARRAYS
    return {name: np.load(folder / f"{prefix}{name}.npy", mmap_mode=mapped, allow_pickle=False) for name in names}


def hash_chain(arrays: WindowArrays, batch_size: int) -> tuple[str, ...]:
    """Return, per update, the sha256 of all that was read up to its end.

    An update without isolated text moves it as it would in a stream that never has any.
    """
    chain, digest = [], hashlib.sha256()
    for begin in range(0, len(arrays["tokens"]), batch_size):
        for name, array in arrays.items():
            batch = np.ascontiguousarray(array[begin : begin + batch_size]).astype("<i4")
            if name != ISOLATED:
                digest.update(batch.tobytes())
            elif (batch != OWN).any():
                digest.update(ISOLATED.encode() + batch.tobytes())
        chain.append(digest.hexdigest())
    return tuple(chain)
