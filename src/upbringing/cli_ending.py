"""How a command ends that could not be finished: one message, and an exit code that says what kind of end it was."""

from __future__ import annotations

import errno
import signal
import sys
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from upbringing.base.errors import InterruptedRunError, UpbringingError, UpbringingWarning
from upbringing.base.files import FULL_DISK_ERRORS
from upbringing.base.terminal import visible

STOPPED_BY_CTRL_C = 130  # how typer leaves after a KeyboardInterrupt
# What a system says about places that cannot be read or written; any other is a defect of ours and keeps its traceback.
ABOUT_PLACES = frozenset(
    {errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOTDIR, errno.EISDIR, errno.ENAMETOOLONG, *FULL_DISK_ERRORS}
)
POLITE = ("SIGTERM", "SIGUSR1")  # a scheduler's notice, Slurm's early warning; not every system has both


@contextmanager
def ending_in_words() -> Iterator[None]:
    """Turn errors on purpose, places that refuse and requests to stop into a message on standard error and a code."""
    _stop_as_ctrl_c_does()
    _warn_in_words()
    try:
        yield
    except UpbringingError as error:
        _leave(str(error), error.exit_code)
    except OSError as error:
        if error.errno not in ABOUT_PLACES:
            raise
        where = "" if error.filename is None else f"{error.filename}: "
        _leave(f"{where}{error.strerror}: correct that, or name another place", UpbringingError.exit_code)
    except (KeyboardInterrupt, SystemExit) as error:
        if isinstance(error, SystemExit) and error.code != STOPPED_BY_CTRL_C:
            raise
        _leave("stopped: run the same command again to resume", InterruptedRunError.exit_code)


def _leave(message: str, exit_code: int) -> None:
    print(f"upbringing: {visible(message)}", file=sys.stderr)
    raise SystemExit(exit_code) from None


def _stop_as_ctrl_c_does() -> None:
    if threading.current_thread() is threading.main_thread():
        for name in POLITE:
            if hasattr(signal, name):
                signal.signal(getattr(signal, name), signal.default_int_handler)


def _warn_in_words() -> None:
    """Show this project's warnings as a line each, once, without the line of code that they come from."""
    others = warnings.showwarning
    said: set[str] = set()

    def show(message: Warning | str, category: type[Warning], *where: Any, **more: Any) -> None:
        if not issubclass(category, UpbringingWarning):
            others(message, category, *where, **more)
        elif (text := str(message)) not in said:
            said.add(text)
            print(f"warning: {visible(text)}", file=sys.stderr)

    warnings.showwarning = show
