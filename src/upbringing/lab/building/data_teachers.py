"""Who wrote what a stream teaches: a file beside it, because its tally counts tokens and leaves out who is unknown."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path

from upbringing.base.errors import IntegrityError
from upbringing.data.documents import Document, TrainingText

UNKNOWN_TEACHER = "unknown"
TEACHERS_NAME = "teachers.json"


def write_teachers(texts: Iterable[TrainingText], folder: Path) -> None:
    """Write the teachers of all chats and pairs beside a stream, ``unknown`` among them where one has none."""
    found = {text.teacher or UNKNOWN_TEACHER for text in texts if not isinstance(text, Document)}
    (folder / TEACHERS_NAME).write_text(json.dumps(sorted(found)), encoding="utf-8")


def read_teachers(folder: Path) -> tuple[str, ...] | None:
    """Return the teachers of the stream in ``folder``; ``None`` where it was written before they were noted."""
    path = folder / TEACHERS_NAME
    if not path.exists():
        return None
    try:
        return tuple(map(str, json.loads(path.read_bytes())))
    except (OSError, ValueError) as error:
        raise IntegrityError(f"{path} cannot be read ({type(error).__name__})") from error
