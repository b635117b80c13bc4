"""The store: immutable folders under their keys, published whole, checked before they are used.

Rooms: ``checkpoints`` (publishable), ``states`` (optimiser and random state, to continue a stage), ``data``
(tokenizers and streams), ``rows``, ``existing`` (checkpoints of others, fetched), ``studies`` (results and what was
planned). Nothing is ever changed in
place; whoever finds damage moves it to ``quarantine`` and treats it as absent.
"""

from __future__ import annotations

import json
import os
import re
import socket
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from itertools import count
from pathlib import Path
from typing import Literal

from filelock import FileLock, Timeout

from upbringing.base.errors import HeldError, IntegrityError, StudyError, UpbringingWarning
from upbringing.base.files import (
    TEMPORARY_PREFIX,
    disk_error,
    make_read_only,
    publish_folder,
    regular_files,
    remove_tree,
    write_json_atomic,
)
from upbringing.base.manifest import check_manifest, write_manifest

Room = Literal["checkpoints", "states", "data", "rows", "existing"]
ROOMS: tuple[Room, ...] = ("checkpoints", "states", "data", "rows", "existing")
OTHER_FOLDERS = ("studies", "workspaces", "recipes", "locks", "quarantine", "answers")
KEY_PATTERN = re.compile(r"^[a-z0-9][a-z0-9._-]{0,127}$")
SINCE_FORMAT = "%Y-%m-%d %H:%M:%S UTC"
Statuses = tuple[tuple[str, int, int, int, int], ...]  # name, size, inode, and when content and status changed

_hashed: dict[Path, Statuses] = {}  # folders whose every byte this process has hashed, as they were then


