"""Counted fault points: the places at which a test may kill this process.

Every write, fsync and rename of ours passes one. ``UPBRINGING_FAULT_AT=n`` kills the process with SIGKILL at the
n-th of them; ``UPBRINGING_FAULT_LOG=path`` appends the name of each, so that a harness can count them.
"""

from __future__ import annotations

import os
import signal
from itertools import count

FAULT_AT = "UPBRINGING_FAULT_AT"
FAULT_LOG = "UPBRINGING_FAULT_LOG"

_passed = count(1)


def fault_point(name: str) -> None:
    """Note that the boundary ``name`` is reached, and die here if a test asked for it."""
    at, log = os.environ.get(FAULT_AT), os.environ.get(FAULT_LOG)
    if at is None and log is None:
        return
    number = next(_passed)
    if log is not None:
        descriptor = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
        try:
            os.write(descriptor, f"{name}\n".encode())
        finally:
            os.close(descriptor)
    if at is not None and number == int(at):
        os.kill(os.getpid(), signal.SIGKILL)
