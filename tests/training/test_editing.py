"""Edited weights: sums by hand, identities bit for bit, controls of equal norm, mismatches named."""

from __future__ import annotations

import json
import stat
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from upbringing.base.errors import DataError, TrainingError, UntrustedError
from upbringing.formats.tree import EDITED
from upbringing.models.weights import weights_sha256
from upbringing.training.edit_weights import EditWeights, matches
from upbringing.training.editing import EditPlaces, edit_checkpoint
from upbringing.training.guards import OK, edit_guard_text

pytestmark = pytest.mark.model

NAMES = ("model.embed.weight", "model.layers.1.mlp.weight", "model.layers.10.mlp.weight")
WORDS = {"a": 0, "b": 1}
BASE = {NAMES[0]: [1.0, -2.0], NAMES[1]: [0.5, 0.25], NAMES[2]: [3.0, 0.0]}
TUNED = {NAMES[0]: [2.0, -2.0], NAMES[1]: [0.0, 1.25], NAMES[2]: [3.0, 4.0]}  # minus base: [1, 0], [-0.5, 1], [0, 4]
OTHER = {NAMES[0]: [10.0, 20.0], NAMES[1]: [30.0, 40.0], NAMES[2]: [50.0, 60.0]}


def checkpoint(folder: Path, tensors: dict[str, Any], *, kind: str = "float32", words: Any = None) -> Path:
    """Write a folder whose tensors lie in two files, as those of large models do."""
    import torch
    from safetensors.torch import save_file

    folder.mkdir()
    made = {name: torch.tensor(value, dtype=getattr(torch, kind)) for name, value in tensors.items()}
    first = dict(list(made.items())[:1])
    save_file(first, str(folder / "model-1.safetensors"), metadata={"format": "pt"})
    save_file({name: made[name] for name in made if name not in first}, str(folder / "model-2.safetensors"))
    places = {name: f"model-{1 if name in first else 2}.safetensors" for name in made}
    (folder / "model.safetensors.index.json").write_text(json.dumps({"weight_map": places}), encoding="utf-8")
    (folder / "config.json").write_text(json.dumps({"model_type": "llama", "dtype": kind}), encoding="utf-8")
    vocabulary = {"model": {"vocab": WORDS if words is None else words}, "added_tokens": [{"content": "c", "id": 2}]}
    (folder / "tokenizer.json").write_text(json.dumps(vocabulary), encoding="utf-8")
    return folder


def read(folder: Path) -> dict[str, Any]:
    from safetensors.torch import load_file

    return {name: tensor for path in sorted(folder.glob("*.safetensors")) for name, tensor in load_file(path).items()}


def stage(edit: str, strength: float = 1.0, *, random: bool = False, **fields: Any) -> EditWeights:
    value = {"delta": {"from": "base", "to": "tuned", "random": random}, "edit": edit, "strength": strength, **fields}
    return EditWeights.model_validate(value)


@pytest.fixture
def folders(tmp_path: Path) -> dict[str, Path]:
    tensors = {"base": BASE, "tuned": TUNED, "other": OTHER}
    return {name: checkpoint(tmp_path / name, each) for name, each in tensors.items()}


def edited(folders: dict[str, Path], made: EditWeights, parent: str = "other", seed: int = 0) -> tuple[Path, bool]:
    output = folders[parent].parent / "output"
    output.mkdir()
    places = EditPlaces(folders[parent], folders["base"], folders["tuned"], output)
    return output, edit_checkpoint("edit", made, places, seed)


@pytest.mark.parametrize(
    ("made", "expected"),
    [
        (stage("subtract", 2.0), [[8.0, 20.0], [31.0, 38.0], [50.0, 52.0]]),
        (stage("add", 0.5), [[10.5, 20.0], [29.75, 40.5], [50.0, 62.0]]),
        (stage("add", modules=("model.layers.1",)), [[10.0, 20.0], [29.5, 41.0], [50.0, 60.0]]),
        (stage("add", modules=("*.mlp.*",)), [[10.0, 20.0], [29.5, 41.0], [50.0, 64.0]]),
    ],
)
def test_sums_are_those_by_hand(folders: dict[str, Path], made: EditWeights, expected: list[list[float]]) -> None:
    output, changed = edited(folders, made)
    assert {name: tensor.tolist() for name, tensor in read(output).items()} == dict(zip(NAMES, expected, strict=True))
    assert changed
    assert {path.name for path in output.iterdir()} == {path.name for path in folders["other"].iterdir()} - {
        "tokenizer.json"
    }


@pytest.mark.parametrize(("strength", "expected"), [(0.25, [0.375, 0.5]), (1.25, [-0.125, 1.5])])
def test_interpolation_by_hand(folders: dict[str, Path], strength: float, expected: list[float]) -> None:
    output, _ = edited(folders, stage("interpolate", strength), parent="base")
    assert read(output)[NAMES[1]].tolist() == expected


@pytest.mark.parametrize("edit", ["subtract", "add", "interpolate", "graft"])
@pytest.mark.parametrize("random", [False, True])
def test_strength_zero_is_the_same_bits(folders: dict[str, Path], edit: str, random: bool) -> None:
    (folders["base"] / "model-1.safetensors").chmod(stat.S_IREAD)  # as in a store
    output, changed = edited(folders, stage(edit, 0.0, random=random, modules=("*",)), parent="base")
    assert not changed
    assert weights_sha256(output) == weights_sha256(folders["base"])


