"""The nearest valid word to one that is not."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


def did_you_mean(word: str, valid: Iterable[str], before: str = ": ") -> str:
    """Return ``before`` and a question that names the nearest of ``valid``; empty where none is near."""
    close = difflib.get_close_matches(word, list(valid), n=1)
    return f"{before}did you mean {close[0]!r}?" if close else ""
