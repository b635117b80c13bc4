"""Run jobs of a tree side by side: one spawned process per slot, parents before children.

Workers are long-lived (torch is imported once each) and poorer than their parent: no API keys, no telemetry,
no hub. A worker that vanishes fails its job and every job that waits for it; siblings go on.
"""

from __future__ import annotations

import os
import signal
import sys
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import dataclass
from errno import ENOMEM
from multiprocessing.queues import SimpleQueue
from threading import Thread
from typing import Any, Protocol

from upbringing.base.devices import NONE, VISIBLE
from upbringing.base.errors import InterruptedRunError, TrainingError, UpbringingError, UpbringingWarning
from upbringing.base.files import FULL_DISK_ERRORS
from upbringing.base.memory import children_keep_memory
from upbringing.base.parent import end_with_parent
from upbringing.base.surroundings import forget_surroundings, poor_context
from upbringing.models.devices import give_back_memory

SHORTAGE = (
    "free some, run fewer side by side or smaller micro-batches (accumulate), or compute activations twice "
    "(activation_checkpointing: true); what is done is kept"
)


@dataclass(frozen=True)
class Event:
    """One sign of life of a job: ``done`` of ``total`` units, with a short ``note`` such as a loss."""

    job: str
    done: int
    total: int
    note: str = ""


@dataclass(frozen=True)
class Said:
    """A warning of this project that a worker gave: the process that it works for gives it again."""

    warning: str


Heard = Event | Said | None  # ``None`` ends the queue


class Job(Protocol):
    """A picklable piece of work with a key, the keys it waits for, and a label for people."""

    @property
    def key(self) -> str:
        """Unique among the jobs of a run."""
        ...

    @property
    def after(self) -> tuple[str, ...]:
        """Keys of jobs that must be done first; keys that are not in the run count as done."""
        ...

    @property
    def label(self) -> str:
        """What a progress bar shows."""
        ...

    def run(self, report: Callable[[Event], None]) -> Any:
        """Do the work in this process."""
        ...


class Events(Protocol):
    """A queue that workers put events into; ``None`` ends it."""

    def get(self) -> Heard:
        """Wait for the next one."""
        ...

    def put(self, event: Heard, /) -> None:
        """Add one."""
        ...


@dataclass(frozen=True)
class Outcome:
    """What became of a job: its value, or the error that stopped it (or the job it waited for).

    ``label``: of the job; empty where whoever made the outcome does not know it.
    """

    key: str
    value: Any = None
    error: UpbringingError | None = None
    label: str = ""


SECONDS_FOR_LAST_EVENTS = 10.0  # they are there at once, unless the queue is broken

_events: SimpleQueue[Heard] | None = None  # set once per worker process by its initialiser


def _start_worker(events: SimpleQueue[Heard], threads: int, devices: SimpleQueue[str]) -> None:
    global _events  # noqa: PLW0603 - the only way a process pool hands a queue to its workers
    _events = events
    os.environ[VISIBLE] = devices.get()  # before torch is imported; a worker keeps what it has taken
    end_with_parent()
    signal.signal(
        signal.SIGINT, signal.SIG_IGN
    )  # a terminal tells all processes at once; the parent says what it means
    forget_surroundings(threads)
    _hand_on_warnings(events)


def _hand_on_warnings(events: SimpleQueue[Heard]) -> None:
    """Let this project's warnings be given by the parent, which knows how to show them, instead of printed raw here."""
    others = warnings.showwarning

    def show(message: Warning | str, category: type[Warning], *where: Any, **more: Any) -> None:
        if issubclass(category, UpbringingWarning):
            events.put(Said(str(message)))
        else:
            others(message, category, *where, **more)

    warnings.showwarning = show


def _run_job(job: Job) -> Any:
    events = _events
    assert events is not None
    try:
        return job.run(events.put)
    finally:
        _free_accelerators()


def _free_accelerators() -> None:
    """Give back what a job held on accelerators, if it did: the next one may start processes that need it."""
    torch = sys.modules.get("torch")
    if torch is not None and torch.cuda.is_initialized():
        give_back_memory()


