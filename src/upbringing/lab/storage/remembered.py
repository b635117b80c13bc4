"""What plans found out (facts of data, speeds of this machine), kept in the store so that the next plan is instant."""

from __future__ import annotations

import errno
import json
import os
import platform
from functools import cache
from pathlib import Path
from typing import Any

from upbringing.base.devices import accelerator_models
from upbringing.base.files import write_json_atomic
from upbringing.base.fingerprint import fingerprint
from upbringing.lab.storage.store import Store

FOLDER = "plans"  # the only folder that planning ever writes
READ_ONLY = (errno.EACCES, errno.EPERM, errno.EROFS)
KEY_CHARACTERS = 40  # of a sha256; collisions are out of reach


def remembered_key(kind: str, decided_by: object) -> str:
    """Return the name of what was found out: its kind and the fingerprint of everything that decides it."""
    return f"{kind}-{fingerprint(decided_by)[:KEY_CHARACTERS]}"


@cache
def machine_facts() -> list[str]:
    """Return what tells this machine from others: its processor, how many, its system, and its accelerators."""
    cpuinfo = Path("/proc/cpuinfo")
    text = cpuinfo.read_text(encoding="utf-8") if cpuinfo.exists() else ""
    names = sorted({line.partition(":")[2].strip() for line in text.splitlines() if line.startswith("model name")})
    system = [platform.machine(), platform.system(), str(os.cpu_count()), *(names or [platform.processor()])]
    return [*system, *accelerator_models()]


def recall(store: Store, key: str) -> Any:
    """Return what was kept under ``key``; ``None`` where nothing was, or where it is torn."""
    try:
        return json.loads((store.root / FOLDER / f"{key}.json").read_bytes())
    except (OSError, ValueError):
        return None


def keep(store: Store, key: str, value: Any) -> None:
    """Keep a plain value under ``key``; where nothing can be written, the next plan finds it out again."""
    folder = store.root / FOLDER
    try:
        folder.mkdir(parents=True, exist_ok=True)
        write_json_atomic(folder / f"{key}.json", value)
    except OSError as error:
        if error.errno not in READ_ONLY:
            raise
