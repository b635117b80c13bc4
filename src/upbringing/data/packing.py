"""Packing: several short texts in one window, each keeping its own positions and boundaries."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from upbringing.base.errors import DataError
from upbringing.data.rendering import Rendered

IGNORED = -100  # the label that torch's cross entropy leaves out
PADDING = -1  # document id of padding


@dataclass(frozen=True)
class Window:
    """``context`` tokens. All arrays have shape ``(context,)`` and type int32.

    ``labels`` are the tokens themselves where they are learned (the model shifts them), else -100; the first
    token of a document is never a target, because nothing before it belongs to it. ``positions`` restart at 0
    in each document; ``documents`` numbers them within the window, -1 for padding. ``tally`` counts per
    (source, teacher): tokens, learned tokens, examples.
    """

    tokens: NDArray[np.int32]
    labels: NDArray[np.int32]
    positions: NDArray[np.int32]
    documents: NDArray[np.int32]
    tally: dict[tuple[str, str | None], tuple[int, int, int]]


def pack(texts: Iterable[Rendered], context: int, *, padding_token: int) -> Iterator[Window]:
    """Yield windows filled in the order of ``texts``; a text that does not fit opens the next window.

    A document longer than a window is cut into pieces; a chat that long raises ``DataError``. Each window depends
    only on the texts up to it, so a longer run begins with the windows of a shorter one.
    """
    waiting: list[Rendered] = []
    used = 0
    for text in texts:
        for piece in _pieces(text, context):
            if used + len(piece.ids) > context:
                yield _window(waiting, context, padding_token)
                waiting, used = [], 0
            waiting.append(piece)
            used += len(piece.ids)
    if waiting:
        yield _window(waiting, context, padding_token)


def _pieces(text: Rendered, context: int) -> Iterator[Rendered]:
    if len(text.ids) <= context:
        yield text
        return
    if not text.divisible:
        raise DataError(
            f"a chat of {text.source!r} has {len(text.ids)} tokens, the stage's context is {context}: raise the context"
        )
    for begin in range(0, len(text.ids), context):
        end = begin + context
        yield Rendered(text.ids[begin:end], text.learned[begin:end], text.source, text.teacher, divisible=True)


def _window(texts: list[Rendered], context: int, padding_token: int) -> Window:
    tokens = np.full(context, padding_token, dtype=np.int32)
    labels = np.full(context, IGNORED, dtype=np.int32)
    positions = np.zeros(context, dtype=np.int32)
    documents = np.full(context, PADDING, dtype=np.int32)
    tally: dict[tuple[str, str | None], tuple[int, int, int]] = {}
    begin = 0
    for number, text in enumerate(texts):
        end = begin + len(text.ids)
        ids = np.asarray(text.ids, dtype=np.int32)
        learned = np.asarray(text.learned, dtype=bool)
        learned[0] = False
        tokens[begin:end] = ids
        labels[begin:end] = np.where(learned, ids, IGNORED)
        positions[begin:end] = np.arange(len(ids), dtype=np.int32)
        documents[begin:end] = number
        count, supervised, examples = tally.get((text.source, text.teacher), (0, 0, 0))
        tally[text.source, text.teacher] = (count + len(ids), supervised + int(learned.sum()), examples + 1)
        begin = end
    return Window(tokens, labels, positions, documents, tally)
