"""Is this machine ready? Versions, processor, memory, disk, browser and keys, without touching the network."""

from __future__ import annotations

import os
import platform
import shutil
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from upbringing.base.devices import has_fast_bf16, visible_accelerators
from upbringing.base.memory import machine_memory

KEY_NAMES = ("OPENAI_API_KEY", "ANTHROPIC_API_KEY", "HF_TOKEN")
BROWSERS = ("chromium", "chromium-browser", "google-chrome")
MEMORY_WANTED = 4 * 10**9  # the demo's two workers; one of the small real model's study holds 7 GB at its peak
FREE_BYTES_WANTED = 5 * 10**9  # the demo needs far less, a small real model study about this much


@dataclass(frozen=True)
class Check:
    """One thing looked at. ``is_needed``: the demo cannot run without it."""

    name: str
    found: str
    is_good: bool
    is_needed: bool = False


def doctor() -> list[Check]:
    """Return all checks in a fixed order. Keys are reported as present or absent, never shown."""
    return [
        Check("python", platform.python_version(), True, True),
        *[_library(name) for name in ("torch", "transformers", "trl", "peft", "accelerate", "datasets")],
        _torch_build(),
        Check("processor", f"{os.cpu_count()} cores, bf16 {'fast' if has_fast_bf16() else 'slow'}", True),
        _memory(),
        _disk(),
        _browser(),
        *[Check(f"key {name}", "present" if os.environ.get(name) else "absent", True) for name in KEY_NAMES],
    ]


def _library(name: str) -> Check:
    try:
        return Check(name, version(name), True, True)
    except PackageNotFoundError:
        return Check(name, "not installed: pip install 'upbringing[train]'", False, True)


def _torch_build() -> Check:
    try:
        build = version("torch")
    except PackageNotFoundError:
        return Check("torch build", "none", False)
    names = visible_accelerators()
    if build.endswith("+cpu"):
        unused = f", which cannot use the accelerators {', '.join(names)} of this machine" if names else ""
        return Check("torch build", f"CPU{unused}", not names)
    found = f"accelerators {', '.join(names)}" if names else "no accelerator in sight"
    return Check("torch build", f"with accelerator libraries, {found}", bool(names))


def _memory() -> Check:
    found = machine_memory()
    if found is None:
        return Check("memory", "not known", True)
    return Check("memory", f"{found / 1e9:.1f} GB", found >= MEMORY_WANTED)


def _disk() -> Check:
    free = shutil.disk_usage(Path.cwd()).free
    return Check("disk", f"{free / 1e9:.1f} GB free", free >= FREE_BYTES_WANTED)


def _browser() -> Check:
    found = next((path for name in BROWSERS if (path := shutil.which(name))), None)
    return Check("browser for tests", found or "none: apt-get install chromium", found is not None)
