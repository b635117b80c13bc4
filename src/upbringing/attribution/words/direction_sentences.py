"""The fixed sentences on refusal directions: what grew, whether it does more, and never what brought it about."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from upbringing.formats.findings import Claim

Verdict = Literal["supported", "refuted", "not-decided", "void"]
Word = Literal["rose", "fell", "not", "open"]

PARTS = ("growth", "removed", "brought")
LACKING = {"growth": "the length of the direction", "removed": "taking it out", "brought": "adding it"}
NOT_ASKED = "{lacking} was not asked on both checkpoints, in one form of prompt and with a random control"

LENGTH_WORDS: Mapping[Word, tuple[str, str]] = {
    "rose": ("grew over this stage", "is longer"),
    "fell": ("shrank over this stage", "is shorter"),
    "not": ("did not grow over this stage by more than its margin", "is not longer by more than its margin"),
    "open": ("cannot be told to have grown over this stage", "cannot be told to be longer"),
}
EFFECT_WORDS: Mapping[Word, tuple[str, str]] = {
    "rose": ("grew", "is larger"),
    "fell": ("shrank", "is smaller"),
    "not": ("did not grow by more than its margin", "is not larger by more than its margin"),
    "open": ("cannot be told to have grown", "cannot be told to be larger"),
}
"""Of a change along one run, then of a difference between two."""

NO_MORE = ("did not grow with it", "is not larger with it")
UNDECIDED = ("grew with it is not decided", "is larger with it is not decided")
BEYOND = "each beyond a random direction of equal length"
DEAD = (
    "whether it does more to refusals cannot be told: adding it is not shown to move them more than a random "
    "direction does on either checkpoint, and what nothing moves shows no growth"
)
UNKNOWN = "is of unknown length"
NOT_ITS_DOING = "What happened during a stage need not be its doing."


def direction_sentence(contrast: str, level: str, verdict: Verdict, reason: str, found: Mapping[str, str]) -> str:
    """Return the sentence of a contrast. ``found``: by part, its words with their size (``part_text``)."""
    end = f" {NOT_ITS_DOING}" if level == "L1" else ""
    said = f"{contrast}: the refusal direction {found.get('growth', UNKNOWN)}"
    if verdict == "void":
        return f"{said}; {DEAD}.{end}"
    if reason:
        return f"{said}; whether it does more to refusals cannot be told: {reason}.{end}"
    place = 0 if level == "L1" else 1
    parts = f"the effect of taking it out {found['removed']}, that of adding it {found['brought']}, {BEYOND}"
    if verdict == "supported":
        return f"{said}, and what it does to refusals {EFFECT_WORDS['rose'][place]} too: {parts}.{end}"
    if verdict == "refuted":
        return f"{said}, but what it does to refusals {NO_MORE[place]}: {parts}.{end}"
    return f"{said}; whether what it does to refusals {UNDECIDED[place]}: {parts}.{end}"


def part_text(part: str, word: Word, level: str, claim: Claim) -> str:
    """Return what a part shows with its size."""
    words = LENGTH_WORDS if part == "growth" else EFFECT_WORDS
    unit = f" {claim.unit}" if part == "growth" else ""
    return f"{words[word][0 if level == 'L1' else 1]}{_size(claim, unit)}"


def _size(claim: Claim, unit: str) -> str:
    number = claim.corrected or claim
    if number.estimate is None:
        return ""
    interval = "" if number.low is None or number.high is None else f" [{number.low:+.2f}, {number.high:+.2f}]"
    return f" ({number.estimate:+.2f}{interval}{unit})"
