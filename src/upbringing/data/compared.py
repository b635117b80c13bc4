"""Pairs on which a reward model is judged: some that it never reads, and some that it does."""

from __future__ import annotations

import json
from collections.abc import Collection, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from upbringing.base.errors import DataError, IntegrityError
from upbringing.base.streams import stream
from upbringing.data.documents import Preference

COMPARED_NAME = "compared.json"
MOST_COMPARED = 512  # of each kind: an accuracy is then known to within 0.05, whatever it is
UNKNOWN_TEACHER = "unknown"


@dataclass(frozen=True)
class Pair:
    """One preference as token ids; the answers end as the template ends a turn."""

    prompt: list[int]
    chosen: list[int]
    rejected: list[int]


@dataclass(frozen=True)
class Compared:
    """A pair to be scored. ``policy``: what it is about; ``teacher``: who wrote its answers. ``held_out``: unread."""

    prompt: list[int]
    chosen: list[int]
    rejected: list[int]
    policy: str
    teacher: str
    held_out: bool


def held_out_places(pairs: Sequence[Pair], share: float, seed: int, name: str) -> set[int]:
    """Return the places of the pairs to leave unread: those of a share of the prompts, so that no prompt is in both.

    At least one prompt is left out and one is kept; raises ``DataError`` where there are not two. Stream ``held out``.
    """
    prompts = list(dict.fromkeys(tuple(pair.prompt) for pair in pairs))
    if len(prompts) < 2:
        raise DataError(f"the data {name!r} has one prompt: none can be held out; set held_out: 0 or add prompts")
    num = min(max(1, round(share * len(prompts))), len(prompts) - 1)
    chosen = {prompts[int(index)] for index in stream(seed, "held out").permutation(len(prompts))[:num]}
    return {place for place, pair in enumerate(pairs) if tuple(pair.prompt) in chosen}


def write_compared(
    pairs: Sequence[Pair], texts: Sequence[Preference], unread: Collection[int], seed: int, folder: Path
) -> None:
    """Write at most 512 held-out pairs and as many others, drawn from the stream ``compared``, in their order."""
    drawn: list[int] = []
    for held_out in (True, False):
        places = [place for place in range(len(pairs)) if (place in unread) == held_out]
        drawn += [places[int(index)] for index in stream(seed, "compared").permutation(len(places))[:MOST_COMPARED]]
    plain = [
        Compared(
            prompt=pairs[place].prompt,
            chosen=pairs[place].chosen,
            rejected=pairs[place].rejected,
            policy=policy_of(texts[place]),
            teacher=texts[place].teacher or UNKNOWN_TEACHER,
            held_out=place in unread,
        )
        for place in sorted(drawn)
    ]
    (folder / COMPARED_NAME).write_text(json.dumps([asdict(each) for each in plain]), encoding="utf-8")


def policy_of(text: Preference) -> str:
    """Return what a pair is about: its ``policy`` where the data names one, else its source and kind."""
    named = text.metadata.get("policy")
    if named is not None:
        return str(named)
    kind = text.metadata.get("kind")
    return text.source if kind is None else f"{text.source}/{kind}"


def read_compared(folder: Path) -> tuple[Compared, ...]:
    """Return the pairs to be scored of the stream in ``folder``; raises ``IntegrityError`` if they cannot be read."""
    try:
        return tuple(Compared(**each) for each in json.loads((folder / COMPARED_NAME).read_bytes()))
    except (OSError, ValueError, TypeError) as error:
        raise IntegrityError(f"{folder / COMPARED_NAME} cannot be read ({type(error).__name__})") from error
