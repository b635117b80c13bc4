"""Spans of a document's characters as facts about its tokens, of which none is half in a span.

A token belongs whole to where its first character stands that is no white space (most tokenizers put the space before a
word into its token). An isolated span stands before the token that its place would split, so it never sees text from
behind that place.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass, replace

from upbringing.base.errors import DataError
from upbringing.data.documents import Document, Span


@dataclass(frozen=True)
class IsolatedText:
    """Isolated characters of a document. ``place``: characters of the document's own text before them."""

    place: int
    text: str
    spans: tuple[Span, ...]


@dataclass(frozen=True)
class Separated:
    """A document without its isolated text, and that text. Spans are those of the ``text`` they stand with."""

    text: str
    spans: tuple[Span, ...]
    isolated: tuple[IsolatedText, ...]


def separate(document: Document) -> Separated:
    """Return the own text of ``document`` and its isolated texts apart; raises ``DataError`` where no own is left."""
    own: list[str] = []
    spans: list[Span] = []
    isolated: list[IsolatedText] = []
    removed = copied = 0  # characters
    for span in document.spans:
        if not span.isolated:
            spans.append(replace(span, begin=span.begin - removed, end=span.end - removed))
            continue
        text = document.text[span.begin : span.end]
        if isolated and span.begin == copied:  # it touches the one before
            last = isolated.pop()
            place, size = last.place, len(last.text)
            isolated.append(IsolatedText(place, last.text + text, (*last.spans, _moved(span, size - span.begin))))
        else:
            own.append(document.text[copied : span.begin])
            isolated.append(IsolatedText(span.begin - removed, text, (_moved(span, -span.begin),)))
        copied = span.end
        removed += span.end - span.begin
    own.append(document.text[copied:])
    clean = "".join(own)
    if isolated and not clean.strip():
        raise DataError(f"a document of {document.source!r} is isolated text alone: there is nothing it stands in")
    return Separated(clean, tuple(spans), tuple(isolated))


def _moved(span: Span, by: int) -> Span:
    return replace(span, begin=span.begin + by, end=span.end + by)


def token_losses(
    text: str, offsets: Sequence[tuple[int, int]], spans: Sequence[Span], *, otherwise: bool
) -> list[bool]:
    """Return whether each token carries a loss: as its span says, ``otherwise`` where it stands in none.

    ``offsets``: the characters ``(begin, end)`` of each token. Raises ``DataError`` for a span that holds no token.
    """
    begins = [span.begin for span in spans]
    learned: list[bool] = []
    held: set[int] = set()
    for begin, end in offsets:
        piece = text[begin:end]
        first = begin + (len(piece) - len(piece.lstrip()) if piece.strip() else 0)
        number = bisect_right(begins, first) - 1
        if number >= 0 and first < spans[number].end:
            held.add(number)
            learned.append(spans[number].loss)
        else:
            learned.append(otherwise)
    for number, span in enumerate(spans):
        if number not in held:
            raise DataError(
                f"no token of {text[max(0, span.begin - 20) : span.end + 20]!r} begins in its span "
                f"{text[span.begin : span.end]!r}: let spans begin and end where words do"
            )
    return learned


def token_place(offsets: Sequence[tuple[int, int]], place: int) -> int:
    """Return how many tokens stand before the character ``place``; one that reaches beyond it does not."""
    for number, (_, end) in enumerate(offsets):
        if end > place:
            return number
    return len(offsets)
