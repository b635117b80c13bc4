"""Progress of a corpus on standard error: documents and megabytes per second, and what is left."""

from __future__ import annotations

import sys
import time
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

from upbringing.base.terminal import visible
from upbringing.lab.building.progress import SECONDS_BETWEEN_LINES

BYTES_PER_MEGABYTE = 1e6


class CorpusBoard:
    """Shows one pass after the other. On a terminal: a bar; else: at most a line each 30 seconds."""

    def __init__(self, *, quiet: bool = False) -> None:
        self._quiet = quiet
        console = Console(stderr=True)
        self._bars = console.is_terminal and not quiet
        self._progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(bar_width=24),
            TextColumn("{task.fields[note]}"),
            TimeRemainingColumn(compact=True),
            console=console,
            disable=not self._bars,
        )
        self._task: TaskID | None = None
        self._pass, self._documents, self._bytes, self._total = "", 0, 0, 0
        self._began = self._last_line = time.monotonic()

    def __enter__(self) -> Self:
        self._progress.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._progress.stop()

    def start(self, name: str, total_bytes: int = 0) -> None:
        """Begin a pass over so many bytes; 0 = not known."""
        if self._task is not None:
            self._progress.remove_task(self._task)
        self._pass, self._documents, self._bytes, self._total = visible(name), 0, 0, total_bytes
        self._began = time.monotonic()
        self._task = self._progress.add_task(escape(self._pass), total=total_bytes or None, note="")
        self._line(f"{self._pass} ...")

    def advance(self, documents: int, num_bytes: int) -> None:
        """Take note of a piece that is done."""
        self._documents += documents
        self._bytes += num_bytes
        seconds = max(time.monotonic() - self._began, 1e-9)
        speed = f"{self._documents / seconds:,.0f} documents/s, {self._bytes / BYTES_PER_MEGABYTE / seconds:,.1f} MB/s"
        assert self._task is not None
        self._progress.update(self._task, completed=self._bytes, note=speed)
        self._line(f"{self._pass}: {self._bytes / max(self._total, 1):.0%}, {self._documents:,} documents, {speed}")

    def _line(self, text: str) -> None:
        if self._bars or self._quiet or time.monotonic() - self._last_line < SECONDS_BETWEEN_LINES:
            return
        self._last_line = time.monotonic()
        print(text, file=sys.stderr, flush=True)
