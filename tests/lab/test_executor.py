"""What ends a run whose worker was killed at the worst moment, and what may be shown of why a job failed."""

from __future__ import annotations

import threading
import time

import pytest

from upbringing.base.errors import DataError
from upbringing.lab.building import executor
from upbringing.lab.building.executor import Event, Outcome, listening
from upbringing.lab.building.progress import ProgressBoard


class Locked:
    """A queue whose lock a killed worker took along."""

    def get(self) -> Event | None:
        threading.Event().wait()
        return None

    def put(self, event: Event | None, /) -> None:
        threading.Event().wait()


def test_a_run_ends_where_the_queue_never_comes_free(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(executor, "SECONDS_FOR_LAST_EVENTS", 0.2)
    ended = threading.Event()

    def run() -> None:
        with listening(Locked(), lambda event: None):
            pass
        ended.set()

    threading.Thread(target=run, daemon=True).start()
    assert ended.wait(5.0)


def test_events_are_all_heard_before_a_run_ends() -> None:
    import queue

    heard: list[Event] = []
    events: queue.SimpleQueue[Event | None] = queue.SimpleQueue()

    def slowly(event: Event) -> None:
        time.sleep(0.01)
        heard.append(event)

    with listening(events, slowly):
        for number in range(20):
            events.put(Event("job", number, 20))
    assert [event.done for event in heard] == list(range(20))


def test_what_a_job_failed_of_cannot_drive_the_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    hostile = "TemplateError: \x1b[2J\x1b]0;title\x07 \u202egnp"
    with ProgressBoard("training", {"job": "main: sft"}) as board:
        board._last_line = -1e9
        board.event(Event("job", 1, 2, hostile))
        board.done(Outcome("job", error=DataError(f"the chat template does not render: {hostile}")))
    shown = capsys.readouterr().err
    assert "does not render" in shown
    assert not {"\x1b", "\x07", "\u202e"} & set(shown)
