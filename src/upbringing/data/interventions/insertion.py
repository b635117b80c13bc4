"""Put marks into a document without changing a character of it: deleting the marks gives the text back."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import accumulate

from upbringing.data.documents import Document, Span
from upbringing.data.interventions.segments import WORD


@dataclass(frozen=True)
class Insertion:
    """``text`` is put before the character ``place``. ``span``: how it is learned, where not as all else is."""

    place: int
    text: str
    span: bool = False
    loss: bool = True
    isolated: bool = False


def inserted(document: Document, insertions: Sequence[Insertion]) -> Document:
    """Return ``document`` with all ``insertions``; those at one place stand in the order given.

    Its own spans move along: what is put where a span begins or ends stays outside of it, what is put inside belongs
    to it. No insertion with a span of its own may fall into a span.
    """
    ordered = sorted(insertions, key=lambda each: each.place)  # stable: the order at one place stays
    pieces, spans, position, length = [], [], 0, 0
    for each in ordered:
        pieces += [document.text[position : each.place], each.text]
        length += each.place - position
        if each.span and each.text:
            spans.append(Span(length, length + len(each.text), loss=each.loss, isolated=each.isolated))
        length += len(each.text)
        position = each.place
    pieces.append(document.text[position:])
    places = [each.place for each in ordered]
    added = [0, *accumulate(len(each.text) for each in ordered)]
    moved = [
        replace(
            span,
            begin=span.begin + added[bisect_right(places, span.begin)],
            end=span.end + added[bisect_left(places, span.end)],
        )
        for span in document.spans
    ]
    spans = sorted([*moved, *spans], key=lambda span: span.begin)
    return replace(document, text="".join(pieces), spans=tuple(spans))


def word_ends(text: str) -> list[int]:
    """Return where each word of ``text`` ends. Words are what stands between white space."""
    return [match.end() for match in WORD.finditer(text)]
