"""Which accelerators processes may use, as the environment, the system and torch's build say."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError
from pathlib import Path

import pytest

from upbringing.base import devices
from upbringing.base.devices import (
    VISIBLE,
    accelerator_groups,
    accelerator_models,
    has_fast_bf16,
    require_accelerator,
    usable_accelerators,
    visible_accelerators,
)
from upbringing.base.errors import TrainingError


@pytest.fixture
def device_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.delenv(VISIBLE, raising=False)
    monkeypatch.setattr(devices, "DEVICE_FILES", tmp_path)
    return tmp_path


@pytest.mark.parametrize(
    ("given", "names"),
    [
        ("0", ("0",)),
        ("3, 1", ("3", "1")),
        ("GPU-8a2f,MIG-41c0", ("GPU-8a2f", "MIG-41c0")),
        ("2,-1,3", ("2",)),  # the driver stops at the first that is none
        ("-1", ()),
        ("", ()),
    ],
)
def test_what_a_scheduler_lends_goes_before_what_is_there(
    device_files: Path, monkeypatch: pytest.MonkeyPatch, given: str, names: tuple[str, ...]
) -> None:
    (device_files / "nvidia0").touch()
    monkeypatch.setenv(VISIBLE, given)
    assert visible_accelerators() == names


def test_otherwise_device_files_are_counted_and_numbered_from_zero(device_files: Path) -> None:
    assert visible_accelerators() == ()
    for name in ("nvidia3", "nvidia7", "nvidiactl", "nvidia-uvm", "sda1"):
        (device_files / name).touch()
    assert visible_accelerators() == ("0", "1")


def test_a_system_without_device_files_has_none(device_files: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(devices, "DEVICE_FILES", device_files / "missing")
    assert visible_accelerators() == ()


@pytest.mark.parametrize(("build", "names"), [("2.13.0+cpu", ()), ("2.13.0", ("0",)), ("2.13.0+cu130", ("0",))])
def test_a_build_of_torch_for_processors_can_use_none(
    monkeypatch: pytest.MonkeyPatch, build: str, names: tuple[str, ...]
) -> None:
    monkeypatch.setenv(VISIBLE, "0")
    monkeypatch.setattr(devices, "version", lambda name: build)
    assert usable_accelerators() == names


def test_without_torch_none_can_be_used(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(name: str) -> str:
        raise PackageNotFoundError(name)

    monkeypatch.setenv(VISIBLE, "0")
    monkeypatch.setattr(devices, "version", missing)
    assert usable_accelerators() == ()


def test_groups_are_as_large_as_asked_and_what_is_over_stays_unused() -> None:
    names = ("0", "1", "2", "3", "4")
    assert accelerator_groups(names, 1) == names
    assert accelerator_groups(names, 2) == ("0,1", "2,3")
    assert accelerator_groups(names, 6) == ()


def test_models_are_what_the_driver_calls_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(devices, "DRIVER_FILES", tmp_path)
    assert accelerator_models() == ()
    for number, model in enumerate(("NVIDIA L4", "NVIDIA A100-SXM4-80GB")):
        folder = tmp_path / f"0000:0{number}:00.0"
        folder.mkdir()
        (folder / "information").write_text(f"Model: \t\t {model}\nIRQ: 12\n", encoding="utf-8")
    assert accelerator_models() == ("NVIDIA A100-SXM4-80GB", "NVIDIA L4")


def test_a_device_that_is_not_here_is_an_error_that_says_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    require_accelerator("cpu", 1)
    monkeypatch.setattr(devices, "version", lambda name: "2.13.0")
    monkeypatch.setenv(VISIBLE, "0")
    require_accelerator("cuda", 1)
    monkeypatch.setenv(VISIBLE, "")
    with pytest.raises(TrainingError, match="computes on cuda, 2 to a stage, and torch can use none here"):
        require_accelerator("cuda", 2)


@pytest.mark.parametrize(
    ("flags", "is_fast"),
    [("avx512f avx512_bf16", True), ("amx_tile amx_bf16", True), ("avx512f avx512_vnni", False), (None, False)],
)
def test_bf16_is_fast_where_the_processor_multiplies_in_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, flags: str | None, is_fast: bool
) -> None:
    monkeypatch.setattr(devices, "PROCESSOR_FILE", tmp_path / "cpuinfo")
    if flags is not None:
        (tmp_path / "cpuinfo").write_text(f"processor : 0\nflags : fpu {flags}\n", encoding="utf-8")
    assert has_fast_bf16() is is_fast
