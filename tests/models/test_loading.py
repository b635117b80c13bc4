"""Folders that are no whole checkpoint, or would make the library load something else, are named and never loaded."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from upbringing.base.errors import IntegrityError, UntrustedError, UpbringingWarning
from upbringing.formats.record import BuildProfile
from upbringing.models.loading import LoadedModel, check_folder, compare_load, load_model, make_load_check
from upbringing.models.weights import settings_sha256, weights_sha256

HEADER = json.dumps({"b": {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]}}).encode()
TENSORS = len(HEADER).to_bytes(8, "little") + HEADER + b"01234567"


def folder_of(path: Path, **files: Any) -> Path:
    """Return a folder with ``files``, ``_`` for a dot; values that are no bytes are written as JSON."""
    for name, content in {"config_json": {"model_type": "llama"}, **files}.items():
        data = content if isinstance(content, bytes) else json.dumps(content).encode()
        (path / name.replace("_json", ".json").replace("_safetensors", ".safetensors")).write_bytes(data)
    return path


@pytest.mark.parametrize(
    "named", ["evil.bin", "../other/model.safetensors", "/tmp/model.safetensors", "a/b.safetensors"]
)
def test_an_index_names_safetensors_of_its_own_folder_alone(tmp_path: Path, named: str) -> None:
    folder = folder_of(tmp_path, decoy_safetensors=TENSORS)
    (folder / "model.safetensors.index.json").write_text(json.dumps({"metadata": {}, "weight_map": {"b": named}}))
    for opened in (check_folder, weights_sha256):
        with pytest.raises(UntrustedError, match="no safetensors file of this folder"):
            opened(folder)


@pytest.mark.parametrize("index", ["{", "[]", '{"metadata": {}}', '{"weight_map": ["a"]}'])
def test_a_torn_index_is_named(tmp_path: Path, index: str) -> None:
    folder = folder_of(tmp_path, part_safetensors=TENSORS)
    (folder / "model.safetensors.index.json").write_text(index)
    with pytest.raises(IntegrityError, match=r"model\.safetensors\.index\.json .* torn or hostile"):
        check_folder(folder)


def test_a_part_that_the_index_names_has_to_be_there(tmp_path: Path) -> None:
    folder = folder_of(tmp_path, part_safetensors=TENSORS)
    index = folder / "model.safetensors.index.json"
    index.write_text(json.dumps({"weight_map": {"b": "part.safetensors", "c": "lost.safetensors"}}))
    with pytest.raises(IntegrityError, match=r"lost\.safetensors, which .* names, is missing"):
        check_folder(folder)
    index.write_text(json.dumps({"weight_map": {"b": "part.safetensors"}}))
    assert check_folder(folder) == {"model_type": "llama"}
    index.unlink()
    with pytest.raises(IntegrityError, match="names nobody loads"):
        check_folder(folder)


def test_an_adapter_beside_the_weights_is_refused(tmp_path: Path) -> None:
    folder = folder_of(tmp_path, model_safetensors=TENSORS, adapter_config_json={"base_model_name_or_path": "a/b"})
    with pytest.raises(UntrustedError, match=r"adapter .* merge it"):
        check_folder(folder)


def test_a_tokenizer_beside_the_one_that_is_hashed_is_refused(tmp_path: Path) -> None:
    more = {"fast_tokenizer_files": ["tokenizer.json", "tokenizer.4.0.0.json"]}
    folder = folder_of(tmp_path, model_safetensors=TENSORS, tokenizer_config_json=more)
    with pytest.raises(UntrustedError, match=r"another tokenizer than tokenizer\.json"):
        check_folder(folder)


def test_settings_are_hashed_as_values_and_without_who_wrote_them(tmp_path: Path) -> None:
    def hashed(name: str, config: Any, **more: Any) -> str:
        (tmp_path / name).mkdir()
        return settings_sha256(folder_of(tmp_path / name, config_json=config, **more))

    plain = hashed("plain", {"rope_theta": 1e4, "transformers_version": "5"})
    assert hashed("same", {"transformers_version": "6", "_name_or_path": "x", "rope_theta": 10000.0}) == plain
    assert hashed("other", {"rope_theta": 1e6}) != plain
    assert hashed("ends", {"rope_theta": 1e4}, generation_config_json={"eos_token_id": [1, 2]}) != plain
    begins = hashed("begins", {"rope_theta": 1e4}, tokenizer_config_json={"add_bos_token": True, "chat_template": "a"})
    assert begins != plain
    changed = {"add_bos_token": True, "chat_template": "b"}  # a template has its own hash
    assert hashed("template", {"rope_theta": 1e4}, tokenizer_config_json=changed) == begins
    assert hashed("infinite", {"logit": float("inf")}) != hashed("finite", {"logit": 1.0})
    with pytest.raises(IntegrityError, match=r"config\.json is no JSON object"):
        hashed("torn", b"{")


def _without(tensors: dict[str, Any]) -> None:
    tensors.pop(next(name for name in tensors if "q_proj" in name))


def _more(tensors: dict[str, Any]) -> None:
    name = next(name for name in tensors if "q_proj" in name)
    tensors[name.replace("layers.0", "layers.7")] = tensors[name].clone()


def _other_shape(tensors: dict[str, Any]) -> None:
    name = next(name for name in tensors if "q_proj" in name)
    tensors[name] = tensors[name][:8].clone()


def changed(loaded: LoadedModel, target: Path, change: Callable[[dict[str, Any]], None]) -> Path:
    from safetensors.torch import load_file, save_file

    shutil.copytree(loaded.folder, target)
    tensors = load_file(target / "model.safetensors")
    change(tensors)
    save_file(
        {name: tensor.clone() for name, tensor in tensors.items()}, target / "model.safetensors", {"format": "pt"}
    )
    return target


@pytest.mark.model
def test_a_weight_that_stands_in_no_file_is_never_drawn_at_random(tiny: LoadedModel, tmp_path: Path) -> None:
    with pytest.raises(IntegrityError, match=r"lacks the weights \['model\.layers\.\d\.self_attn\.q_proj\.weight'\]"):
        load_model(changed(tiny, tmp_path / "without", _without), profile=BuildProfile())
    with pytest.warns(UpbringingWarning, match=r"layers\.7\.self_attn\.q_proj\.weight'\], for which .* no place"):
        load_model(changed(tiny, tmp_path / "more", _more), profile=BuildProfile())
    with pytest.raises(IntegrityError, match=r"^other-shape "):
        load_model(changed(tiny, tmp_path / "other-shape", _other_shape), profile=BuildProfile())


@pytest.mark.model
def test_an_unknown_architecture_is_an_error_that_names_the_folder(tiny: LoadedModel, tmp_path: Path) -> None:
    folder = tmp_path / "unheard-of"
    shutil.copytree(tiny.folder, folder)
    (folder / "config.json").write_text(json.dumps({"model_type": "unheard_of", "architectures": ["UnheardOf"]}))
    with pytest.raises(
        UntrustedError, match=r"config\.json of unheard-of describes the architecture 'UnheardOf', which"
    ):
        load_model(folder, profile=BuildProfile())
    (folder / "config.json").write_text(json.dumps({"model_type": "clip", "architectures": ["CLIPModel"]}))
    with pytest.raises(IntegrityError, match="unheard-of cannot be opened by transformers: ValueError"):
        load_model(folder, profile=BuildProfile())


@pytest.mark.model
def test_the_build_profile_chooses_the_attention_whatever_the_file_says(tiny: LoadedModel, tmp_path: Path) -> None:
    folder = tmp_path / "flash"
    shutil.copytree(tiny.folder, folder)
    said = {**json.loads((folder / "config.json").read_text()), "attn_implementation": "flash_attention_2"}
    (folder / "config.json").write_text(json.dumps(said))
    loaded = load_model(folder, profile=BuildProfile(attention="eager"))
    assert loaded.model.config._attn_implementation == "eager"


@pytest.mark.model
def test_a_failed_load_check_blames_the_libraries_only_where_they_are_others(tiny: LoadedModel) -> None:
    made = make_load_check(tiny.model, tiny.tokenizer, {"torch": "1"})
    compare_load(tiny.model, made, BuildProfile(versions={"torch": "2"}), tiny.folder)
    moved = made.model_copy(update={"log_likelihood": made.log_likelihood + 1})
    with pytest.raises(IntegrityError, match=r"saved with .*1'\}; now .*2'\}.* use the saving versions"):
        compare_load(tiny.model, moved, BuildProfile(versions={"torch": "2"}), tiny.folder)
    with pytest.raises(IntegrityError, match=r"libraries are those of then .* files were changed or damaged") as caught:
        compare_load(tiny.model, moved, BuildProfile(versions={"torch": "1", "compiled layers": "1"}), tiny.folder)
    assert "saving versions" not in str(caught.value)
