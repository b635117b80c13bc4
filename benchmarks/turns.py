"""A rival that runs inside a segment's progress callback, so that both see the same minutes of the machine."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import torch

from upbringing.base.memory import VARIABLE, children_keep_memory

SETTLING_BLOCKS = 2  # the first updates compile, allocate and warm up; they count for neither side


def start_as_workers_do() -> None:
    """Start this program anew with the memory settings that studies give their workers; the rival gets them too."""
    if VARIABLE not in os.environ:
        with children_keep_memory():
            os.execv(sys.executable, [sys.executable, *sys.argv])


@contextmanager
def as_nobody_asked() -> Iterator[None]:
    """Compute with torch's defaults, as a rival would, not with the segment's deterministic settings."""
    deterministic = torch.are_deterministic_algorithms_enabled()
    torch.use_deterministic_algorithms(mode=False)
    try:
        yield
    finally:
        torch.use_deterministic_algorithms(mode=deterministic)


@dataclass
class TakingTurns:
    """The progress callback of a segment: after each block of ``steps`` updates, the rival's turn.

    ``rival(block)`` returns its own speed or seconds. ``ours``: seconds of the segment's blocks, everything around its
    updates included (Trainer, hooks, determinism). The first block only starts the clock, a settling one is dropped.
    """

    rival: Callable[[int], float]
    steps: int
    ours: list[float] = field(default_factory=list)
    theirs: list[float] = field(default_factory=list)
    _block: int = 0
    _began: float = 0.0

    def __call__(self, step: int, total: int, loss: float) -> None:
        """Close a block of the segment and let the rival run its own."""
        if step % self.steps:
            return
        seconds = time.perf_counter() - self._began
        with as_nobody_asked():
            found = self.rival(self._block)
        if self._block >= SETTLING_BLOCKS:
            self.ours.append(seconds)
            self.theirs.append(found)
        self._block += 1
        self._began = time.perf_counter()
