"""Text of unknown origin made visible: nothing in it can move a cursor, hide or reorder what is shown."""

from __future__ import annotations

import unicodedata

KEPT = "\n\t"
# Bidirectional overrides and isolates, and the invisible separators that hide or break lines.
REORDERING = frozenset("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069\u200e\u200f\u061c\u2028\u2029\ufeff")


def visible(text: str) -> str:
    """Return ``text`` with control characters (all but newline and tab) and reordering marks as ``\\u....``."""
    return "".join(_shown(character) for character in text)


def _shown(character: str) -> str:
    hidden = character in REORDERING or unicodedata.category(character) in ("Cc", "Cs")
    return f"\\u{ord(character):04x}" if hidden and character not in KEPT else character
