"""What a worker takes for one request to stop, and what for a second."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import Any

import pytest

from upbringing.training import watch as module
from upbringing.training.watch import Watch


def watch(tmp_path: Path) -> Watch:
    nothing: Any = None
    return Watch("sft", 10, tmp_path, 60.0, nothing, [], nothing, lambda *_: None)


def test_a_terminal_and_the_parent_that_say_the_same_ask_once(tmp_path: Path) -> None:
    made = watch(tmp_path)
    with made.signals():
        os.kill(os.getpid(), signal.SIGINT)
        os.kill(os.getpid(), signal.SIGTERM)
    assert made._asked_at is not None


def test_a_later_request_stops_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    now = [100.0]
    made = watch(tmp_path)
    monkeypatch.setattr(module.time, "monotonic", lambda: now[0])
    with made.signals():
        os.kill(os.getpid(), signal.SIGTERM)
        now[0] += 2 * module.SECONDS_OF_ONE_REQUEST
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGTERM)
