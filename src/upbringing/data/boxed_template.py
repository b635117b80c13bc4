"""Chat templates are programs from strangers: each is tried in a child under hard limits before anything renders it.

The sandbox of transformers keeps a template from Python's internals, but lets it loop for hours and fill the memory.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from functools import lru_cache
from pathlib import Path

from upbringing.base.errors import DataError

SECONDS = 2  # of processor time
MEGABYTES = 256
PATIENCE = 600.0  # seconds of the clock: only where the system sets no limits, or does much else
LIMITS = (signal.SIGKILL, signal.SIGXCPU)  # what ends a process beyond its limits
CHILD = Path(__file__).with_name("template_child.py")


@lru_cache(maxsize=64)
def template_error(template: str, *, seconds: int = SECONDS, megabytes: int = MEGABYTES) -> str | None:
    """Return why ``template`` cannot be used, or ``None``: it was rendered on short chats within the limits."""
    request = json.dumps({"template": template, "seconds": seconds, "megabytes": megabytes})
    try:
        done = subprocess.run(  # noqa: S603 (our own program; the template is data on its standard input)
            [sys.executable, "-P", str(CHILD)],
            input=request,
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            check=False,
            env={"PYTHONPATH": os.pathsep.join(sys.path)},  # nothing else: no keys
        )
    except subprocess.TimeoutExpired:
        return f"it was not done with a short chat after {PATIENCE:g} s"
    try:
        error = json.loads(done.stdout)["error"]
    except (ValueError, KeyError, TypeError):
        if -done.returncode in LIMITS or "MemoryError" in done.stderr:
            return f"a short chat took more than {seconds} s of processor time or {megabytes} MB of memory"
        last = done.stderr.strip().rsplit("\n", 1)[-1]
        return f"trying it ended with status {done.returncode}: {last or 'nothing was said'}"
    return None if error is None else str(error)


def require_harmless(template: str | None, folder: Path) -> None:
    """Raise ``DataError`` unless the chat template of ``folder`` renders short chats within the limits."""
    error = None if template is None else template_error(template)
    if error is not None:
        raise DataError(f"the chat template of {folder.name} cannot be used: {error}. Correct it beside its tokenizer")
