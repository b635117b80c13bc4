"""How two streams differ, and the proof that they do so only in isolated text."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from upbringing.base.errors import DataError
from upbringing.data.packing import OWN, PADDING
from upbringing.data.stream import Stream

WINDOWS_AT_ONCE = 256  # compared at a time: streams are larger than memory


@dataclass(frozen=True)
class Difference:
    """How two matched streams differ: windows, and places in them, that hold other tokens or labels."""

    num_windows: int
    num_places: int


def difference(first: Stream, second: Stream) -> Difference:
    """Return how two streams differ, once it is shown that they do so only where isolated text is.

    Everywhere else tokens, labels, positions and documents are equal; where one has isolated text, the other has some
    too, of the same document, or padding. Raises ``DataError`` with the first place where that is not so.
    """
    sizes = [(each.info.num_windows, each.info.context, each.info.batch_size) for each in (first, second)]
    if sizes[0] != sizes[1]:
        raise DataError(f"the streams have other sizes (windows, context, batch size): {sizes[0]} and {sizes[1]}")
    num_windows = num_places = 0
    for begin, mine, theirs in _blocks(first, second):
        is_isolated = (mine["isolated"] != OWN) | (theirs["isolated"] != OWN)
        both = mine["documents"] != theirs["documents"]
        differs = (mine["tokens"] != theirs["tokens"]) | (mine["labels"] != theirs["labels"])
        wrong = ~is_isolated & (differs | both | (mine["positions"] != theirs["positions"]))
        is_padding = (mine["documents"] == PADDING) | (theirs["documents"] == PADDING)
        wrong |= is_isolated & both & ~is_padding
        wrong |= is_isolated & (_holds_own(mine) | _holds_own(theirs))
        if wrong.any():
            window, place = (int(each[0]) for each in np.nonzero(wrong))
            raise DataError(f"the streams differ outside isolated text: window {begin + window}, place {place}")
        num_windows += int((differs | both).any(axis=1).sum())
        num_places += int((differs | both).sum())
    return Difference(num_windows, num_places)


def _holds_own(arrays: Mapping[str, NDArray[np.int32]]) -> NDArray[np.bool_]:
    own: NDArray[np.bool_] = (arrays["isolated"] == OWN) & (arrays["documents"] != PADDING)
    return own


def _blocks(
    first: Stream, second: Stream
) -> Iterator[tuple[int, dict[str, NDArray[np.int32]], dict[str, NDArray[np.int32]]]]:
    """Yield the number of a window and both streams' arrays of it and the next ones, ``isolated`` always among them."""
    for begin in range(0, first.info.num_windows, WINDOWS_AT_ONCE):
        block = []
        for stream in (first, second):
            arrays = {name: array[begin : begin + WINDOWS_AT_ONCE] for name, array in stream.arrays.items()}
            arrays.setdefault("isolated", np.full_like(arrays["tokens"], OWN))
            block.append(arrays)
        yield begin, block[0], block[1]
