"""What becomes of the flagged parts of a document: no loss for them, or a text without them; and how much that was."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import groupby

from upbringing.data.documents import Document, Span
from upbringing.data.interventions.labels import Spans, called_counts
from upbringing.data.interventions.tools import FoundLabels


@dataclass
class PartCounts:
    """Running counts over documents. ``unsafe``, ``rightly``: parts that the scorer calls unsafe, and those of them
    that are flagged; ``None`` = the scorer was asked in another pass, whose account says it.
    """

    documents: int = 0
    flagged_documents: int = 0
    parts: int = 0
    flagged: int = 0
    words: int = 0
    flagged_words: int = 0
    unsafe: int | None = None
    rightly: int | None = None

    def add(self, text: str, spans: Spans, labels: Sequence[bool]) -> None:
        """Count the parts of one document. Words are what stands between white space."""
        words = [len(text[begin:end].split()) for begin, end in spans]
        self.documents += 1
        self.flagged_documents += any(labels)
        self.parts += len(labels)
        self.flagged += sum(labels)
        self.words += sum(words)
        self.flagged_words += sum(count for count, flagged in zip(words, labels, strict=True) if flagged)

    def compare(self, labels: FoundLabels, truth: FoundLabels) -> None:
        """Count what was flagged ``rightly``, where the ``truth`` of the same documents was asked for."""
        if not truth or len(truth) != len(labels):
            return
        counted = dict(called_counts(labels, truth))
        self.unsafe, self.rightly = counted["unsafe"], counted["rightly called"]

    def plain(self) -> tuple[tuple[str, int], ...]:
        """Return the counts by name; those of the truth where it is known."""
        known = {"unsafe": self.unsafe, "rightly flagged": self.rightly}
        counted = {
            "parts": self.parts,
            "flagged": self.flagged,
            "words": self.words,
            "flagged words": self.flagged_words,
        }
        return (*counted.items(), *((name, count) for name, count in known.items() if count is not None))


def masked(document: Document, spans: Spans, labels: Sequence[bool]) -> Document:
    """Return ``document`` with no loss on its flagged parts, white space between them included; its text stays.

    Spans that it has keep their loss outside of them.
    """
    regions = [(spans[first][0], spans[last - 1][1]) for first, last in _runs(labels)]
    pieces = []
    for span in document.spans:
        for begin, end, inside in _pieces(span.begin, span.end, regions):
            pieces.append(replace(span, begin=begin, end=end, loss=span.loss and not inside))
    taken = [(span.begin, span.end) for span in document.spans]
    for begin, end in regions:
        pieces += [
            Span(first, last, loss=False) for first, last, is_taken in _pieces(begin, end, taken) if not is_taken
        ]
    return replace(document, spans=_worded(document.text, pieces))


def dropped(document: Document, spans: Spans, labels: Sequence[bool]) -> Document:
    """Return ``document`` without its flagged parts, of which not all are; each goes with the white space behind it.

    Spans that it has move along, and keep what is left of them.
    """
    regions = [_with_space(first, last, spans) for first, last in _runs(labels)]
    kept = [(begin, end) for begin, end, gone in _pieces(0, len(document.text), regions) if not gone]
    pieces, length = [], 0
    for begin, end in kept:
        for span in document.spans:
            left, right = max(span.begin, begin), min(span.end, end)
            if left < right:
                pieces.append(replace(span, begin=left - begin + length, end=right - begin + length))
        length += end - begin
    text = "".join(document.text[begin:end] for begin, end in kept)
    return replace(document, text=text, spans=_worded(text, pieces))


def _runs(labels: Sequence[bool]) -> list[tuple[int, int]]:
    """Return (first, last) places of flagged parts that stand next to each other, the last exclusive."""
    runs, place = [], 0
    for flagged, group in groupby(labels):
        size = len(list(group))
        if flagged:
            runs.append((place, place + size))
        place += size
    return runs


def _with_space(first: int, last: int, spans: Spans) -> tuple[int, int]:
    """Return what goes with the spans ``first .. last``: up to the next; at the end, from where those before end."""
    if last < len(spans):
        return spans[first][0], spans[last][0]
    return spans[first - 1][1], spans[-1][1]


def _pieces(begin: int, end: int, regions: Spans) -> Iterator[tuple[int, int, bool]]:
    """Yield ``begin .. end`` cut where ``regions`` (in order, apart) begin and end, and whether each lies in one."""
    for first, last in regions:
        left, right = max(begin, first), min(end, last)
        if left >= right:
            continue
        if begin < left:
            yield begin, left, False
        yield left, right, True
        begin = right
    if begin < end:
        yield begin, end, False


def _worded(text: str, spans: Sequence[Span]) -> tuple[Span, ...]:
    """Return ``spans`` in order but for those of white space alone, which may hold no token."""
    ordered = sorted(spans, key=lambda each: each.begin)
    return tuple(span for span in ordered if text[span.begin : span.end].strip())
