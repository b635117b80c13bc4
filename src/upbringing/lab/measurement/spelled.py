"""What items spell of special tokens, between a measurement's key, its folder and the warnings of a study."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

from upbringing.base.errors import IntegrityError
from upbringing.battery.measure import Measure
from upbringing.battery.spelled import spelled_by_items
from upbringing.data.spelled_tokens import SPELLED_NAME, counted
from upbringing.data.tokenizer import special_strings
from upbringing.formats.items import Item

SHOWN_ITEMS = 3  # named in a warning; all are in the measurement's folder

Spelled = Mapping[str, Mapping[str, int]]
"""Item to special token to how often the item spells it."""


def spelled_of(battery: Sequence[Measure], items: Sequence[Item], checkpoint: Path) -> dict[str, dict[str, int]]:
    """Return how often what ``battery`` asks of each item spells special tokens of the tokenizer in ``checkpoint``.

    It enters the key of a measurement where it is not empty: such rows were measured on other tokens before.
    """
    needs = [need for each in battery for need in each.needs(items)]
    return spelled_by_items(needs, {item.id: item for item in items}, special_strings(checkpoint))


def write_spelled_items(found: Spelled, folder: Path) -> None:
    """Write what items spell into the folder of a measurement; nothing where none does."""
    if found:
        (folder / SPELLED_NAME).write_text(json.dumps(found, sort_keys=True), encoding="utf-8")


def spelled_item_notes(measurements: Sequence[Path]) -> tuple[str, ...]:
    """Return a sentence if items of the ``measurements`` (folders) spell special tokens, how many and which."""
    found: dict[str, Counter[str]] = {}
    for folder in measurements:
        for item, tokens in _read(folder).items():
            found[item] = found.get(item, Counter()) | Counter(tokens)  # checkpoints read the same texts: no sum
    if not found:
        return ()
    total = sum(found.values(), Counter[str]())
    shown = ", ".join(map(repr, sorted(found)[:SHOWN_ITEMS])) + (", ..." if len(found) > SHOWN_ITEMS else "")
    return (
        f"{len(found)} item{'s spell' if len(found) > 1 else ' spells'} special tokens, which are read as text: "
        f"{counted(total)} ({shown}); if an item means them, let it say so (marks).",
    )


def _read(folder: Path) -> Spelled:
    path = folder / SPELLED_NAME
    if not path.exists():
        return {}
    try:
        found: Spelled = json.loads(path.read_bytes())
    except (OSError, ValueError) as error:
        raise IntegrityError(f"{path} cannot be read ({type(error).__name__})") from error
    return found
