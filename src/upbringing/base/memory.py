"""How much memory there is, and processes that keep what they free, so that a step does not fetch the same pages anew.

An update of a small model frees and takes tens of buffers of 0.2 to 4 MB. The C library of Linux gives such blocks back
to the system at once, and every page of the next one is then faulted in and cleared anew: 2,000 to 3,000 faults per
update, a quarter to a half of its processor time on a virtual machine (docs/log.md). The library reads its settings
when a process starts, so they must stand in the environment of whoever starts it.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

VARIABLE = "GLIBC_TUNABLES"
KEEPING = {
    "glibc.malloc.mmap_max": "0",  # large blocks come from the heap too, which can be kept
    "glibc.malloc.trim_threshold": "8589934592",  # bytes free at the heap's end before any are given back
    "glibc.malloc.top_pad": "67108864",
    "glibc.malloc.hugetlb": "1",  # ask for huge pages, where the system grants them: fewer faults and look-ups
}


@contextmanager
def children_keep_memory() -> Iterator[None]:
    """Make processes started inside keep what they free; what a person set in ``GLIBC_TUNABLES`` goes before.

    Systems without the GNU C library ignore it. The memory of a child stays at its peak until it ends.
    """
    before = os.environ.get(VARIABLE)
    own = [part for part in (before or "").split(":") if part]
    named = {part.partition("=")[0] for part in own}
    more = [f"{name}={value}" for name, value in KEEPING.items() if name not in named]
    os.environ[VARIABLE] = ":".join([*own, *more])
    try:
        yield
    finally:
        if before is None:
            del os.environ[VARIABLE]
        else:
            os.environ[VARIABLE] = before


def machine_memory() -> int | None:
    """Return the bytes of memory of this machine, ``None`` on a system that does not say."""
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, OSError, ValueError):
        return None
