"""What the weights of a checkpoint are, as one hash: names, types, shapes and bytes."""

from __future__ import annotations

import hashlib
import json
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from upbringing.base.errors import IntegrityError, UntrustedError
from upbringing.base.fingerprint import fingerprint

CHUNK_BYTES = 1 << 22
MAX_HEADER_BYTES = 100 << 20  # safetensors' own cap
WEIGHTS, INDEX = "model.safetensors", "model.safetensors.index.json"
# What decides, beside weights, tokenizer and chat template, how a checkpoint computes and how its answers end.
SETTINGS_FILES = (
    "config.json",
    "generation_config.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "added_tokens.json",
)
NO_SETTINGS = (
    "_name_or_path",
    "name_or_path",
    "transformers_version",
    "chat_template",
)  # the template has its own hash


def weight_files(folder: Path) -> list[Path]:
    """Return the safetensors files of a checkpoint, sorted; pickled weights are refused by name.

    Raises ``UntrustedError`` for an index that names anything but safetensors files of this folder, because the library
    would load it: a pickle, or the weights of another folder.
    """
    found = sorted(folder.glob("*.safetensors"))
    if found:
        _require_own_files(folder / INDEX)
        return found
    foreign = [path.name for pattern in ("*.bin", "*.pt", "*.pth", "*.ckpt") for path in sorted(folder.glob(pattern))]
    if foreign:
        raise UntrustedError(
            f"{folder.name} holds pickled weights ({foreign[0]}), which can run code: convert to safetensors"
        )
    raise IntegrityError(f"{folder.name} holds no safetensors weights")


def _require_own_files(index: Path) -> None:
    if not index.exists():
        return
    try:
        named = set(json.loads(index.read_bytes())["weight_map"].values())
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise IntegrityError(
            f"{index.name} of {index.parent.name} maps no tensors to files: torn or hostile"
        ) from error
    for name in sorted(map(str, named)):
        if Path(name).name != name or not name.endswith(".safetensors"):
            raise UntrustedError(
                f"{index.name} of {index.parent.name} names {name!r}, no safetensors file of this folder: refused"
            )
        if not (index.parent / name).is_file():
            raise IntegrityError(f"{index.parent.name}: {name}, which {index.name} names, is missing")


Tensor = tuple[str, str, tuple[int, ...], Path, int, int]  # name, type, shape, file, first byte, one past the last


def _tensors(folder: Path) -> list[Tensor]:
    """Return what the headers of a checkpoint's files say about its tensors, sorted by name."""
    entries: list[Tensor] = []
    for path in weight_files(folder):
        with path.open("rb") as handle:
            length = int.from_bytes(handle.read(8), "little")
            if length > MAX_HEADER_BYTES:
                raise IntegrityError(
                    f"{path.name} of {folder.name} has a header of {length} bytes: it is torn or hostile"
                )
            try:
                header = json.loads(handle.read(length))
            except ValueError as error:
                raise IntegrityError(
                    f"{path.name} of {folder.name} has a header that is not JSON: it is torn"
                ) from error
        base = 8 + length
        try:
            for name, entry in header.items():
                if name != "__metadata__":
                    begin, end = entry["data_offsets"]
                    entries.append((name, entry["dtype"], tuple(entry["shape"]), path, base + begin, base + end))
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            raise IntegrityError(
                f"{path.name} of {folder.name} has a header that describes no tensors: torn or hostile"
            ) from error
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


def read_tensor(place: TensorPlace, name: str) -> Any:
    """Return the tensor ``name`` that lies at ``place``."""
    from safetensors import safe_open

    with safe_open(str(place.path), framework="pt") as handle:
        return handle.get_tensor(name)


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
                    raise IntegrityError(f"{path.name} of {folder.name} ends inside the tensor {name}: it is truncated")
                digest.update(chunk)
                left -= len(chunk)
    return digest.hexdigest()


def settings_sha256(folder: Path) -> str:
    """Return the hash of a checkpoint's configuration files as values, without what only says who wrote them.

    Equal weights under another rotary base, other tokens that end an answer or another beginning of texts are another
    checkpoint. Raises ``IntegrityError`` for a file that is no JSON object.
    """
    found: dict[str, object] = {}
    for name in SETTINGS_FILES:
        path = folder / name
        if not path.exists():
            continue
        try:
            content = json.loads(path.read_bytes(), parse_constant=str)
            found[name] = {key: value for key, value in content.items() if key not in NO_SETTINGS}
        except (ValueError, AttributeError) as error:
            raise IntegrityError(f"{path} is no JSON object: it is torn") from error
    return fingerprint(found)