@pytest.mark.parametrize("edit", ["interpolate", "graft"])
def test_strength_one_is_the_later_checkpoint_bit_for_bit(tmp_path: Path, edit: str) -> None:
    import torch

    generator = torch.Generator().manual_seed(0)
    drawn = [{name: torch.randn(7, 5, generator=generator).tolist() for name in NAMES} for _ in range(2)]
    drawn[1][NAMES[0]][0][0] = -0.0
    folders = {name: checkpoint(tmp_path / name, each) for name, each in zip(("base", "tuned"), drawn, strict=True)}
    output, _ = edited(folders, stage(edit, modules=("*",)), parent="base")
    assert weights_sha256(output) == weights_sha256(folders["tuned"])


def test_a_graft_takes_the_modules_it_names(folders: dict[str, Path]) -> None:
    output, _ = edited(folders, stage("graft", modules=("model.layers.10",)), parent="base")
    found = {name: tensor.tolist() for name, tensor in read(output).items()}
    assert found == {**BASE, NAMES[2]: TUNED[NAMES[2]]}
    assert matches("model.layers.1.mlp.weight", "model.layers.1")
    assert not matches("model.layers.10.mlp.weight", "model.layers.1")


def test_a_random_delta_has_the_norm_of_each_tensor_and_a_stream_of_its_own(folders: dict[str, Path]) -> None:
    import torch

    output, changed = edited(folders, stage("add", 2.0, random=True))
    assert changed
    first = read(output)
    for name in NAMES:
        moved = first[name].double() - torch.tensor(OTHER[name]).double()
        delta = torch.tensor(TUNED[name]).double() - torch.tensor(BASE[name]).double()
        assert float(moved.norm()) == pytest.approx(2 * float(delta.norm()), rel=1e-5)
        assert not torch.allclose(moved, 2 * delta)
    for seed, is_same in ((0, True), (1, False)):
        output.rename(output.with_name(f"kept-{seed}"))
        assert torch.equal(read(edited(folders, stage("add", 2.0, random=True), seed=seed)[0])[NAMES[2]],
                           first[NAMES[2]]) == is_same  # fmt: skip


def test_the_type_is_the_checkpoints_own_unless_that_would_round_the_edit_away(tmp_path: Path) -> None:
    import torch

    half = {name: checkpoint(tmp_path / name, each, kind="bfloat16") for name, each in
            (("base", BASE), ("tuned", TUNED), ("other", OTHER))}  # fmt: skip
    output, _ = edited(half, stage("add"))
    assert {tensor.dtype for tensor in read(output).values()} == {torch.bfloat16}
    output.rename(tmp_path / "kept")
    trained = {**half, "tuned": checkpoint(tmp_path / "whole", {**TUNED, NAMES[1]: [0.5001, 0.25]})}
    output, _ = edited(trained, stage("interpolate"), parent="base")
    assert {tensor.dtype for tensor in read(output).values()} == {torch.float32}
    assert read(output)[NAMES[1]].tolist() == pytest.approx([0.5001, 0.25])
    assert json.loads((output / "config.json").read_text())["dtype"] == "float32"


@pytest.mark.parametrize(
    ("tensors", "words", "error", "said"),
    [
        ({**TUNED, NAMES[2]: [1.0]}, None, TrainingError, r"model.layers.10.mlp.weight has the shape \[2\].*\[1\]"),
        ({name: TUNED[name] for name in NAMES[:2]}, None, TrainingError, "model.layers.10.mlp.weight stands in other"),
        ({**TUNED, "more": [1.0]}, None, TrainingError, "the tensor more stands in tuned"),
        (TUNED, {"a": 1, "b": 0}, DataError, "the token 'a' has the id 0 in other and 1 in tuned"),
        (TUNED, [["a", 0.0], ["d", 0.0]], DataError, "the token 'b' has the id 1 in other and None in tuned"),
        ({**TUNED, NAMES[1]: [float("inf"), 0.0]}, None, TrainingError, "model.layers.1.mlp.weight is not finite"),
    ],
)
def test_what_does_not_fit_is_named(
    folders: dict[str, Path], tmp_path: Path, tensors: Any, words: Any, error: type[Exception], said: str
) -> None:
    folders["tuned"].rename(tmp_path / "old")
    folders["tuned"] = checkpoint(tmp_path / "tuned", tensors, words=words)
    with pytest.raises(error, match=said):
        edited(folders, stage("add"))


def test_a_pattern_that_matches_nothing_is_named(folders: dict[str, Path]) -> None:
    with pytest.raises(TrainingError, match=r"modules names 'layers\.1', which matches none of 3 tensors"):
        edited(folders, stage("add", modules=("model.layers.1", "layers.1")))


def test_code_and_pickles_are_refused_in_all_three(folders: dict[str, Path]) -> None:
    (folders["tuned"] / "config.json").write_text('{"auto_map": {"AutoModel": "x.Y"}}', encoding="utf-8")
    with pytest.raises(UntrustedError, match="auto_map"):
        edited(folders, stage("add"))


def test_the_description_says_what_it_cannot_mean() -> None:
    assert stage("add").kind == EDITED
    assert (stage("add", 0.0).identity, stage("add").identity) == (True, False)
    with pytest.raises(ValidationError, match="a graft names the modules"):
        stage("graft")
    for strength in (float("nan"), float("inf")):
        with pytest.raises(ValidationError, match="finite"):
            stage("add", strength)


def test_guards_of_edits() -> None:
    assert edit_guard_text(weights_changed=True, identity=False) == OK
    assert edit_guard_text(weights_changed=False, identity=True) == OK
    assert edit_guard_text(weights_changed=False, identity=False) == "the edit changed no weight"
    assert "declared an identity" in edit_guard_text(weights_changed=True, identity=True)
