"""Our own reader of foreign zip archives: regular files only, nothing extracted but what was asked for.

Every entry of an archive is looked at before one byte is unpacked; a single hostile entry refuses the whole.
"""

from __future__ import annotations

import stat
import zipfile
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import IO

from upbringing.base.errors import DataError, IntegrityError, UntrustedError

CHUNK_BYTES = 1 << 20
ENCRYPTED_FLAG = 0x1  # bit 0 of a zip entry's general-purpose flags
UNIX_MODE_SHIFT = 16  # the file mode is the upper half of the external attributes


@dataclass(frozen=True)
class Caps:
    """What an archive may be at most. ``ratio``: unpacked to packed bytes of one entry.

    The defaults leave a factor of about two above the largest wheel this project reads.
    """

    entries: int = 5_000
    file_bytes: int = 200_000_000
    total_bytes: int = 700_000_000
    ratio: int = 200


@contextmanager
def opened(path: Path, caps: Caps = Caps()) -> Iterator[zipfile.ZipFile]:
    """Open the archive at ``path`` with every entry checked.

    Raises ``IntegrityError`` if it is torn and ``UntrustedError`` for a hostile entry.
    """
    try:
        archive = zipfile.ZipFile(path)
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError) as error:
        raise IntegrityError(
            f"{path.name} is not a whole zip archive ({error}): delete it and fetch it again"
        ) from None
    with archive:
        _check_entries(archive.infolist(), path.name, caps)
        yield archive


def _check_entries(entries: Sequence[zipfile.ZipInfo], name: str, caps: Caps) -> None:
    if len(entries) > caps.entries:
        raise UntrustedError(f"{name} has {len(entries)} entries, at most {caps.entries} are allowed")
    seen: set[str] = set()
    total = 0
    for entry in entries:
        _check_name(entry, name)
        if entry.filename in seen:
            raise UntrustedError(f"{name} holds {entry.filename!r} twice: which one is meant cannot be told")
        seen.add(entry.filename)
        total += entry.file_size
        if entry.file_size > caps.file_bytes or total > caps.total_bytes:
            raise UntrustedError(f"{name} unpacks to more than is allowed (at {entry.filename!r})")
        if entry.file_size > caps.ratio * max(entry.compress_size, 1):
            raise UntrustedError(f"{name}: {entry.filename!r} is packed more than {caps.ratio}-fold: a bomb")


def _check_name(entry: zipfile.ZipInfo, archive: str) -> None:
    """Refuse names that leave the archive, links, special files and encrypted entries."""
    name, path = entry.orig_filename, PurePosixPath(entry.filename)
    if not name or "\\" in name or "\0" in name or ":" in name or path.is_absolute() or ".." in path.parts:
        raise UntrustedError(f"{archive} holds the name {name!r}, which leads outside of it: refused")
    kind = stat.S_IFMT(entry.external_attr >> UNIX_MODE_SHIFT)
    allowed = (0, stat.S_IFDIR) if entry.is_dir() else (0, stat.S_IFREG)  # 0: written without a file mode
    if kind not in allowed:
        raise UntrustedError(f"{archive}: {name!r} is a link or a special file: only regular files are read")
    if entry.flag_bits & ENCRYPTED_FLAG:
        raise UntrustedError(f"{archive}: {name!r} is encrypted: refused")


def read_members(path: Path, names: Sequence[str], caps: Caps = Caps()) -> dict[str, bytes]:
    """Return the bytes of the named regular files; raises ``DataError`` if one is missing."""
    with opened(path, caps) as archive:
        return {name: b"".join(_chunks(archive, name, path.name)) for name in names}


def write_member(path: Path, name: str, target: IO[bytes], caps: Caps = Caps()) -> int:
    """Write one regular file into ``target`` in chunks and return its size in bytes."""
    written = 0
    with opened(path, caps) as archive:
        for chunk in _chunks(archive, name, path.name):
            written += target.write(chunk)
    return written


def _chunks(archive: zipfile.ZipFile, name: str, archive_name: str) -> Iterator[bytes]:
    """Yield one file's bytes; its real size is held against the declared one."""
    try:
        entry = archive.getinfo(name)
    except KeyError:
        raise DataError(f"{archive_name} holds no file {name!r}: is it another version than the pinned one?") from None
    if entry.is_dir():
        raise DataError(f"{archive_name}: {name!r} is a folder, a file was asked for")
    left = entry.file_size
    try:
        with archive.open(entry) as handle:
            while chunk := handle.read(CHUNK_BYTES):
                left -= len(chunk)
                if left < 0:
                    raise UntrustedError(f"{archive_name}: {name!r} unpacks to more than it declares: refused")
                yield chunk
    except UntrustedError:
        raise
    except (zipfile.BadZipFile, zlib.error, OSError, EOFError, ValueError, NotImplementedError) as error:
        raise IntegrityError(
            f"{archive_name}: {name!r} is damaged ({error}): delete the file and fetch again"
        ) from None
    if left:
        raise IntegrityError(f"{archive_name}: {name!r} ends {left} bytes early: delete the file and fetch again")
