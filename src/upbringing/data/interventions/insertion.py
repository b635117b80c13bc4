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
    to it, unless it has a span of its own, which parts the other: every character of the document is learned and seen
    as before. Inside isolated text all is isolated.
    """
    ordered = sorted(insertions, key=lambda each: each.place)  # stable: the order at one place stays
    pieces, own, position, length = [], [], 0, 0
    for each in ordered:
        pieces += [document.text[position : each.place], each.text]
        length += each.place - position
        if each.span and each.text:
            own.append(Span(length, length + len(each.text), loss=each.loss, isolated=each.isolated))
        length += len(each.text)
        position = each.place
    pieces.append(document.text[position:])
    text = "".join(pieces)
    moved = _moved(document, ordered)
    spans = [part for span in moved for part in _parted(span, own, text)]
    spans += [replace(each, isolated=each.isolated or _is_in_isolated(each, moved)) for each in own]
    return replace(document, text=text, spans=tuple(sorted(spans, key=lambda span: span.begin)))


def _moved(document: Document, ordered: Sequence[Insertion]) -> list[Span]:
    """Return the spans of ``document`` where its characters stand after the insertions."""
    places = [each.place for each in ordered]
    added = [0, *accumulate(len(each.text) for each in ordered)]
    return [
        replace(
            span,
            begin=span.begin + added[bisect_right(places, span.begin)],
            end=span.end + added[bisect_left(places, span.end)],
        )
        for span in document.spans
    ]


def _parted(span: Span, own: Sequence[Span], text: str) -> list[Span]:
    """Return what is left of ``span`` beside the spans ``own`` inside of it, which are in order.

    White space alone holds no token, so it needs no span, but in isolated text, of which it is a part.
    """
    parts, begin = [], span.begin
    for each in own[bisect_left(own, span.begin, key=lambda other: other.begin) :]:
        if each.begin >= span.end:
            break
        parts.append((begin, each.begin))
        begin = each.end
    parts.append((begin, span.end))
    if len(parts) == 1:
        return [span]
    return [
        replace(span, begin=first, end=last)
        for first, last in parts
        if first < last and (span.isolated or not text[first:last].isspace())
    ]


def _is_in_isolated(each: Span, moved: Sequence[Span]) -> bool:
    place = bisect_right(moved, each.begin, key=lambda span: span.begin) - 1
    return place >= 0 and moved[place].isolated and each.begin < moved[place].end


def word_ends(text: str) -> list[int]:
    """Return where each word of ``text`` ends. Words are what stands between white space."""
    return [match.end() for match in WORD.finditer(text)]
