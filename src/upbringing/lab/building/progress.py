"""Progress of long work: one line per job on a terminal, a line now and then elsewhere."""

from __future__ import annotations

import sys
import time
from collections.abc import Mapping
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

from upbringing.base.terminal import visible
from upbringing.lab.building.executor import Event, Outcome

SECONDS_BETWEEN_LINES = 30.0  # off a terminal, a log should not fill up


class ProgressBoard:
    """Shows the events of a run on standard error. On a terminal: bars; else: at most a line each 30 seconds."""

    def __init__(self, title: str, labels: Mapping[str, str], *, quiet: bool = False) -> None:
        self._title = title
        self._labels = labels
        self._quiet = quiet
        self._console = Console(stderr=True)
        self._bars = self._console.is_terminal and not quiet
        self._progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(bar_width=24),
            MofNCompleteColumn(),
            TimeRemainingColumn(compact=True),
            TextColumn("{task.fields[note]}"),
            console=self._console,
            disable=not self._bars,
        )
        self._tasks: dict[str, TaskID] = {}
        self._num_done = 0
        self._last_line = time.monotonic()
        self._whole: TaskID | None = None

    def __enter__(self) -> Self:
        self._progress.start()
        self._whole = self._progress.add_task(f"[bold]{escape(self._title)}", total=len(self._labels), note="")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._progress.stop()

    def event(self, event: Event) -> None:
        """Take note of one sign of life."""
        label = self._labels.get(event.job, event.job)
        if event.job not in self._tasks:
            self._tasks[event.job] = self._progress.add_task(escape(label), total=event.total, note="")
        self._progress.update(self._tasks[event.job], completed=event.done, total=event.total, note=escape(event.note))
        self._line(f"{self._counted()}; {label}: {event.done}/{event.total} {event.note}")

    def done(self, outcome: Outcome) -> None:
        """Take note that a job ended."""
        self._num_done += outcome.key in self._labels
        if outcome.key in self._tasks:
            self._progress.remove_task(self._tasks.pop(outcome.key))
        assert self._whole is not None
        self._progress.update(self._whole, completed=self._num_done)
        if outcome.error is not None:
            said = visible(f"{self._named(outcome)} failed: {outcome.error}")
            self._console.print(said, style="red", markup=False, highlight=False)
        self._line(self._counted())

    def _named(self, outcome: Outcome) -> str:
        """Return what people call a job; data, which no board is told of, keeps the key that finds it in the store."""
        if outcome.key in self._labels:
            return self._labels[outcome.key]
        return f"{outcome.label}, {outcome.key}" if outcome.label else outcome.key

    def _counted(self) -> str:
        return f"{self._num_done} of {len(self._labels)} done"

    def _line(self, text: str) -> None:
        if self._bars or self._quiet or time.monotonic() - self._last_line < SECONDS_BETWEEN_LINES:
            return
        self._last_line = time.monotonic()
        print(visible(f"{self._title}: {text}"), file=sys.stderr, flush=True)
