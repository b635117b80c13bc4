"""Looks after a running segment: losses, states, polite signals, and numbers that are not finite."""

from __future__ import annotations

import math
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from upbringing.base.errors import InterruptedRunError, TrainingError
from upbringing.training.processes import Processes
from upbringing.training.state import TrainingState, save_state

SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGUSR1)  # a scheduler's notice, a person, Slurm's early warning
SECONDS_OF_ONE_REQUEST = 1.0  # a terminal or a scheduler tells a worker, and so does its parent


def nothing() -> None:
    """Do nothing about a request: whoever asks for it now and then will see it."""


@dataclass
class StopRequest:
    """Whether somebody has asked this process to stop. ``on_first``: what is done about it at once."""

    on_first: Callable[[], None] = nothing
    asked_at: float | None = None

    @property
    def is_made(self) -> bool:
        """Whether somebody has asked."""
        return self.asked_at is not None

    @contextmanager
    def heard(self) -> Iterator[None]:
        """Take polite signals for requests; a later one stops at once. In the main thread only."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        before = {number: signal.signal(number, lambda *_: self._ask()) for number in SIGNALS}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def _ask(self) -> None:
        now = time.monotonic()
        if self.asked_at is not None:
            if now - self.asked_at > SECONDS_OF_ONE_REQUEST:
                raise KeyboardInterrupt
            return
        self.asked_at = now
        self.on_first()


@dataclass
class Watch:
    """What is seen and decided around each update of a segment. ``losses``: of every step of the stage so far.

    ``snapshot(step)`` returns the training state; every process calls it, the first one writes.
    """

    name: str
    last: int
    workspace: Path
    seconds_between_states: float
    processes: Processes
    losses: list[float]
    snapshot: Callable[[int], TrainingState]
    on_progress: Callable[[int, int, float], None]
    request: StopRequest = field(default_factory=StopRequest)
    _saved: float = field(default_factory=time.monotonic)

    def before_update(self, step: int, loss: float, gradient_norm: float) -> None:
        """Record the loss; raise ``TrainingError`` before an update that would spread a number that is not finite."""
        loss = self.processes.mean([loss])[0]
        if not (math.isfinite(loss) and math.isfinite(gradient_norm)):
            raise TrainingError(
                f"stage {self.name!r}: at step {step} the loss is {loss} and the gradient norm {gradient_norm}: "
                "training stopped before the update; lower the learning rate or check the data"
            )
        self.losses.append(loss)

    def after_update(self, step: int) -> None:
        """Report; keep a state now and then; when asked to stop, keep one and raise ``InterruptedRunError``.

        No process says that it stopped before the state is kept: whoever started them ends the others then.
        """
        self.on_progress(step, self.last, self.losses[-1])
        if step >= self.last:
            return
        due = time.monotonic() - self._saved >= self.seconds_between_states and self.processes.writes
        stop, save = (each > 0 for each in self.processes.mean([self.request.is_made, due]))
        if save or stop:
            state = self.snapshot(step)
            if self.processes.writes:
                save_state(self.workspace, state)
            self._saved = time.monotonic()
        if stop:
            self.processes.wait()
            raise InterruptedRunError(f"stopped at step {step} of {self.name}; run the same command to resume")

    def signals(self) -> AbstractContextManager[None]:
        """Let polite signals wait for the end of the step; a later one stops at once. In the main thread only."""
        return self.request.heard()
