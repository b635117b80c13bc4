"""Workers end when whoever started them is killed: real processes, real signals."""

from __future__ import annotations

import os
import platform
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

PROGRAM = """
import os, sys, time
from dataclasses import dataclass
from upbringing.lab.building.executor import run_jobs

@dataclass(frozen=True)
class Slow:
    key: str = "slow"
    after: tuple = ()
    label: str = "slow"
    def run(self, report):
        open(sys.argv[1], "w").write(str(os.getpid()))
        time.sleep(300)

if __name__ == "__main__":
    run_jobs([Slow()], slots=1, threads=1, on_event=print)
"""


@pytest.mark.skipif(platform.system() != "Linux", reason="looks in /proc")
@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM])
def test_a_worker_does_not_outlive_a_killed_run(tmp_path: Path, how: signal.Signals) -> None:
    program, noted = tmp_path / "program.py", tmp_path / "worker"
    program.write_text(PROGRAM.replace("sys.argv[1]", repr(str(noted))), encoding="utf-8")
    run = subprocess.Popen([sys.executable, str(program)])
    worker = 0
    try:
        worker = int(_awaited(lambda: noted.read_text() if noted.exists() else "", "no worker began"))
        run.send_signal(how)
        run.wait(timeout=60)
        _awaited(lambda: "" if _is_alive(worker) else "gone", "the worker lives on without its parent")
    finally:
        run.kill()
        if worker and _is_alive(worker):
            os.kill(worker, signal.SIGKILL)


def _awaited(look: Callable[[], str], why: str) -> str:
    end = time.monotonic() + 120
    while time.monotonic() < end:
        if found := look():
            return found
        time.sleep(0.1)
    pytest.fail(why)


def _is_alive(process: int) -> bool:
    try:
        state = Path(f"/proc/{process}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state != "Z"
