"""What a worker takes for one request to stop, and what for a second."""

from __future__ import annotations

import os
import signal

import pytest

from upbringing.training import watch as module
from upbringing.training.watch import StopRequest


def test_a_terminal_and_the_parent_that_say_the_same_ask_once() -> None:
    done: list[str] = []
    request = StopRequest(lambda: done.append("told the others"))
    with request.heard():
        os.kill(os.getpid(), signal.SIGINT)
        os.kill(os.getpid(), signal.SIGTERM)
    assert request.is_made
    assert done == ["told the others"]


def test_a_later_request_stops_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [100.0]
    request = StopRequest()
    monkeypatch.setattr(module.time, "monotonic", lambda: now[0])
    with request.heard():
        os.kill(os.getpid(), signal.SIGTERM)
        now[0] += 2 * module.SECONDS_OF_ONE_REQUEST
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGTERM)
