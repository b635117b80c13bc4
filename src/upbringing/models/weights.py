"""What the weights of a checkpoint are, as one hash: names, types, shapes and bytes."""

from __future__ import annotations

import hashlib
import json
import math
from dataclasses import dataclass
from pathlib import Path

from upbringing.base.errors import IntegrityError, UntrustedError

CHUNK_BYTES = 1 << 22
MAX_HEADER_BYTES = 100 << 20  # safetensors' own cap


def weight_files(folder: Path) -> list[Path]:
    """Return the safetensors files of a checkpoint, sorted; pickled weights are refused by name."""
    found = sorted(folder.glob("*.safetensors"))
    if found:
        return found
    foreign = [path.name for pattern in ("*.bin", "*.pt", "*.pth", "*.ckpt") for path in sorted(folder.glob(pattern))]
    if foreign:
        raise UntrustedError(
            f"{folder.name} holds pickled weights ({foreign[0]}), which can run code: convert to safetensors"
        )
    raise IntegrityError(f"{folder.name} holds no safetensors weights")


Tensor = tuple[str, str, tuple[int, ...], Path, int, int]  # name, type, shape, file, first byte, one past the last


def _tensors(folder: Path) -> list[Tensor]:
    """Return what the headers of a checkpoint's files say about its tensors, sorted by name."""
    entries: list[Tensor] = []
    for path in weight_files(folder):
        with path.open("rb") as handle:
            length = int.from_bytes(handle.read(8), "little")
            if length > MAX_HEADER_BYTES:
                raise IntegrityError(f"{path.name} has a header of {length} bytes: it is torn or hostile")
            try:
                header = json.loads(handle.read(length))
            except ValueError as error:
                raise IntegrityError(f"{path.name} has a header that is not JSON: it is torn") from error
        base = 8 + length
        try:
            for name, entry in header.items():
                if name != "__metadata__":
                    begin, end = entry["data_offsets"]
                    entries.append((name, entry["dtype"], tuple(entry["shape"]), path, base + begin, base + end))
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            raise IntegrityError(f"{path.name} has a header that describes no tensors: torn or hostile") from error
    return sorted(entries, key=lambda entry: entry[0])


@dataclass(frozen=True)
class TensorPlace:
    """Where a tensor of a checkpoint lies, with its type (``kind``, as safetensors names it) and shape."""

    kind: str
    shape: tuple[int, ...]
    path: Path


def tensor_places(folder: Path) -> dict[str, TensorPlace]:
    """Return the tensors of a checkpoint by name, read off its files' headers."""
    return {name: TensorPlace(kind, shape, path) for name, kind, shape, path, _, _ in _tensors(folder)}


def num_weights(folder: Path) -> int:
    """Return the number of weights of a checkpoint, read off its files' headers."""
    return sum(math.prod(shape) for _, _, shape, _, _, _ in _tensors(folder))


def weights_sha256(folder: Path) -> str:
    """Return the sha256 over all tensors in the order of their names; the split into files does not matter."""
    digest = hashlib.sha256()
    for name, dtype, shape, path, begin, end in _tensors(folder):
        digest.update(json.dumps([name, dtype, shape]).encode())
        with path.open("rb") as handle:
            handle.seek(begin)
            left = end - begin
            while left:
                chunk = handle.read(min(left, CHUNK_BYTES))
                if not chunk:
                    raise IntegrityError(f"{path.name} ends inside the tensor {name}: it is truncated")
                digest.update(chunk)
                left -= len(chunk)
    return digest.hexdigest()
