"""A worker process ends when whoever started it is gone, however that happened."""

from __future__ import annotations

import os
from multiprocessing import parent_process
from threading import Thread


def end_with_parent() -> None:
    """Watch the parent from a thread of this process, and leave at once where it has vanished.

    A parent that is killed cannot tell its workers, which would go on for minutes and hold the locks of what they
    build. What they were writing is resumed or begun anew like after any kill. In a process without a parent nothing is
    watched.
    """
    Thread(target=_wait, daemon=True).start()


def _wait() -> None:
    parent = parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)
