"""What a spreadsheet would compute instead of showing it."""

from __future__ import annotations

# OWASP ASVS 1.2.10, with the full-width forms that some spreadsheets fold together.
FORMULA_STARTS = ("=", "+", "-", "@", "\uff1d", "\uff0b", "\uff0d", "\uff20")
CONTROL_STARTS = ("\t", "\r", "\n", "\x00")


def starts_formula(text: str) -> bool:
    """Return whether a spreadsheet may take ``text`` for a formula, also behind blanks."""
    return text.startswith(CONTROL_STARTS) or text.lstrip().startswith(FORMULA_STARTS)
