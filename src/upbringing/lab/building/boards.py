"""The progress of a run shown on standard error."""

from __future__ import annotations

from collections.abc import Sequence

from upbringing.lab.building.executor import Event, Job, Outcome
from upbringing.lab.building.progress import ProgressBoard
from upbringing.lab.run import Watch


class BoardWatch(Watch):
    """Opens a progress board per batch of jobs."""

    def __init__(self, *, quiet: bool = False) -> None:
        self._quiet = quiet
        self._board: ProgressBoard | None = None

    def start(self, title: str, jobs: Sequence[Job]) -> None:
        """Open a board."""
        self._board = ProgressBoard(title, {job.key: job.label for job in jobs}, quiet=self._quiet).__enter__()

    def event(self, event: Event) -> None:
        """Show a sign of life."""
        if self._board is not None:
            self._board.event(event)

    def done(self, outcome: Outcome) -> None:
        """Show that a job ended."""
        if self._board is not None:
            self._board.done(outcome)

    def stop(self) -> None:
        """Close the board."""
        if self._board is not None:
            self._board.__exit__(None, None, None)
            self._board = None
