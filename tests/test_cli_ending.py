"""A command that cannot be finished ends in one message and a code that says why, never in a page of frames."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
import time
import warnings
from collections.abc import Iterator
from pathlib import Path

import pytest

from upbringing.base.errors import DataError, UpbringingWarning
from upbringing.cli_ending import POLITE, ending_in_words


@pytest.fixture(autouse=True)
def signals() -> Iterator[None]:
    """Leave the signals of the test's own process as they were."""
    before = {name: signal.getsignal(getattr(signal, name)) for name in POLITE}
    shown = warnings.showwarning
    yield
    warnings.showwarning = shown
    for name, handler in before.items():
        signal.signal(getattr(signal, name), handler)


@pytest.mark.parametrize(
    ("error", "code", "said"),
    [
        (PermissionError(errno.EACCES, "Permission denied", "a/store"), 1, "a/store: Permission denied"),
        (OSError(errno.EROFS, "Read-only file system", "s\x1b[2J"), 1, "s\\u001b[2J: Read-only file system"),
        (OSError(errno.ENOSPC, "No space left on device"), 1, "upbringing: No space left on device"),
        (DataError("no template"), 3, "upbringing: no template"),
        (KeyboardInterrupt(), 75, "run the same command again"),
        (SystemExit(130), 75, "run the same command again"),
    ],
)
def test_an_end_is_a_message_and_a_code(
    error: BaseException, code: int, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as left, ending_in_words():
        raise error
    found = capsys.readouterr()
    assert left.value.code == code
    assert said in found.err
    assert found.out == ""
    assert found.err.count("\n") == 1


def test_other_codes_and_defects_stay_what_they_are(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as left, ending_in_words():
        raise SystemExit(11)
    assert left.value.code == 11
    with pytest.raises(FileNotFoundError), ending_in_words():
        raise FileNotFoundError(errno.ENOENT, "No such file", "of_ours")
    assert capsys.readouterr().err == ""


def test_a_store_that_cannot_be_made_is_named_without_a_traceback(tmp_path: Path) -> None:
    (tmp_path / "taken").write_text("a file", encoding="utf-8")
    code = "from upbringing.cli import main; main()"
    words = [sys.executable, "-c", code, "demo", "--quiet", "--store", str(tmp_path / "taken" / "store")]
    found = subprocess.run(words, capture_output=True, text=True)
    assert found.returncode == 1
    assert "Traceback" not in found.stderr
    assert "taken" in found.stderr
    assert found.stderr.count("\n") == 1


@pytest.mark.parametrize("name", ["SIGINT", *POLITE])
def test_whoever_stops_a_command_is_told_that_it_can_go_on(name: str) -> None:
    code = (
        "import signal, time, typer\n"
        "signal.signal(signal.SIGINT, signal.default_int_handler)\n"  # a shell lets jobs behind it ignore it
        "from upbringing.cli_ending import ending_in_words\n"
        "app = typer.Typer()\n"
        "@app.command()\n"
        "def work() -> None:\n"
        "    print('begun', flush=True)\n"
        "    time.sleep(60)\n"
        "with ending_in_words():\n"
        "    app()\n"
    )
    process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "begun\n"
    began = time.monotonic()
    os.kill(process.pid, getattr(signal, name))
    _, said = process.communicate(timeout=30)
    assert time.monotonic() - began < 30
    assert process.returncode == 75
    assert said == "upbringing: stopped: run the same command again to resume\n"


def test_a_warning_is_a_line_said_once_and_drives_no_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    others: list[str] = []
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        warnings.showwarning = lambda message, *_, **__: others.append(str(message))
        with ending_in_words():
            for _ in range(2):
                warnings.warn("config.json of \x1b[2J is missing", UpbringingWarning, stacklevel=2)
            warnings.warn("of a library", UserWarning, stacklevel=2)
    found = capsys.readouterr().err
    assert found.count("warning: config.json of \\u001b[2J is missing\n") == 1
    assert found.count("is missing") == 1
    assert others == ["of a library"]
