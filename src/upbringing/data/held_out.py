"""Windows of a stage's own data that its stream never reads: what the stage can be scored on and did not see."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain, islice, zip_longest
from pathlib import Path

from upbringing.base.errors import IntegrityError
from upbringing.base.streams import stream as random_stream
from upbringing.data.packing import Window, pack
from upbringing.data.rendering import Rendered
from upbringing.data.window_arrays import WindowArrays, read_windows, write_windows

MAX_WINDOWS = 8  # enough to see a loss fall, and a small part of the cost of one update
KEYS_NAME = "held_out.json"
PREFIX = "held_out_"


@dataclass(frozen=True)
class HeldOut:
    """Unread windows. ``keys``: of the data that each comes from. Arrays: shape ``(windows, context)``, int32."""

    keys: tuple[str, ...]
    arrays: WindowArrays

    def places(self, keys: Collection[str]) -> list[int]:
        """Return at most eight windows of the data ``keys``, taken from each in turn."""
        by_key = [[place for place, own in enumerate(self.keys) if own == key] for key in sorted(keys)]
        turns = chain.from_iterable(zip_longest(*by_key))
        return list(islice((place for place in turns if place is not None), MAX_WINDOWS))


def unread_texts(
    rendered: Mapping[str, Sequence[Rendered]], read: Mapping[str, Collection[int]]
) -> dict[str, list[Rendered]]:
    """Return, per key, the texts whose places are not among those ``read`` and that equal no text that was read."""
    seen = {tuple(rendered[key][place].ids) for key, places in read.items() for place in places}
    return {
        key: [text for place, text in enumerate(texts) if place not in read[key] and tuple(text.ids) not in seen]
        for key, texts in rendered.items()
    }


def write_held_out(
    unread: Mapping[str, Sequence[Rendered]], folder: Path, *, context: int, padding_token: int, seed: int
) -> None:
    """Write up to eight windows of the ``unread`` texts of each key; chats that fit in no window are left out.

    Draws from the streams ``held-out`` of the seed, which move nothing else.
    """
    windows: list[tuple[str, Window]] = []
    for number, (key, texts) in enumerate(sorted(unread.items())):
        order = random_stream(seed, "held-out", number).permutation(len(texts))
        fitting = (texts[place] for place in order if texts[place].divisible or len(texts[place].ids) <= context)
        packed = islice(pack([fitting], context, padding_token=padding_token, seed=seed), MAX_WINDOWS)
        windows += [(key, window) for window in packed if (window.labels >= 0).any()]
    (folder / KEYS_NAME).write_text(json.dumps([key for key, _ in windows]), encoding="utf-8")
    write_windows([window for _, window in windows], folder, PREFIX)


def read_held_out(folder: Path) -> HeldOut:
    """Return the unread windows of the stream in ``folder``; raises ``IntegrityError`` if they cannot be read."""
    try:
        keys = tuple(str(key) for key in json.loads((folder / KEYS_NAME).read_bytes()))
        arrays = read_windows(folder, PREFIX) if keys else {}
    except (OSError, ValueError, TypeError) as error:
        raise IntegrityError(f"{folder / KEYS_NAME} cannot be read ({type(error).__name__})") from error
    return HeldOut(keys, arrays)
