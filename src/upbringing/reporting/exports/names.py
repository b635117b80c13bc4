"""File names out of names of unknown origin: short, plain, and never the same twice."""

from __future__ import annotations

import re

MAX_CHARACTERS = 80


class FileNames:
    """Gives every name a file name of its own, in the order asked."""

    def __init__(self) -> None:
        self._taken: set[str] = set()

    def of(self, name: str) -> str:
        """Return ``name`` in lower-case letters, digits and hyphens; a number follows where it is taken."""
        plain = re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")[:MAX_CHARACTERS].strip("-") or "unnamed"
        found, number = plain, 1
        while found in self._taken:
            number += 1
            found = f"{plain}-{number}"
        self._taken.add(found)
        return found
