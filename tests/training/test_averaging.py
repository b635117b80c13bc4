"""Means of checkpoints: by hand, of equal ones bit for bit, nearer to what noisy ones share, mismatches named."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError
from test_editing import BASE, NAMES, OTHER, TUNED, checkpoint, read

from upbringing.base.errors import DataError, TrainingError
from upbringing.models.weights import weights_sha256
from upbringing.training.average_checkpoints import AverageCheckpoints
from upbringing.training.averaging import average_folders

pytestmark = pytest.mark.model


def averaged(folders: list[Path], output: Path) -> bool:
    output.mkdir()
    return average_folders("mean", folders[0], folders[1:], output)


def test_a_mean_by_hand(tmp_path: Path) -> None:
    folders = [checkpoint(tmp_path / str(place), each) for place, each in enumerate((BASE, TUNED, OTHER))]
    assert averaged(folders, tmp_path / "out")
    found = {name: tensor.tolist() for name, tensor in read(tmp_path / "out").items()}
    expected = {
        name: [(a + b + c) / 3 for a, b, c in zip(BASE[name], TUNED[name], OTHER[name], strict=True)] for name in NAMES
    }
    assert found == {name: pytest.approx(values, rel=1e-7) for name, values in expected.items()}
    assert (tmp_path / "out/model-2.safetensors").is_file()
    assert (tmp_path / "out/config.json").read_bytes() == (folders[0] / "config.json").read_bytes()


@pytest.mark.parametrize("kind", ["float32", "bfloat16", "float16"])
@pytest.mark.parametrize("number", [2, 3, 7])
def test_equal_weights_stay_bit_for_bit(tmp_path: Path, kind: str, number: int) -> None:
    tensors = {"a": [0.1, -1e-7, 3.3e4], "b": [2.0**-30, 1 / 3]}
    folders = [checkpoint(tmp_path / str(place), tensors, kind=kind) for place in range(number)]
    before = weights_sha256(folders[0])
    assert not averaged(folders, tmp_path / "out")
    assert weights_sha256(tmp_path / "out") == before
    assert [weights_sha256(folder) for folder in folders] == [before] * number


def test_the_order_of_checkpoints_moves_nothing(tmp_path: Path) -> None:
    folders = [checkpoint(tmp_path / str(place), each) for place, each in enumerate((BASE, TUNED, OTHER))]
    averaged(folders, tmp_path / "out")
    averaged(folders[::-1], tmp_path / "back")
    assert weights_sha256(tmp_path / "out") == weights_sha256(tmp_path / "back")


def test_the_mean_is_nearer_to_what_noisy_checkpoints_have_in_common(tmp_path: Path) -> None:
    import torch

    drawn = torch.Generator().manual_seed(0)
    common = torch.randn(10_000, generator=drawn)
    noisy = [common + torch.randn(10_000, generator=drawn) for _ in range(4)]
    averaged([checkpoint(tmp_path / str(k), {"a": each.tolist()}) for k, each in enumerate(noisy)], tmp_path / "out")
    error = float((read(tmp_path / "out")["a"] - common).std())
    assert error == pytest.approx(0.5, rel=0.05)  # one over the root of four


@pytest.mark.parametrize(
    ("tensors", "words", "message"),
    [
        ({NAMES[0]: [1.0, 2.0]}, None, f"{NAMES[1]} stands in last and not in odd"),
        ({**BASE, NAMES[1]: [1.0, 2.0, 3.0]}, None, r"the shape \[2\] in last and \[3\] in odd"),
        (BASE, {"a": 1, "b": 0}, "the token 'a' has the id 0 in last and 1 in odd"),
        ({**BASE, NAMES[2]: [float("inf"), 0.0]}, None, f"the mean of the tensor {NAMES[2]} is not finite"),
    ],
)
def test_what_has_no_mean_is_named(tmp_path: Path, tensors: dict[str, Any], words: Any, message: str) -> None:
    last, odd = checkpoint(tmp_path / "last", BASE), checkpoint(tmp_path / "odd", tensors, words=words)
    with pytest.raises((TrainingError, DataError), match=message):
        averaged([last, odd], tmp_path / "out")


@pytest.mark.parametrize("at", [[], [0], ["0%"], [-1], ["150%"]])
def test_places_are_inside(at: list[Any]) -> None:
    with pytest.raises(ValidationError):
        AverageCheckpoints.model_validate({"at": at})
