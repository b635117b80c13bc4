"""The archive reader against hostile, damaged and honest archives."""

from __future__ import annotations

import io
import stat
import zipfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from upbringing.base.errors import DataError, IntegrityError, UntrustedError, UpbringingError
from upbringing.data.packages.archive import Caps, read_members, write_member

HOSTILE_NAMES = (
    "../escape.txt",
    "data/../../escape.txt",
    "/etc/absolute.txt",
    "..",
    "a/..",
    "C:/windows.txt",
    "c:drive.txt",
    "data\\..\\escape.txt",
    "\\\\server\\share.txt",
    "data/stream.txt:hidden",
)
SPECIAL_MODES = {
    "link": stat.S_IFLNK,
    "pipe": stat.S_IFIFO,
    "character device": stat.S_IFCHR,
    "block device": stat.S_IFBLK,
    "socket": stat.S_IFSOCK,
}


def archive_with(path: Path, name: str, content: bytes = b"text", mode: int = 0) -> Path:
    entry = zipfile.ZipInfo("placeholder" if "\\" in name else name)
    entry.filename = name
    entry.external_attr = mode << 16
    entry.compress_type = zipfile.ZIP_DEFLATED
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("good.txt", "good")
        archive.writestr(entry, content)
    return path


def test_a_wanted_regular_file_is_read_exactly(tmp_path: Path) -> None:
    path = archive_with(tmp_path / "a.zip", "data/file.txt", b"\x00\xffexact")
    assert read_members(path, ["data/file.txt", "good.txt"]) == {"data/file.txt": b"\x00\xffexact", "good.txt": b"good"}
    target = io.BytesIO()
    assert write_member(path, "data/file.txt", target) == 7
    assert target.getvalue() == b"\x00\xffexact"


@pytest.mark.parametrize("name", HOSTILE_NAMES)
def test_a_name_that_leads_outside_refuses_the_whole_archive(tmp_path: Path, name: str) -> None:
    path = archive_with(tmp_path / "a.zip", name)
    with pytest.raises(UntrustedError, match="outside"):
        read_members(path, ["good.txt"])
    assert sorted(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("kind", SPECIAL_MODES)
def test_links_and_special_files_refuse_the_whole_archive(tmp_path: Path, kind: str) -> None:
    path = archive_with(tmp_path / "a.zip", "data/entry", b"/etc/passwd", mode=SPECIAL_MODES[kind] | 0o777)
    with pytest.raises(UntrustedError, match="regular files"):
        read_members(path, ["good.txt"])


def test_a_file_that_calls_itself_a_folder_is_refused(tmp_path: Path) -> None:
    path = archive_with(tmp_path / "a.zip", "data/", b"text", mode=stat.S_IFREG | 0o644)
    with pytest.raises(UntrustedError, match="regular files"):
        read_members(path, ["good.txt"])


def test_a_bomb_is_refused_before_it_is_unpacked(tmp_path: Path) -> None:
    path = archive_with(tmp_path / "a.zip", "bomb.bin", b"\0" * 5_000_000)
    with pytest.raises(UntrustedError, match="bomb"):
        read_members(path, ["good.txt"])


def test_size_total_and_count_are_capped(tmp_path: Path) -> None:
    path = archive_with(tmp_path / "a.zip", "data.txt", bytes(range(256)) * 4)
    with pytest.raises(UntrustedError, match="more than is allowed"):
        read_members(path, ["good.txt"], Caps(file_bytes=1000))
    with pytest.raises(UntrustedError, match="more than is allowed"):
        read_members(path, ["good.txt"], Caps(total_bytes=1024))
    with pytest.raises(UntrustedError, match="2 entries"):
        read_members(path, ["good.txt"], Caps(entries=1))


def test_a_name_that_stands_twice_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("same.txt", "one")
        with pytest.warns(UserWarning, match="Duplicate"):
            archive.writestr("same.txt", "two")
    with pytest.raises(UntrustedError, match="twice"):
        read_members(path, ["same.txt"])


def test_an_encrypted_entry_is_refused(tmp_path: Path) -> None:
    path = archive_with(tmp_path / "a.zip", "data.txt")
    content = bytearray(path.read_bytes())
    start = content.rindex(b"PK\x01\x02")
    content[start + 8] |= 0x1
    path.write_bytes(bytes(content))
    with pytest.raises(UntrustedError, match="encrypted"):
        read_members(path, ["good.txt"])


def test_a_file_that_unpacks_to_more_than_it_declares_is_never_returned_whole(tmp_path: Path) -> None:
    path = archive_with(tmp_path / "a.zip", "data.txt", b"0123456789" * 100)
    content = bytearray(path.read_bytes())
    start = content.rindex(b"PK\x01\x02")
    content[start + 24 : start + 28] = (10).to_bytes(4, "little")  # the declared size
    path.write_bytes(bytes(content))
    with pytest.raises((IntegrityError, UntrustedError)):
        read_members(path, ["data.txt"])


def test_a_missing_file_and_a_folder_are_clear_errors(tmp_path: Path) -> None:
    path = tmp_path / "a.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.mkdir("folder")
    with pytest.raises(DataError, match=r"holds no file 'missing.txt'"):
        read_members(path, ["missing.txt"])
    with pytest.raises(DataError, match="is a folder"):
        read_members(path, ["folder/"])


@pytest.mark.parametrize("keep", [0, 1, 20, -1, -30])
def test_a_torn_archive_is_damaged_never_read(tmp_path: Path, keep: int) -> None:
    path = archive_with(tmp_path / "a.zip", "data.txt", bytes(range(256)) * 8)
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(IntegrityError, match="fetch it again"):
        read_members(path, ["good.txt"])


def test_a_flipped_byte_never_changes_what_is_read(tmp_path: Path) -> None:
    path = archive_with(tmp_path / "a.zip", "data.txt", bytes(range(256)))
    whole = path.read_bytes()
    num_noticed = 0
    for offset in range(whole.index(b"data.txt") + len(b"data.txt"), whole.index(b"PK\x01\x02"), 7):
        flipped = bytearray(whole)
        flipped[offset] ^= 0x10
        path.write_bytes(bytes(flipped))
        try:
            assert read_members(path, ["data.txt"]) == {"data.txt": bytes(range(256))}  # a bit that nothing reads
        except IntegrityError:
            num_noticed += 1
    assert num_noticed > 30


@settings(max_examples=150, deadline=None)
@given(st.binary(max_size=300), st.integers(0, 400), st.integers(0, 255))
def test_arbitrary_bytes_raise_only_our_errors(
    tmp_path_factory: pytest.TempPathFactory, tail: bytes, at: int, by: int
) -> None:
    path = archive_with(tmp_path_factory.mktemp("fuzz") / "a.zip", "data.txt", b"0123456789" * 20)
    content = bytearray(path.read_bytes())
    content[at % len(content)] ^= by
    path.write_bytes(bytes(content) + tail)
    try:
        found = read_members(path, ["data.txt"])
    except UpbringingError:
        return
    assert found == {"data.txt": b"0123456789" * 20}
