"""How a condition names the token that answers begin behind, and those they cannot hold: for writers and readers."""

from __future__ import annotations

import re
from collections.abc import Sequence

from upbringing.base.short_names import short_name

_LIMITS = re.compile(r"-(?:from|without)-.*")


def limits_label(begin: str | None, banned: Sequence[str]) -> str:
    """Return what stands behind the label of a decoding: nothing where an answer begins freely and may say anything."""
    behind = "" if begin is None else f"-from-{short_name(begin)}"
    return f"{behind}-without-{short_name(*banned)}" if banned else behind


def split_limits(label: str) -> tuple[str, str]:
    """Return the label of a decoding in two parts: how tokens are drawn, and what ``limits_label`` put behind it."""
    found = _LIMITS.search(label)
    return (label, "") if found is None else (label[: found.start()], found[0])