class Store:
    """A folder of finished things. Opening it creates the rooms, unless it is opened only to be read."""

    def __init__(self, root: Path | str, *, reads_only: bool = False) -> None:
        self.root = Path(root).absolute()
        self.reads_only = reads_only
        for name in (*ROOMS, *OTHER_FOLDERS):
            folder = self.root / name
            if folder.is_symlink():
                raise IntegrityError(f"{folder} is a symbolic link: a store's parts must be real folders")
            if not reads_only:
                folder.mkdir(parents=True, exist_ok=True)

    def path(self, room: str, key: str) -> Path:
        """Return where ``key`` lies in ``room``, whether it is there or not."""
        if not KEY_PATTERN.match(key):
            raise StudyError(f"a key matches {KEY_PATTERN.pattern}, found {key!r}")
        return self.root / room / key

    def find(self, room: Room, key: str, *, full: bool = False) -> Path | None:
        """Return the folder of ``key`` if it is whole, else ``None``; damage is quarantined and warned about."""
        folder = self.path(room, key)
        if folder.is_symlink():
            raise IntegrityError(f"{folder} is a symbolic link: remove it")
        if not folder.is_dir():
            return None
        try:
            check_manifest(folder, full=full)
        except IntegrityError as error:
            return self._quarantined(folder, error)
        return folder

    def whole(self, room: Room, key: str) -> Path | None:
        """Return the folder of ``key`` if every byte is the one that was published, else ``None``, as ``find`` does.

        A folder is hashed once per process, and again when the status of one of its files has changed since.
        """
        folder = self.path(room, key)
        if folder in _hashed and folder.is_dir() and _hashed[folder] == _statuses(folder):
            return self.find(room, key)
        found = self.find(room, key, full=True)
        if found is not None:
            _hashed[folder] = _statuses(folder)
        return found

    def publish(self, room: Room, key: str, fill: Callable[[Path], None]) -> Path:
        """Return the folder of ``key``, made by ``fill`` if it was not there or was damaged.

        ``fill`` writes into an empty folder of the same file system. Only one process fills a key at a time;
        what a killed process left behind is removed first.
        """
        found = self.whole(room, key)
        if found is not None:
            return found
        if self.reads_only:
            raise IntegrityError(f"{self.root} was opened only to be read: {room}/{key} cannot be written")
        with self.claim(f"{room}-{key}"):
            found = self.whole(room, key)
            if found is not None:
                return found
            final = self.path(room, key)
            temporary = final.with_name(f"{TEMPORARY_PREFIX}{key}")
            if temporary.exists():
                remove_tree(temporary)
            temporary.mkdir()
            try:
                fill(temporary)
                write_manifest(temporary)
                make_read_only(temporary)
                publish_folder(temporary, final)
            except BaseException as error:
                if temporary.exists():
                    remove_tree(temporary)
                known = disk_error(error, final) if isinstance(error, Exception) else error
                if known is error:
                    raise
                raise known from error
            return final

    @contextmanager
    def claim(self, key: str, *, wait: bool = True, said: str = "") -> Iterator[None]:
        """Hold ``key`` for this process; a holder that dies frees it at once (the lock is the kernel's).

        With ``wait`` false, raises ``HeldError`` that names the holder. ``said``: what a holder is doing, in words.
        """
        path = self.path("locks", key)
        lock = FileLock(path.with_name(f"{key}.lock"))
        owner = path.with_name(f"{key}.owner.json")
        try:
            lock.acquire(timeout=-1 if wait else 0)
        except Timeout:
            doing = said or f"{key} is being built"
            raise HeldError(f"{doing} by {_owner_text(owner)}: wait for it, or stop it") from None
        try:
            since = datetime.now(UTC).strftime(SINCE_FORMAT)
            write_json_atomic(owner, {"host": socket.gethostname(), "process": os.getpid(), "since": since})
            yield
            owner.unlink(missing_ok=True)
        finally:
            lock.release()

    def workspace(self, key: str) -> Path:
        """Return a scratch folder that survives a kill, for work on ``key``."""
        folder = self.path("workspaces", key)
        folder.mkdir(exist_ok=True)
        return folder

    def discard_workspace(self, key: str) -> None:
        """Delete the scratch folder of ``key``."""
        folder = self.path("workspaces", key)
        if folder.exists():
            remove_tree(folder)

    def alias(self, recipe_key: str, content_key: str) -> None:
        """Remember which content a recipe came to."""
        write_json_atomic(self.path("recipes", recipe_key).with_suffix(".json"), {"content": content_key})

    def resolve(self, recipe_key: str) -> str | None:
        """Return the content key that ``recipe_key`` came to, or ``None`` if it was never built."""
        try:
            content = json.loads(self.path("recipes", recipe_key).with_suffix(".json").read_bytes())["content"]
        except (OSError, ValueError, KeyError, TypeError):
            return None
        return content if isinstance(content, str) and KEY_PATTERN.match(content) else None

    def study_folder(self, name: str) -> Path:
        """Return the folder of a study's results, created if needed."""
        folder = self.path("studies", name)
        if not self.reads_only:
            folder.mkdir(exist_ok=True)
        return folder

    def keys(self, room: Room) -> list[str]:
        """Return the keys of everything published in ``room``, sorted."""
        return sorted(each.name for each in (self.root / room).iterdir() if KEY_PATTERN.match(each.name))

    def _quarantined(self, folder: Path, error: IntegrityError) -> Path | None:
        """Move a damaged folder away; return it only where another process did so first and has made it anew."""
        if self.reads_only:
            warnings.warn(f"{error}. A run will move it to quarantine and rebuild it", UpbringingWarning, stacklevel=3)
            return None
        with self.claim("quarantine"):
            if not folder.is_dir():
                return None
            try:
                check_manifest(folder, full=True)
            except IntegrityError:
                target = self._free_name(f"{folder.parent.name}-{folder.name}")
                folder.rename(target)
            else:
                return folder
        warnings.warn(
            f"{error}. It was moved to quarantine/{target.name} and will be rebuilt", UpbringingWarning, stacklevel=3
        )
        return None

    def _free_name(self, name: str) -> Path:
        """Return a name in quarantine that nothing has."""
        names = (self.root / "quarantine" / f"{number}-{name}" for number in count())
        return next(path for path in names if not path.exists())


def notes_key(study: str) -> str:
    """Return the name of the lock of what a study notes down in its folder."""
    return f"notes-{study}"


def _statuses(folder: Path) -> Statuses:
    found = []
    for path in regular_files(folder):
        status = path.stat()
        found.append((str(path), status.st_size, status.st_ino, status.st_mtime_ns, status.st_ctime_ns))
    return tuple(found)


def _owner_text(path: Path) -> str:
    try:
        owner = json.loads(path.read_bytes())
        return f"process {owner['process']} on {owner['host']} since {owner['since']}"
    except (OSError, ValueError, KeyError, TypeError):
        return "another process"
