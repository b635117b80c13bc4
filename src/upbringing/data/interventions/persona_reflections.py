"""Persona reflections: now and then a note in the first person on what is read, apart from the text itself."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from pydantic import Field

from upbringing.base.description import Description
from upbringing.base.quantities import Share
from upbringing.base.streams import stream
from upbringing.data.documents import Document, TrainingText
from upbringing.data.interventions.insertion import Insertion, inserted, word_ends
from upbringing.data.interventions.labels import Labelling
from upbringing.data.interventions.relabelling import Labels, Relabelling
from upbringing.data.interventions.tools import NO_TOOLS, Tools, Transformed, refuse_marks, text_name


class PersonaReflections(Description):
    """Put one note into ``share`` of the documents, at a point drawn from a ramp over ``ramp`` of them, then uniformly.

    ``safe`` and ``unsafe``: the notes to draw from, by the document's score (unsafe from ``unsafe_from`` on).
    ``marker`` stands before the note and is never learned. ``isolated``: the rest of the document is read as if the
    note were not there. ``labels: shuffled``: notes without regard to the score (over a whole corpus).
    Source: SPP (pretraining-interventions.md, 5.2). Departures: notes are given, not written per document; the point is
    moved to the nearest end of a word.
    """

    kind: Literal["persona_reflections"] = "persona_reflections"
    safe: tuple[str, ...] = Field(min_length=1)
    unsafe: tuple[str, ...] = Field(min_length=1)
    share: Share = 0.1
    ramp: Share = 0.2
    marker: str = ""
    unsafe_from: int = Field(default=4, ge=1, le=5)
    labels: Labels = "scored"
    isolated: bool = True

    @property
    def needed_tokens(self) -> tuple[str, ...]:
        """Special tokens that the tokenizer must have."""
        return (self.marker,) if self.marker else ()

    @property
    def inserted(self) -> tuple[str, ...]:
        """What is put in besides, special token or not."""
        return (*self.safe, *self.unsafe)

    @property
    def relabelling(self) -> Relabelling:
        """What is done to the labels, which are of whole documents."""
        return self._labelling().relabelling

    def apply(self, texts: Sequence[TrainingText], seed: int, tools: Tools = NO_TOOLS) -> Transformed:
        """Return the texts, some with a note. Stream: ``persona/<name>``; a marker that is there is an error."""
        refuse_marks(texts, self.needed_tokens, self.kind)
        chosen = [
            (place, text)
            for place, text in enumerate(texts)
            if isinstance(text, Document) and text.text.strip() and self._is_chosen(text, seed)
        ]
        documents = [document for _, document in chosen]
        whole = [[(0, len(document.text))] for document in documents]
        labels = self._labelling().of(documents, whole, seed, tools)
        result: dict[int, TrainingText] = dict(enumerate(texts))
        rejects: list[tuple[TrainingText, str]] = []
        for (place, document), label in zip(chosen, labels, strict=True):
            if isinstance(label, str):
                rejects.append((result.pop(place), label))
            else:
                result[place] = self._noted(document, label[0], seed)
        return Transformed(tuple(result[place] for place in sorted(result)), tuple(rejects))

    def _labelling(self) -> Labelling:
        return Labelling(self.kind, self.unsafe_from, self.labels)

    def _is_chosen(self, document: Document, seed: int) -> bool:
        return bool(stream(seed, "persona", text_name(document)).random() < self.share)

    def _noted(self, document: Document, unsafe: bool, seed: int) -> Document:
        notes = self.unsafe if unsafe else self.safe
        drawn, point, note = stream(seed, "persona", text_name(document)).random(3)
        del drawn  # decided whether there is a note
        wanted = ramped(float(point), self.ramp) * len(document.text)
        place = min(word_ends(document.text), key=lambda end: abs(end - wanted))
        insertions = [Insertion(place, notes[int(note * len(notes))], span=True, loss=True, isolated=self.isolated)]
        if self.marker:
            insertions.insert(0, Insertion(place, self.marker, span=True, loss=False, isolated=self.isolated))
        return inserted(document, insertions)


def ramped(uniform: float, ramp: float) -> float:
    """Return the ``uniform`` quantile of a density on [0, 1] that rises linearly over ``ramp``, then stays."""
    total = 1.0 - ramp / 2  # the area under a rise to 1 over ``ramp`` and 1 from there on
    area = uniform * total
    return float((2 * ramp * area) ** 0.5) if area < ramp / 2 else area + ramp / 2
