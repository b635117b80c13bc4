"""Files that are whole or not there: temporary file, fsync, rename, fsync of the folder.

Nothing here repairs: a full disk is an error that says how much is needed, and leaves nothing behind.
"""

from __future__ import annotations

import errno
import json
import os
import re
import shutil
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

from upbringing.base.errors import IntegrityError
from upbringing.base.faults import fault_point

TEMPORARY_PREFIX = ".partial-"
ANYBODY_READS = stat.S_IRUSR | stat.S_IRGRP | stat.S_IROTH
FULL_DISK_ERRORS = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
# Writers of weights that are no Python report the same numbers in their own exceptions' texts.
FULL_DISK_WORDS = re.compile(
    rf"\(os error ({'|'.join(str(each) for each in FULL_DISK_ERRORS)})\)|PytorchStreamWriter failed writing"
)


def write_bytes_atomic(path: Path, data: bytes) -> None:
    """Write ``data`` to ``path`` so that a reader finds the old bytes or the new ones, never a part."""
    temporary = path.with_name(f"{TEMPORARY_PREFIX}{os.getpid()}-{path.name}")
    try:
        fault_point(f"write {path.name}")
        with temporary.open("wb") as handle:
            handle.write(data)
            handle.flush()
            fault_point(f"fsync {path.name}")
            os.fsync(handle.fileno())
        fault_point(f"rename {path.name}")
        temporary.replace(path)
    except OSError as error:
        temporary.unlink(missing_ok=True)
        raise disk_error(error, path, len(data)) from error
    fsync_folder(path.parent)


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Yield a file to write that takes the place of ``path`` once it is whole; after an error ``path`` is as it was."""
    temporary = path.with_name(f"{TEMPORARY_PREFIX}{os.getpid()}-{path.name}")
    try:
        yield temporary
        _fsync_file(temporary)
        temporary.replace(path)
    except OSError as error:
        temporary.unlink(missing_ok=True)
        raise disk_error(error, path) from error
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    fsync_folder(path.parent)


def write_json_atomic(path: Path, value: Any) -> None:
    """Write ``value`` as indented JSON with sorted keys, atomically."""
    text = json.dumps(value, sort_keys=True, indent=1, ensure_ascii=False) + "\n"
    write_bytes_atomic(path, text.encode("utf-8"))


def disk_error(error: Exception, path: Path, num_bytes: int | None = None) -> Exception:
    """Return ``error``, or for a full disk an ``IntegrityError`` that says how much is needed, where that is known."""
    number = error.errno if isinstance(error, OSError) else None
    if number in FULL_DISK_ERRORS or (number is None and FULL_DISK_WORDS.search(str(error))):
        needed = "" if num_bytes is None else f"; {num_bytes} bytes are needed"
        return IntegrityError(
            f"cannot write {path.name}: the disk or the file limit is full{needed}. "
            "Free space and run the same command again"
        )
    return error


def require_free_bytes(folder: Path, needed: int) -> None:
    """Raise ``IntegrityError`` if the file system of ``folder`` has fewer than ``needed`` bytes free."""
    free = shutil.disk_usage(folder).free
    if free < needed:
        raise IntegrityError(f"{needed} bytes are needed in {folder}, {free} are free: free space or use another store")


def fsync_folder(folder: Path) -> None:
    """Make the names in ``folder`` durable."""
    fault_point(f"fsync folder {folder.name}")
    _fsync_file(folder)


def _fsync_file(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def regular_files(folder: Path) -> Iterator[Path]:
    """Yield every file below ``folder``, sorted; raise ``IntegrityError`` for links and special files."""
    for path in sorted(folder.rglob("*")):
        mode = path.lstat().st_mode
        if stat.S_ISREG(mode):
            yield path
        elif not stat.S_ISDIR(mode):
            raise IntegrityError(f"{path} is a link or a special file: a store holds regular files only")


def folder_stamp(folder: Path) -> tuple[tuple[str, int, int], ...]:
    """Return name, bytes and time of change of every file of a folder: while they are the same, so are its bytes."""
    stats = [(path.name, path.stat()) for path in sorted(folder.iterdir()) if path.is_file()]
    return tuple((name, each.st_size, each.st_mtime_ns) for name, each in stats)


def fsync_tree(folder: Path) -> None:
    """Make every file and name below ``folder`` durable."""
    for path in regular_files(folder):
        _fsync_file(path)
    for path in sorted((each for each in folder.rglob("*") if each.is_dir()), reverse=True):
        fsync_folder(path)
    fsync_folder(folder)


def publish_folder(temporary: Path, final: Path) -> None:
    """Rename a finished folder to its name and make that durable. Raises ``FileExistsError`` if it is taken."""
    fsync_tree(temporary)
    if final.exists():
        raise FileExistsError(f"{final} exists: names are never reused")
    fault_point(f"rename folder {final.parent.name}")
    temporary.rename(final)
    fsync_folder(final.parent)


def make_read_only(folder: Path) -> None:
    """Let all whom the umask lets read a new file read every file below ``folder``, and nobody write.

    Libraries make some files for their owner alone. Folders stay writable for deletion.
    """
    mode = _mode_of_new_files(folder) & ANYBODY_READS | stat.S_IRUSR
    for path in regular_files(folder):
        path.chmod(mode)


def _mode_of_new_files(folder: Path) -> int:
    """Return the permissions of a new file in ``folder``; to ask for the umask is to change it, for all threads."""
    path = folder / f"{TEMPORARY_PREFIX}{os.getpid()}-mode"
    with path.open("xb") as handle:
        mode = stat.S_IMODE(os.fstat(handle.fileno()).st_mode)
    path.unlink()
    return mode


def append_line(path: Path, line: str) -> None:
    """Append one line durably; ``line`` has no line break. A torn last line is ended first and stands alone."""
    if "\n" in line:
        raise ValueError("a line must not contain a line break")
    fault_point(f"append {path.name}")
    with path.open("ab+") as handle:
        torn = _ends_torn(handle)
        handle.write((b"\n" if torn else b"") + line.encode("utf-8") + b"\n")
        handle.flush()
        os.fsync(handle.fileno())


def _ends_torn(handle: BinaryIO) -> bool:
    if handle.seek(0, os.SEEK_END) == 0:
        return False
    handle.seek(-1, os.SEEK_END)
    return handle.read(1) != b"\n"


def whole_lines(path: Path) -> list[str]:
    """Return the complete lines of ``path``; a torn last line (no line break, or not UTF-8) is left out."""
    if not path.exists():
        return []
    parts = path.read_bytes().split(b"\n")[:-1]
    lines = []
    for part in parts:
        try:
            lines.append(part.decode("utf-8"))
        except UnicodeDecodeError as error:
            raise IntegrityError(f"{path} holds a line that is not UTF-8 (byte {error.start})") from error
    return lines


def remove_tree(folder: Path) -> None:
    """Delete ``folder`` with everything below it, read-only files included."""
    shutil.rmtree(folder, ignore_errors=False)
