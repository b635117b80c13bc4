"""Texts that are longer than a window, cut into pieces that fit; isolated text stays whole, behind text it can see."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

from upbringing.base.errors import DataError
from upbringing.data.rendering import IsolatedTokens, Rendered


def pieces(text: Rendered, context: int) -> Iterator[Rendered]:
    """Yield ``text`` in pieces of at most ``context`` tokens.

    Each isolated text is in one piece, with at least one token of the text before it. Raises ``DataError`` for a chat
    that does not fit, and for isolated text that cannot stand in any window.
    """
    if text.size <= context:
        yield text
        return
    if not text.divisible:
        raise DataError(
            f"a chat of {text.source!r} has {len(text.ids)} tokens, the stage's context is {context}: raise the context"
        )
    begin, waiting = 0, text.isolated
    while begin < len(text.ids):
        held = _held(waiting, begin, context)
        end = _end(text, begin, held, waiting[len(held) :], context)
        moved = tuple(replace(part, place=part.place - begin) for part in held)
        yield Rendered(text.ids[begin:end], text.learned[begin:end], text.source, text.teacher, True, moved)
        begin, waiting = end, waiting[len(held) :]


def _held(waiting: Sequence[IsolatedTokens], begin: int, context: int) -> tuple[IsolatedTokens, ...]:
    """Return the first isolated texts that fit into a piece from ``begin`` with all text before them."""
    held: list[IsolatedTokens] = []
    num_isolated = 0
    for part in waiting:
        num_isolated += len(part.ids)
        if part.place - begin + num_isolated > context:
            break
        held.append(part)
    return tuple(held)


def _end(
    text: Rendered, begin: int, held: Sequence[IsolatedTokens], later: Sequence[IsolatedTokens], context: int
) -> int:
    """Return where the piece from ``begin`` ends.

    Where the next isolated text stands in it and finds no room, it ends earlier: the next piece begins with as much of
    the text before it as fits.
    """
    end = min(begin + context - sum(len(part.ids) for part in held), len(text.ids))
    if not later or later[0].place > end:
        return end
    room = context - len(later[0].ids)  # for the text before it, in the next piece
    first = held[-1].place if held else begin
    end = max(first, later[0].place - room)
    if not begin < end < later[0].place:
        raise DataError(
            f"a document of {text.source!r}: an isolated text of {len(later[0].ids)} tokens finds no room behind the "
            f"text it belongs to, the stage's context is {context}: raise the context or shorten it"
        )
    return end
