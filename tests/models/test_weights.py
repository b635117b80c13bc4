"""Weights are hashed by what they are; torn and hostile files are named, never a crash."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from upbringing.base.errors import IntegrityError, UntrustedError
from upbringing.models.weights import num_weights, weights_sha256

TENSORS = {"b": {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]}}


def folder(path: Path, header: Any, data: bytes = b"01234567", name: str = "model.safetensors") -> Path:
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    (path / name).write_bytes(len(text).to_bytes(8, "little") + text + data)
    return path


def test_the_hash_is_of_the_tensors_and_not_of_their_files(tmp_path: Path) -> None:
    for name in ("one", "other", "changed"):
        (tmp_path / name).mkdir()
    one = folder(tmp_path / "one", TENSORS)
    other = folder(tmp_path / "other", {"__metadata__": {"format": "pt"}, **TENSORS}, name="part.safetensors")
    assert weights_sha256(one) == weights_sha256(other)
    assert num_weights(one) == 2
    assert weights_sha256(folder(tmp_path / "changed", TENSORS, b"0123456x")) != weights_sha256(one)


@pytest.mark.parametrize(
    ("header", "data", "message"),
    [
        (TENSORS, b"0123", "ends inside the tensor b"),
        (b'{"b": ', b"", "not JSON"),
        ([1], b"", "describes no tensors"),
        ({"b": {"dtype": "F32"}}, b"", "describes no tensors"),
        ({"b": {"dtype": "F32", "shape": 3, "data_offsets": [0, 8]}}, b"01234567", "describes no tensors"),
        ({"b": {"dtype": "F32", "shape": [2], "data_offsets": [0]}}, b"", "describes no tensors"),
    ],
)
def test_a_torn_or_hostile_file_is_named(tmp_path: Path, header: Any, data: bytes, message: str) -> None:
    with pytest.raises(IntegrityError, match=rf"of {tmp_path.name} .*{message}"):  # a trace has several
        weights_sha256(folder(tmp_path, header, data))


def test_a_header_that_claims_to_be_huge_is_not_read(tmp_path: Path) -> None:
    (tmp_path / "model.safetensors").write_bytes((1 << 60).to_bytes(8, "little"))
    with pytest.raises(IntegrityError, match="torn or hostile"):
        weights_sha256(tmp_path)


def test_pickled_weights_are_refused_by_name(tmp_path: Path) -> None:
    (tmp_path / "pytorch_model.bin").write_bytes(b"x")
    with pytest.raises(UntrustedError, match=r"pytorch_model\.bin"):
        weights_sha256(tmp_path)
