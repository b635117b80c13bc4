"""Untrusted text put into a prompt: chat marks, control and direction characters are taken out of it."""

from __future__ import annotations

import re
import unicodedata

CHAT_MARKS = (
    r"<\|[^<>|]{0,60}\|>|<｜[^<>｜]{0,60}｜>"
    r"|</?(?:s|bos|eos|pad|unk|start_of_turn|end_of_turn|think)>|\[/?INST\]|<</?SYS>>"
)
"""Pattern of the sequences that chat templates reserve; to be matched without regard to case."""


def without_marks(text: str, marks: re.Pattern[str]) -> str:
    """Return ``text`` with a space for every match of ``marks``, and without invisible characters."""
    text = "".join(
        each for each in text if each in "\n\t" or unicodedata.category(each) not in ("Cc", "Cf", "Co", "Cs")
    )
    before = None
    while before != text:  # what is left when one is cut out of another may be one again
        before, text = text, marks.sub(" ", text)
    return text
