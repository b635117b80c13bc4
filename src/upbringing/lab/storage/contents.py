"""What lies in a store: an overview, one checkpoint's facts, a copy to take away, and what no study needs any more."""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from upbringing.base.errors import IntegrityError, StudyError
from upbringing.base.files import remove_tree, write_json_atomic
from upbringing.base.manifest import check_manifest
from upbringing.formats.record import Record, read_record
from upbringing.lab.storage.store import ROOMS, Room, Store

REFERENCES_NAME = "references.json"
SHORTEST_PREFIX = 6  # of a key; shorter ones are typing errors rather than names
OLD_HOURS = 24.0  # younger things may belong to a run that has not written down yet what it needs
SECONDS_PER_HOUR = 3600


@dataclass(frozen=True)
class RoomStatus:
    """How much lies in one room."""

    num_entries: int
    num_bytes: int


@dataclass(frozen=True)
class StoreStatus:
    """``studies``: per study, how many of the checkpoints it needs are there with all files, and how many it needs."""

    rooms: dict[str, RoomStatus]
    studies: dict[str, tuple[int, int]]
    num_quarantined: int
    num_unfinished: int


@dataclass(frozen=True)
class Garbage:
    """Entries that no study needs, as ``room/key``. ``removed``: whether they are gone now."""

    entries: tuple[str, ...]
    num_bytes: int
    removed: bool


def status(store: Path | str) -> StoreStatus:
    """Return what lies in the store at ``store``; raises ``StudyError`` if there is none."""
    opened = existing_store(store)
    return StoreStatus(
        rooms={room: _room(opened, room) for room in ROOMS},
        studies={
            name: (sum(_is_whole(opened.path("checkpoints", key)) for key in needed["checkpoints"]), needed_number)
            for name, needed in references(opened).items()
            for needed_number in (len(needed["checkpoints"]),)
        },
        num_quarantined=sum(1 for _ in (opened.root / "quarantine").iterdir()),
        num_unfinished=sum(1 for _ in (opened.root / "workspaces").iterdir()),
    )


def _is_whole(folder: Path) -> bool:
    """Whether all files of an entry are there with their sizes; ``verify`` hashes them."""
    try:
        check_manifest(folder, full=False)
    except IntegrityError:
        return False
    return True


def show(store: Path | str, key: str) -> Record:
    """Return the record of the checkpoint whose key is or begins with ``key``; its folder is re-hashed first."""
    return read_record(_checkpoint(existing_store(store), key))


def export(store: Path | str, key: str, folder: Path | str) -> Path:
    """Copy the checkpoint ``key`` (or the one it begins) into the new folder ``folder``, re-hashed, and return it.

    The copy is a plain Hugging Face folder with its record and model card. Raises ``StudyError`` if ``folder`` exists,
    and for an emulated checkpoint, which is no folder of weights.
    """
    folder = Path(folder)
    if folder.exists():
        raise StudyError(f"{folder} exists already: name a new folder")
    source = _checkpoint(existing_store(store), key)
    if (emulated := read_record(source).emulated) is not None:
        parts = ", ".join(part.id for part in (emulated.at, emulated.plus, emulated.minus))
        raise StudyError(f"{source.name} has no weights: three checkpoints answer for it, export those ({parts})")
    shutil.copytree(source, folder, copy_function=shutil.copyfile)  # without the store's read-only bits
    folder.chmod(0o755)
    return folder


def gc(store: Path | str, *, remove: bool = False, older_than_hours: float = OLD_HOURS) -> Garbage:
    """Find (and with ``remove`` delete) what no study of the store needs and nobody touched for a while.

    Raises ``IntegrityError`` where a study's list of what it needs is torn: then nothing is known to be garbage.
    """
    opened = existing_store(store)
    needed = references(opened)
    oldest = time.time() - older_than_hours * SECONDS_PER_HOUR
    entries: list[tuple[str, Path]] = []
    for room in ROOMS:
        kept = {key for study in needed.values() for key in study[room]}
        entries += [
            (f"{room}/{key}", path)
            for key in opened.keys(room)
            if key not in kept and (path := opened.path(room, key)).stat().st_mtime < oldest
        ]
    size = sum(_num_bytes(path) for _, path in entries)
    for name, path in entries if remove else ():
        with opened.claim(name.replace("/", "-"), wait=False):
            remove_tree(path)
    return Garbage(tuple(name for name, _ in entries), size, remove)


def write_references(folder: Path, needed: Mapping[Room, list[str]], *, in_part: bool = False) -> None:
    """Write down in a study's folder what it needs; what it wrote about other rooms before is kept.

    ``in_part``: only some arms were looked at, so that what the others need is kept too.
    """
    known = _read(folder / REFERENCES_NAME) if (folder / REFERENCES_NAME).exists() else {room: [] for room in ROOMS}
    now = {room: sorted({*keys, *(known[room] if in_part else ())}) for room, keys in needed.items()}
    write_json_atomic(folder / REFERENCES_NAME, {**known, **now})


def references(store: Store) -> dict[str, dict[str, list[str]]]:
    """Return what each study needs, by room; raises ``IntegrityError`` where that was torn or never written."""
    return {
        folder.name: _read(folder / REFERENCES_NAME)
        for folder in sorted((store.root / "studies").iterdir())
        if (folder / REFERENCES_NAME).exists() or (folder / "results").exists()
    }


def _read(path: Path) -> dict[str, list[str]]:
    try:
        content: Any = json.loads(path.read_bytes())
        return {
            room: [str(key) for key in (content if room != "existing" else {"existing": (), **content})[room]]
            for room in ROOMS
        }
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise IntegrityError(
            f"{path} is missing or torn, so what {path.parent.name!r} needs is unknown: run the study again"
        ) from error


def existing_store(root: Path | str) -> Store:
    """Return the store at ``root``; raises ``StudyError`` rather than making one."""
    if not (Path(root) / "checkpoints").is_dir():
        raise StudyError(f"{root} is no store: name one with --store, or run a study first")
    return Store(root)


def _checkpoint(store: Store, key: str) -> Path:
    found = [each for each in store.keys("checkpoints") if each == key or each.startswith(key)]
    if len(key) < SHORTEST_PREFIX or len(found) != 1:
        listed = f": {', '.join(found[:3])} ..." if len(found) > 1 else ""
        raise StudyError(
            f"{key!r} names {len(found)} checkpoints of the store{listed}; "
            f"give a key or at least its first {SHORTEST_PREFIX} characters (tree.json of a study lists them)"
        )
    folder = store.find("checkpoints", found[0], full=True)
    if folder is None:
        raise IntegrityError(f"the checkpoint {found[0]} was damaged and is in quarantine now: run its study again")
    return folder


def _room(store: Store, room: Room) -> RoomStatus:
    keys = store.keys(room)
    return RoomStatus(len(keys), sum(_num_bytes(store.path(room, key)) for key in keys))


def _num_bytes(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