def run_jobs(
    jobs: Sequence[Job],
    *,
    slots: int,
    threads: int,
    on_event: Callable[[Event], None],
    on_done: Callable[[Outcome], None] = lambda outcome: None,
    devices: Sequence[str] = (),
) -> dict[str, Outcome]:
    """Run all jobs, at most ``slots`` at once with ``threads`` threads each, and return their outcomes.

    ``devices``: the accelerators of each slot, as ``CUDA_VISIBLE_DEVICES`` names them; without any, workers see none.
    A failed job fails those that wait for it, never its siblings. ``InterruptedRunError`` stops the run. Whoever stops
    this process stops the workers politely.
    """
    context = poor_context()
    events: SimpleQueue[Heard] = context.SimpleQueue()
    lent: SimpleQueue[str] = context.SimpleQueue()
    for names in devices or [NONE] * slots:
        lent.put(names)
    pool = ProcessPoolExecutor(slots, mp_context=context, initializer=_start_worker, initargs=(events, threads, lent))
    with listening(events, on_event), children_keep_memory(), pool:
        try:
            return schedule(jobs, slots, lambda job: pool.submit(_run_job, job), on_done)
        except KeyboardInterrupt:
            for worker in list((pool._processes or {}).values()):  # a stage keeps its state, all else is begun anew
                worker.terminate()
            raise


@contextmanager
def listening(events: Events, on_event: Callable[[Event], None]) -> Iterator[None]:
    """Hand every event that workers put into ``events`` to ``on_event``, in a thread of its own."""
    failed: list[Exception] = []
    listener = Thread(target=_listen, args=(events, on_event, failed), daemon=True)
    listener.start()
    try:
        yield
    finally:
        # A worker that was killed while it wrote keeps the queue's lock for ever: whoever waits for it must not be us.
        Thread(target=events.put, args=(None,), daemon=True).start()
        listener.join(SECONDS_FOR_LAST_EVENTS)
    if failed:
        raise failed[0]


def _listen(events: Events, on_event: Callable[[Event], None], failed: list[Exception]) -> None:
    """Hear every event, also after a display has ``failed``: workers wait where nobody empties the queue."""
    while (event := events.get()) is not None:
        if failed:
            continue
        try:
            if isinstance(event, Said):
                warnings.warn(event.warning, UpbringingWarning, stacklevel=1)
            else:
                on_event(event)
        except Exception as error:
            failed.append(error)


def schedule(
    jobs: Sequence[Job],
    slots: int,
    submit: Callable[[Job], Future[Any]],
    on_done: Callable[[Outcome], None] = lambda outcome: None,
) -> dict[str, Outcome]:
    """Submit every job once all that it waits for is done, at most ``slots`` at once, and return the outcomes.

    A failed job fails those that wait for it, never its siblings. A vanished worker raises ``InterruptedRunError``.
    """
    waiting = {job.key: job for job in jobs}
    labels = {job.key: job.label for job in jobs}
    outcomes: dict[str, Outcome] = {}
    known = set(waiting)
    running: dict[Future[Any], str] = {}
    while waiting or running:
        for key, job in list(waiting.items()):
            open_parents = [parent for parent in job.after if parent in known and parent not in outcomes]
            failed = [parent for parent in job.after if parent in outcomes and outcomes[parent].error is not None]
            if failed:
                error = TrainingError(f"{job.label} was not built, because what it starts from failed")
                outcomes[key] = Outcome(key, error=error, label=job.label)
                on_done(outcomes[key])
                del waiting[key]
            elif not open_parents and len(running) < slots:
                running[submit(job)] = key
                del waiting[key]
        if not running:
            continue
        finished, _ = wait(running, return_when=FIRST_COMPLETED)
        for future in finished:
            key = running.pop(future)
            outcomes[key] = _outcome(key, future, labels[key])
            on_done(outcomes[key])
    return outcomes


def _outcome(key: str, future: Future[Any], label: str) -> Outcome:
    """Return how a job ended; a full disk or memory is a failure of that job, a defect of ours is raised as it is."""
    try:
        return Outcome(key, value=future.result(), label=label)
    except InterruptedRunError:
        raise
    except UpbringingError as error:
        return Outcome(key, error=error, label=label)
    except BrokenProcessPool:
        raise InterruptedRunError(
            "a worker process vanished (killed, or out of memory): run the same command again to resume"
        ) from None
    except Exception as error:
        if not _is_shortage(error):
            raise
        return Outcome(
            key, error=TrainingError(f"{label} ran out of memory or disk ({error}): {SHORTAGE}"), label=label
        )


def _is_shortage(error: Exception) -> bool:
    """Whether ``error`` says that the machine had too little of something; torch's own classes are known by name."""
    is_full = isinstance(error, OSError) and error.errno in (*FULL_DISK_ERRORS, ENOMEM)
    return is_full or isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError"


def failures(outcomes: Mapping[str, Outcome]) -> list[Outcome]:
    """Return the outcomes that failed."""
    return [outcome for outcome in outcomes.values() if outcome.error is not None]
