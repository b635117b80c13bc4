"""A copy of what a study built is held against its own manifest before anything is made of it."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from upbringing.base.errors import IntegrityError
from upbringing.base.manifest import write_manifest
from upbringing.formats.record import Record
from upbringing.lab.storage import checkpoints as module
from upbringing.lab.storage.checkpoints import Checkpoints
from upbringing.lab.storage.store import Store

ADVICE = r"Restore it, or remove manifest\.json and record\.json if it was changed on purpose"


@pytest.fixture
def copy(tmp_path: Path, existing: Path) -> Path:
    """A folder as ``store export`` leaves it: weights, record, card and manifest."""
    shutil.copytree(existing, tmp_path / "copy")
    record = Record(id="a", parent=None, kind="sft", stage="sft", recipe={})
    (tmp_path / "copy" / "record.json").write_text(record.model_dump_json(), encoding="utf-8")
    (tmp_path / "copy" / "README.md").write_text("a card", encoding="utf-8")
    write_manifest(tmp_path / "copy")
    return tmp_path / "copy"


def admit(copy: Path) -> Path:
    return Checkpoints(Store(copy.parent / "store"), copy.parent).needed("copy")


def edit_config(copy: Path) -> None:
    content = json.loads((copy / "config.json").read_bytes())
    (copy / "config.json").write_text(json.dumps({**content, "rope_theta": 500.0}), encoding="utf-8")


@pytest.mark.model
def test_an_edited_setting_is_named_until_it_is_said_to_be_on_purpose(copy: Path) -> None:
    assert admit(copy) == copy
    edit_config(copy)
    with pytest.raises(IntegrityError, match=rf"config\.json is not the file that its manifest\.json lists\. {ADVICE}"):
        admit(copy)
    for name in ("manifest.json", "record.json"):
        (copy / name).unlink()
    assert admit(copy) == copy


@pytest.mark.model
def test_files_of_equal_size_that_came_or_went_or_are_torn_are_named(copy: Path) -> None:
    weights = (copy / "model.safetensors").read_bytes()
    (copy / "model.safetensors").write_bytes(weights[:-1] + bytes([weights[-1] ^ 1]))
    with pytest.raises(IntegrityError, match=r"model\.safetensors is not the file"):
        admit(copy)
    (copy / "model.safetensors").write_bytes(weights)
    (copy / "added_tokens.json").write_text("{}", encoding="utf-8")
    with pytest.raises(IntegrityError, match=r"added_tokens\.json was added"):
        admit(copy)
    (copy / "added_tokens.json").unlink()
    (copy / "tokenizer_config.json").rename(copy.parent / "kept.json")
    with pytest.raises(IntegrityError, match=r"tokenizer_config\.json is missing"):
        admit(copy)
    (copy.parent / "kept.json").rename(copy / "tokenizer_config.json")
    assert admit(copy) == copy
    (copy / "manifest.json").write_text("{", encoding="utf-8")
    with pytest.raises(IntegrityError, match=rf"torn or was altered\. {ADVICE}"):
        admit(copy)


@pytest.mark.model
def test_cards_may_change_and_manifests_of_others_say_nothing(copy: Path) -> None:
    (copy / "README.md").write_text("what a hub made of the card", encoding="utf-8")
    (copy / ".gitattributes").write_text("*.safetensors filter=lfs", encoding="utf-8")
    assert admit(copy) == copy
    (copy / "record.json").unlink()
    (copy / "manifest.json").write_text('{"by": "somebody else"}', encoding="utf-8")
    assert admit(copy) == copy


@pytest.mark.model
def test_a_copy_is_hashed_once_while_it_does_not_change(copy: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[Path] = []
    monkeypatch.setattr(module, "check_copy", lambda folder, _: asked.append(folder))
    module._require_as_built.cache_clear()
    admit(copy)
    admit(copy)
    assert asked == [copy]
    edit_config(copy)
    admit(copy)
    assert asked == [copy, copy]
