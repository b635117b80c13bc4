"""Markdown in which no text of unknown origin can be markup, mention anybody, link anywhere or close anything."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from upbringing.base.terminal import visible

_SPECIAL = re.compile(r"[\\`*_\[\]|~$#]")
_ENTITIES = {"&": "&amp;", "<": "&lt;", ">": "&gt;"}
_OPENING = re.compile(
    r"^([-+=](?=[-=\s]|$)|[0-9]+(?=[.)](\s|$)))"
)  # would begin a list, or make a heading of the line above
_LINKED = re.compile(r"@|\\#|://|www\.|GH-", re.IGNORECASE)
_BREAK = "<!-- -->"  # seen by nobody; keeps hosts from making links and mentions of plain text


def escaped(text: str) -> str:
    """Return ``text`` as a line of Markdown that shows it as it is."""
    line = inline(text)
    return _OPENING.sub(lambda found: f"{found[0]}\\" if found[0].isdigit() else f"\\{found[0]}", line)


def inline(text: str) -> str:
    """Return ``text`` as Markdown that shows it as it is inside a line, such as in a cell of a table."""
    line = " ".join(visible(text).split())
    line = _SPECIAL.sub(r"\\\g<0>", "".join(_ENTITIES.get(letter, letter) for letter in line))
    return _LINKED.sub(lambda found: f":{_BREAK}//" if found[0] == "://" else f"{found[0]}{_BREAK}", line)


def table(columns: Sequence[str], rows: Iterable[Sequence[str]], *, numbers: Sequence[int] = ()) -> str:
    """Return a table; ``rows`` are texts of unknown origin, the columns at ``numbers`` are set to the right."""
    head = f"| {' | '.join(columns)} |"
    rule = f"|{'|'.join('--:' if place in numbers else '---' for place in range(len(columns)))}|"
    lines = [f"| {' | '.join(inline(cell) or ' ' for cell in row)} |" for row in rows]
    return "\n".join((head, rule, *lines))


def bullets(texts: Iterable[str]) -> str:
    """Return a list of texts of unknown origin."""
    return "\n".join(f"- {escaped(text)}" for text in texts)
