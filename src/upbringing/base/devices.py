"""What our processes may compute on here, found without importing torch: the processor, and accelerators lent to us."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Literal

from upbringing.base.errors import TrainingError

VISIBLE = "CUDA_VISIBLE_DEVICES"  # how a scheduler, a person and we ourselves say which ones a process may use
NONE = ""  # the value of ``VISIBLE`` that hides them all
PROCESSOR_FILE = Path("/proc/cpuinfo")
FAST_BF16_FLAGS = ("amx_bf16", "avx512_bf16")  # without them bf16 is emulated and slower than fp32
DEVICE_FILES = Path("/dev")
DRIVER_FILES = Path("/proc/driver/nvidia/gpus")
DEVICE_FILE = re.compile(r"^nvidia\d+$")


def has_fast_bf16() -> bool:
    """Return whether the processor multiplies in bf16 itself."""
    try:
        flags = PROCESSOR_FILE.read_text(encoding="utf-8")
    except OSError:
        return False
    return any(flag in flags for flag in FAST_BF16_FLAGS)


def visible_accelerators() -> tuple[str, ...]:
    """Return the names by which ``CUDA_VISIBLE_DEVICES`` knows the accelerators that this process may use.

    What stands in that variable goes before what the system lists; as for the driver, a negative number ends it.
    """
    given = os.environ.get(VISIBLE)
    if given is None:
        return tuple(str(number) for number in range(_num_device_files()))
    names: list[str] = []
    for name in (part.strip() for part in given.split(",")):
        if not name or name.startswith("-"):
            break
        names.append(name)
    return tuple(names)


def usable_accelerators() -> tuple[str, ...]:
    """Return the visible ones, or none where torch is not installed or was built for processors alone."""
    try:
        build = version("torch")
    except PackageNotFoundError:
        return ()
    return () if build.endswith("+cpu") else visible_accelerators()


def device_here() -> Literal["cpu", "cuda"]:
    """Return where this process computes what no study has fixed the device of."""
    return "cuda" if usable_accelerators() else "cpu"


def accelerator_groups(names: Sequence[str], size: int) -> tuple[str, ...]:
    """Return values of ``CUDA_VISIBLE_DEVICES`` for as many jobs of ``size`` processes as ``names`` are enough for."""
    return tuple(",".join(names[begin : begin + size]) for begin in range(0, len(names) - size + 1, size))


def require_accelerator(device: str, size: int) -> None:
    """Raise ``TrainingError`` where a model is to be computed on an accelerator and this process can use none.

    ``size``: processes that train a stage together, each on one of its own.
    """
    if device == "cpu" or usable_accelerators():
        return
    raise TrainingError(
        f"the study computes on {device}, {size} to a stage, and torch can use none here: `upbringing doctor` says "
        f"what was found, {VISIBLE} which ones may be used; or set device: cpu, under another name if nodes are built"
    )


def accelerator_models() -> tuple[str, ...]:
    """Return what the driver calls the accelerators of this machine, sorted; nothing where it does not say."""
    found = []
    for path in sorted(DRIVER_FILES.glob("*/information")):
        try:
            lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
        except OSError:
            continue
        found += [line.partition(":")[2].strip() for line in lines if line.startswith("Model:")]
    return tuple(sorted(found))


def _num_device_files() -> int:
    try:
        return sum(bool(DEVICE_FILE.match(path.name)) for path in DEVICE_FILES.iterdir())
    except OSError:  # a system without such a folder
        return 0
