"""The converted model: opened by a poor, limited child; damaged and hostile input leaves nothing behind."""

from __future__ import annotations

import resource
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from upbringing.base.errors import DataError, IntegrityError, TrainingError
from upbringing.base.manifest import write_manifest
from upbringing.data.packages.smollm2 import (
    CHILD_FILE_BYTES,
    CHILD_MEMORY_BYTES,
    FOLDER_NAME,
    LABEL,
    child_environment,
    convert_in_child,
    limit_child,
    smollm2_folder,
)


def test_the_child_sees_no_keys_and_no_hub(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("OPENAI_API_KEY", "HF_TOKEN", "PIP_INDEX_URL"):
        monkeypatch.setenv(name, "secret")
    seen = child_environment()
    assert "secret" not in seen.values()
    assert seen["HF_HUB_OFFLINE"] == "1"


def test_the_child_is_limited_in_memory_files_and_dumps() -> None:
    names = ("RLIMIT_AS", "RLIMIT_FSIZE", "RLIMIT_CORE")
    code = f"import resource; print(*(resource.getrlimit(getattr(resource, name))[0] for name in {names}))"
    done = subprocess.run(
        [sys.executable, "-c", code], preexec_fn=limit_child, capture_output=True, text=True, check=True
    )
    memory, files, dumps = (int(value) for value in done.stdout.split())
    assert (memory, files, dumps) == (CHILD_MEMORY_BYTES, CHILD_FILE_BYTES, 0)
    assert resource.getrlimit(resource.RLIMIT_AS)[0] != CHILD_MEMORY_BYTES  # the parent is not


def test_without_the_package_the_error_names_the_command(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="upbringing data fetch smollm2"):
        smollm2_folder(tmp_path / "packages", tmp_path / "models")


def test_a_converted_folder_that_lost_a_byte_is_never_used(tmp_path: Path) -> None:
    folder = tmp_path / FOLDER_NAME
    folder.mkdir()
    (folder / "model.safetensors").write_bytes(b"weights")
    write_manifest(folder, label=LABEL)
    assert smollm2_folder(tmp_path / "packages", tmp_path) == folder
    (folder / "model.safetensors").write_bytes(b"weight")
    with pytest.raises(IntegrityError, match="has 6 bytes"):
        smollm2_folder(tmp_path / "packages", tmp_path)


@pytest.mark.model
def test_a_file_that_is_no_gguf_stops_the_child_not_us(tmp_path: Path) -> None:
    source, output = tmp_path / "model.gguf", tmp_path / "converted"
    source.write_bytes(b"GGUF" + b"\xff" * 200)
    with pytest.raises(TrainingError, match="converting the GGUF file failed"):
        convert_in_child(source, output)
    assert not output.exists()


@pytest.mark.slow
@pytest.mark.model
def test_the_real_model_is_converted_once_and_opens_everywhere(real_packages: Path, tmp_path: Path) -> None:
    from transformers import AutoModelForCausalLM, AutoTokenizer

    folder = smollm2_folder(real_packages, tmp_path)
    model = AutoModelForCausalLM.from_pretrained(str(folder), local_files_only=True, trust_remote_code=False)
    tokenizer = AutoTokenizer.from_pretrained(str(folder), local_files_only=True, trust_remote_code=False)
    assert sum(parameter.numel() for parameter in model.parameters()) == 134_515_008
    assert "<|im_start|>" in tokenizer.chat_template
    assert LABEL in (folder / "README.md").read_text(encoding="utf-8")
    assert not [
        path for path in folder.rglob("*") if path.suffix in (".bin", ".pt", ".pkl") or zipfile.is_zipfile(path)
    ]
    before = (folder / "model.safetensors").stat().st_mtime_ns
    assert smollm2_folder(real_packages, tmp_path) == folder
    assert (folder / "model.safetensors").stat().st_mtime_ns == before
    assert [path.name for path in tmp_path.iterdir()] == [FOLDER_NAME]
