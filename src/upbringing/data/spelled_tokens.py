"""How often the texts of a stream spell special tokens, which are read as text: kept beside it and said in warnings."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from upbringing.base.errors import IntegrityError

SPELLED_NAME = "spelled.json"


def write_spelled(counts: Mapping[str, Sequence[Mapping[str, int]]], folder: Path) -> None:
    """Write beside a stream how often the texts of each of its data spell special tokens; nothing where none does."""
    found = {name: dict(sorted(_total(texts).items())) for name, texts in counts.items() if _total(texts)}
    if found:
        (folder / SPELLED_NAME).write_text(json.dumps(found, sort_keys=True), encoding="utf-8")


def _total(texts: Iterable[Mapping[str, int]]) -> Counter[str]:
    total: Counter[str] = Counter()
    for each in texts:
        if each:  # nearly none does
            total.update(each)
    return total


def read_spelled(folder: Path) -> dict[str, dict[str, int]]:
    """Return, per data of the stream in ``folder``, how often its texts spell each special token, read as text."""
    path = folder / SPELLED_NAME
    if not path.exists():
        return {}
    try:
        found: dict[str, dict[str, int]] = json.loads(path.read_bytes())
    except (OSError, ValueError) as error:
        raise IntegrityError(f"{path} cannot be read ({type(error).__name__})") from error
    return found


def spelled_warnings(found: Mapping[str, Mapping[str, int]]) -> tuple[str, ...]:
    """Return a sentence per data whose texts spell special tokens."""
    return tuple(
        f"the texts of {name!r} spell special tokens, which are read as text: {counted(tokens)}; if they are there on "
        "purpose, say so (marks, of a file)"
        for name, tokens in sorted(found.items())
    )


def counted(tokens: Mapping[str, int]) -> str:
    """Return how often each of ``tokens`` is spelled, in words."""
    return ", ".join(f"{token!r} {times} times" for token, times in sorted(tokens.items()))
