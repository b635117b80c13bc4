"""What a process that works for us may know of its surroundings: a list of names, and no key is among them.

Removing keys once a child runs is too late: what starts with its interpreter (a package's ``.pth`` file) has read them
by then, and the system shows a process's first environment as long as it lives. So children are started poor.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing import resource_tracker
from multiprocessing.context import SpawnContext, SpawnProcess
from threading import Lock

ALLOWED_ENVIRONMENT = (
    "HOME",
    "LANG",
    "LC_ALL",
    "LD_LIBRARY_PATH",
    "LD_PRELOAD",
    "OMP_NUM_THREADS",
    "PATH",
    "PYTHONDONTWRITEBYTECODE",
    "PYTHONHASHSEED",
    "PYTHONHOME",
    "PYTHONIOENCODING",
    "PYTHONNOUSERSITE",
    "PYTHONPATH",
    "PYTHONUTF8",
    "SYSTEMROOT",
    "TEMP",
    "TMP",
    "TMPDIR",
    "TORCHINDUCTOR_CACHE_DIR",
    "UPBRINGING_FAULT_AT",
    "UPBRINGING_FAULT_LOG",
    "CUDA_DEVICE_ORDER",
    "CUDA_VISIBLE_DEVICES",
    "GLIBC_TUNABLES",
    "VIRTUAL_ENV",
)
FORCED_ENVIRONMENT = {
    "HF_DATASETS_OFFLINE": "1",
    "HF_HUB_DISABLE_IMPLICIT_TOKEN": "1",  # the hub's client reads a token from the home folder, too
    "HF_HUB_DISABLE_TELEMETRY": "1",
    "HF_HUB_OFFLINE": "1",
    "TOKENIZERS_PARALLELISM": "false",
    "TQDM_DISABLE": "1",  # the parent shows the progress
    "TRANSFORMERS_VERBOSITY": "error",
}

_starting = Lock()  # the environment is the process's: one start at a time


@contextmanager
def poor_surroundings(prefixes: tuple[str, ...] = ()) -> Iterator[None]:
    """Give processes that are started inside the allowed names and what is forced, and nothing else of this one's.

    ``prefixes``: names that begin with one of these are left as well. This process's own environment is poor meanwhile,
    for all its threads: start something and leave.
    """
    with _starting:
        before = dict(os.environ)
        try:
            _forget(prefixes)
            yield
        finally:
            for name in os.environ.keys() - before.keys():
                del os.environ[name]
            os.environ.update({name: value for name, value in before.items() if os.environ.get(name) != value})


class _PoorProcess(SpawnProcess):
    """A spawned process whose very first environment holds no key."""

    def start(self) -> None:
        """Start it."""
        with poor_surroundings():
            super().start()


class PoorContext(SpawnContext):
    """What ``multiprocessing.get_context("spawn")`` returns, but its processes are started poor."""

    Process = _PoorProcess


def poor_context() -> PoorContext:
    """Return the context for processes that work for us, and for their queues and pools."""
    with poor_surroundings():
        resource_tracker.ensure_running()  # a process as well, which the first queue would start with all that is here
    return PoorContext()


def forget_surroundings(threads: int) -> None:
    """Remove what a worker may not know from this process's environment; before torch is imported.

    For workers that others start, such as a cluster's, and as a second lock on the same door.
    """
    _forget(())
    os.environ["OMP_NUM_THREADS"] = str(threads)


def _forget(prefixes: tuple[str, ...]) -> None:
    for name in list(os.environ):
        if name not in ALLOWED_ENVIRONMENT and not (prefixes and name.startswith(prefixes)):
            del os.environ[name]
    os.environ.update(FORCED_ENVIRONMENT)
