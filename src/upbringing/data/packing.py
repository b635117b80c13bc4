"""Packing: several short texts in one window, each keeping its own positions and boundaries.

Texts are packed best fit, longest first, some at a time: windows filled in plain order leave a fifth of the places to
padding where chats are a third of a window long, and padding costs as much as text.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from upbringing.base.streams import stream as random_stream
from upbringing.data.cutting import pieces
from upbringing.data.modes import DEFAULT
from upbringing.data.rendering import Rendered

IGNORED = -100  # the label that torch's cross entropy leaves out
PADDING = -1  # document id of padding
OWN = -1  # what ``isolated`` says of a document's own text
LOOK_AHEAD = 1024  # texts packed at a time: more fill windows no better, and would be read long before they are used


@dataclass(frozen=True)
class Window:
    """``context`` tokens. All arrays have shape ``(context,)`` and type int32.

    ``labels`` are the tokens themselves where they are learned (the model shifts them), else -100; the first
    token of a document is never a target, because nothing before it belongs to it. ``positions`` restart at 0
    in each document; ``documents`` numbers them within the window, -1 for padding. ``isolated``: of a token of isolated
    text, where in the window that text begins, else -1. It stands behind its document, and its positions go on from its
    place within it, so the document's own are what they would be without it. ``tally`` counts per (source, teacher):
    tokens, learned tokens, examples. ``texts``: which texts are in it, counted from 0 over all that were packed;
    ``finished``: those of them of which nothing follows in a later window. ``mode``: what it may move (``data.modes``).
    """

    tokens: NDArray[np.int32]
    labels: NDArray[np.int32]
    positions: NDArray[np.int32]
    documents: NDArray[np.int32]
    isolated: NDArray[np.int32]
    tally: dict[tuple[str, str | None], tuple[int, int, int]]
    texts: tuple[int, ...] = ()
    finished: tuple[int, ...] = ()
    mode: int = DEFAULT


class _Piece(NamedTuple):
    """A text, or a part of one that is longer than a window, and the number of the text."""

    text: Rendered
    number: int


def pack(groups: Iterable[Iterable[Rendered]], context: int, *, padding_token: int, seed: int) -> Iterator[Window]:
    """Yield windows filled with the texts of ``groups``.

    Texts of one group (an epoch) are packed together, at most ``LOOK_AHEAD`` at a time; what fills its last window
    only partly is packed with what follows, and comes first there. A document longer than a window is cut into pieces;
    a chat that long raises ``DataError``. A window depends only on the texts up to the end of its own group, so a
    longer run begins with the windows of a shorter one. The order within a group is drawn from the streams ``windows``
    of the seed: best fit sorts texts by length, and so would any order that follows from it.
    """
    waiting: list[_Piece] = []
    left: Counter[int] = Counter()  # pieces of a text that no window holds yet
    number = num_packed = 0
    for group in groups:
        texts = iter(group)
        while chunk := list(islice(texts, LOOK_AHEAD)):
            new = [_Piece(each, number + place) for place, text in enumerate(chunk) for each in pieces(text, context)]
            left.update(piece.number for piece in new)
            number += len(chunk)
            bins = _best_fit([*waiting, *new], context)
            late = {piece.number for piece in waiting}
            waiting = bins.pop(_withheld(bins, late))
            drawn = random_stream(seed, "windows", num_packed).permutation(len(bins))
            num_packed += 1
            for place in sorted(drawn.tolist(), key=lambda place: _is_any(bins[place], late), reverse=True):
                yield _window(bins[place], context, padding_token, left)
    if waiting:
        yield _window(waiting, context, padding_token, left)


def _best_fit(texts: Sequence[_Piece], context: int) -> list[list[_Piece]]:
    """Return the pieces in bins of at most ``context`` tokens: longest first, each where least room is left."""
    bins: list[list[_Piece]] = []
    rooms: list[tuple[int, int]] = []  # (tokens free, place of the bin), sorted
    for piece in sorted(texts, key=lambda piece: -piece.text.room):  # stable: equal lengths keep their order
        size = piece.text.room
        found = bisect_left(rooms, (size, 0))
        room, place = rooms.pop(found) if found < len(rooms) else (context, len(bins))
        if place == len(bins):
            bins.append([])
        bins[place].append(piece)
        insort(rooms, (room - size, place))
    return [sorted(each, key=lambda piece: piece.number) for each in bins]


def _withheld(bins: Sequence[Sequence[_Piece]], late: Collection[int]) -> int:
    """Return the place of the bin to keep for what follows: the emptiest, but nothing waits twice if it can go."""
    new = [place for place, each in enumerate(bins) if not _is_any(each, late)]
    if new:
        return min(new, key=lambda place: _size(bins[place]))
    return max(range(len(bins)), key=lambda place: bins[place][0].number)


def _is_any(texts: Sequence[_Piece], numbers: Collection[int]) -> bool:
    return any(piece.number in numbers for piece in texts)


def _size(texts: Sequence[_Piece]) -> int:
    return sum(piece.text.room for piece in texts)


def _window(texts: Sequence[_Piece], context: int, padding_token: int, left: Counter[int]) -> Window:
    """Return the window of the pieces ``texts`` and take them off what is ``left``."""
    numbers = tuple(dict.fromkeys(piece.number for piece in texts))
    left.subtract(piece.number for piece in texts)
    finished = tuple(number for number in numbers if not left[number])
    for done in finished:
        del left[done]
    window = Window(
        tokens=np.full(context, padding_token, dtype=np.int32),
        labels=np.full(context, IGNORED, dtype=np.int32),
        positions=np.zeros(context, dtype=np.int32),
        documents=np.full(context, PADDING, dtype=np.int32),
        isolated=np.full(context, OWN, dtype=np.int32),
        tally={},
        texts=numbers,
        finished=finished,
    )
    begin = 0
    for number, (text, _) in enumerate(texts):
        _fill(window, text, number, begin)
        begin += text.room
    return window


def _fill(window: Window, text: Rendered, number: int, begin: int) -> None:
    """Write ``text`` into the places of ``window`` from ``begin``: its own tokens, then each isolated text."""
    at, supervised = begin, 0
    stretches = ((0, text.ids, text.learned), *((part.place, part.ids, part.learned) for part in text.isolated))
    for place, tokens, flags in stretches:
        end = at + len(tokens)
        ids = np.asarray(tokens, dtype=np.int32)
        learned = np.asarray(flags, dtype=bool)
        learned[0] = False
        window.tokens[at:end] = ids
        window.labels[at:end] = np.where(learned, ids, IGNORED)
        window.positions[at:end] = np.arange(place, place + len(ids), dtype=np.int32)
        window.documents[at:end] = number
        if at > begin:
            window.isolated[at:end] = at
        supervised += int(learned.sum())
        at = end
    counts = window.tally.get((text.source, text.teacher), (0, 0, 0))
    window.tally[text.source, text.teacher] = (counts[0] + text.size, counts[1] + supervised, counts[2] + 1)
