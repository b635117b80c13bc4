"""Names of texts for conditions: readable, and different for different texts."""

from __future__ import annotations

import re

from upbringing.base.fingerprint import fingerprint

NAME_CHARACTERS, NAME_HASH = 24, 4


def short_name(*texts: str) -> str:
    """Return a name of a text, or of several: the first letters, and some of the hash, which tells texts apart."""
    words = re.sub(r"[^a-z0-9]+", "-", " ".join(texts).lower()).strip("-")[:NAME_CHARACTERS].strip("-")
    return f"{words or 'text'}-{fingerprint(texts[0] if len(texts) == 1 else list(texts))[:NAME_HASH]}"
