"""A manifest written last: every file of a folder with its size and sha256.

A folder without a whole manifest is not finished; a folder whose files do not match it is damaged. Both are
errors that name the file, and nothing of such a folder is ever loaded.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from upbringing.base.errors import IntegrityError
from upbringing.base.files import regular_files, write_json_atomic
from upbringing.base.fingerprint import file_sha256, fingerprint

MANIFEST_NAME = "manifest.json"
MANIFEST_SCHEMA_VERSION = 1


def write_manifest(folder: Path, **facts: Any) -> str:
    """Write ``manifest.json`` for everything now in ``folder`` and return its digest. Call it last."""
    files = {
        path.relative_to(folder).as_posix(): {"bytes": path.stat().st_size, "sha256": file_sha256(path)}
        for path in regular_files(folder)
        if path.name != MANIFEST_NAME
    }
    content = {"schema_version": MANIFEST_SCHEMA_VERSION, "files": files, "facts": facts}
    digest = fingerprint(content)
    write_json_atomic(folder / MANIFEST_NAME, {**content, "sha256": digest})
    return digest


def read_manifest(folder: Path) -> dict[str, Any]:
    """Return the manifest of ``folder``; raise ``IntegrityError`` if it is missing, torn or altered."""
    path = folder / MANIFEST_NAME
    try:
        content = json.loads(path.read_bytes())
        digest = content.pop("sha256")
        whole = isinstance(content, dict) and fingerprint(content) == digest
    except FileNotFoundError:
        raise IntegrityError(f"{folder.name} has no {MANIFEST_NAME}: it was never finished") from None
    except (OSError, ValueError, KeyError, AttributeError, TypeError):
        whole = False
    if not whole:
        raise IntegrityError(f"{path.name} of {folder.name} is torn or was altered")
    manifest: dict[str, Any] = content
    return manifest


def check_manifest(folder: Path, *, full: bool) -> dict[str, Any]:
    """Return the manifest's facts if the folder is whole; raise ``IntegrityError`` naming the first bad file.

    ``full`` re-hashes every file; otherwise only names and sizes are compared.
    """
    manifest = read_manifest(folder)
    listed: dict[str, Any] = manifest["files"]
    found = {path.relative_to(folder).as_posix() for path in regular_files(folder)} - {MANIFEST_NAME}
    for name in sorted(set(listed) - found):
        raise IntegrityError(f"{folder.name}: {name} is missing")
    for name in sorted(found - set(listed)):
        raise IntegrityError(f"{folder.name}: {name} was added after the folder was finished")
    for name, entry in sorted(listed.items()):
        size = (folder / name).stat().st_size
        if size != entry["bytes"]:
            raise IntegrityError(f"{folder.name}: {name} has {size} bytes, its manifest says {entry['bytes']}")
        if full and file_sha256(folder / name) != entry["sha256"]:
            raise IntegrityError(f"{folder.name}: the bytes of {name} are not the ones that were written")
    facts: dict[str, Any] = manifest["facts"]
    return facts


def check_copy(folder: Path, patterns: Sequence[str]) -> None:
    """Raise ``IntegrityError`` where files of a copied folder are not those that its manifest lists, all re-hashed.

    ``patterns``: names of the files that decide what the folder is. Others may come and go, as a card does that a hub
    edits; links are followed, as a hub's cache keeps files.
    """
    listed: dict[str, Any] = read_manifest(folder)["files"]
    found = {path.name for path in folder.iterdir() if path.is_file()}
    for name in sorted(name for name in {*listed, *found} if any(fnmatchcase(name, each) for each in patterns)):
        if name not in found:
            raise IntegrityError(f"{name} is missing, which its {MANIFEST_NAME} lists")
        if name not in listed:
            raise IntegrityError(f"{name} was added, which its {MANIFEST_NAME} does not list")
        is_same_size = (folder / name).stat().st_size == listed[name]["bytes"]
        if not is_same_size or file_sha256(folder / name) != listed[name]["sha256"]:
            raise IntegrityError(f"{name} is not the file that its {MANIFEST_NAME} lists")
