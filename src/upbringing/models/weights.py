"""What the weights of a checkpoint are, as one hash: names, types, shapes and bytes."""

from __future__ import annotations

import hashlib
import json
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


def weights_sha256(folder: Path) -> str:
    """Return the sha256 over all tensors in the order of their names; the split into files does not matter."""
    entries: list[tuple[str, str, tuple[int, ...], Path, int, int]] = []
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
        for name, entry in header.items():
            if name != "__metadata__":
                begin, end = entry["data_offsets"]
                entries.append((name, entry["dtype"], tuple(entry["shape"]), path, base + begin, base + end))
    digest = hashlib.sha256()
    for name, dtype, shape, path, begin, end in sorted(entries, key=lambda entry: entry[0]):
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
