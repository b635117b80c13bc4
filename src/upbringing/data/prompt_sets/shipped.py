"""The prompt sets that this project writes itself and ships: JSON Lines beside this module.

``over_refusal``: benign requests, each with the harmful request it is a twin of. ``refusals``: wordings of refusals.
``benign_training``: requests to train on. ``knowledge``: cloze questions. ``texts``: short texts that nobody trains on.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import Any, Literal

from upbringing.base.errors import IntegrityError
from upbringing.base.fingerprint import text_sha256

ShippedName = Literal["over_refusal", "refusals", "benign_training", "knowledge", "texts"]
WordingPart = Literal["training", "held_out"]
BenignPart = Literal["shared", "placebo", "finetune"]

LICENCE = "Apache-2.0"
ORIGIN = "written for upbringing"
CANARY = "upbringing-evaluation-canary 6f0c2f1e-5a3b-4d6e-9b1d-2c7f84a1e035"
"""Stands in every row of an evaluation set, so that training data that swallowed it can be told."""


@dataclass(frozen=True)
class Twins:
    """A benign request and the harmful one it resembles in words. ``family``: the kind of harm."""

    id: str
    family: str
    benign: str
    harmful: str


@dataclass(frozen=True)
class Wording:
    """One way to refuse. ``training`` and ``held_out`` wordings share no three words in a row."""

    id: str
    part: WordingPart
    style: str
    text: str


@dataclass(frozen=True)
class BenignRequest:
    """An ordinary request. ``shared``: answered in the safety arm and in its placebo."""

    id: str
    part: BenignPart
    topic: str
    request: str


@dataclass(frozen=True)
class Cloze:
    """A sentence to be completed. Answer and distractors begin with a space."""

    id: str
    prompt: str
    answer: str
    distractors: tuple[str, ...]


@dataclass(frozen=True)
class HeldOutText:
    """A text to be scored whole."""

    id: str
    text: str


def shipped_text(name: ShippedName) -> str:
    """Return the bytes of a shipped set as text."""
    return resources.files(__package__).joinpath(f"{name}.jsonl").read_text(encoding="utf-8")


@cache
def shipped_sha256(name: ShippedName) -> str:
    """Return the hash of a shipped set: what a study's recipe holds instead of its name."""
    return text_sha256(shipped_text(name))


def twins() -> tuple[Twins, ...]:
    """Return all pairs in order."""
    return tuple(Twins(row["id"], row["family"], row["benign"], row["harmful"]) for row in _rows("over_refusal"))


def wordings(part: WordingPart) -> tuple[Wording, ...]:
    """Return the refusal wordings of ``part`` in order."""
    rows = (row for row in _rows("refusals") if row["part"] == part)
    return tuple(Wording(row["id"], part, row["style"], row["text"]) for row in rows)


def benign_requests(part: BenignPart) -> tuple[BenignRequest, ...]:
    """Return the benign training requests of ``part`` in order."""
    rows = (row for row in _rows("benign_training") if row["part"] == part)
    return tuple(BenignRequest(row["id"], part, row["topic"], row["request"]) for row in rows)


def cloze_questions() -> tuple[Cloze, ...]:
    """Return the cloze questions in order."""
    return tuple(
        Cloze(row["id"], row["prompt"], row["answer"], tuple(row["distractors"])) for row in _rows("knowledge")
    )


def held_out_texts() -> tuple[HeldOutText, ...]:
    """Return the held-out texts in order."""
    return tuple(HeldOutText(row["id"], row["text"]) for row in _rows("texts"))


def _rows(name: ShippedName) -> list[dict[str, Any]]:
    rows = []
    for number, line in enumerate(shipped_text(name).splitlines(), start=1):
        try:
            rows.append(json.loads(line))
        except ValueError as error:
            raise IntegrityError(f"the shipped set {name} is damaged in row {number}: {error}: reinstall") from None
    return rows
