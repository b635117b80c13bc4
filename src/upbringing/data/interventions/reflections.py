"""Safety reflections: short labels at regular places, so that a model judges its own text as it goes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, Self

from pydantic import Field, model_validator

from upbringing.base.description import Description
from upbringing.base.errors import DataError
from upbringing.data.documents import Document, TrainingText
from upbringing.data.interventions.insertion import Insertion, inserted
from upbringing.data.interventions.labels import Labelling, LabelNoise
from upbringing.data.interventions.segments import segment_spans
from upbringing.data.interventions.tag import Labels
from upbringing.data.interventions.tools import NO_TOOLS, Tools, Transformed

CATEGORY = "category"  # metadata of a document that knows what kind of harm it is about


class Reflections(Description):
    """Behind every segment of a document put ``safe`` or ``unsafe``; segments are sentences merged to ``max_words``.

    A segment is unsafe from the harm score ``unsafe_from`` on. ``{category}`` in ``unsafe`` is the document's
    ``category`` (metadata), else this one. ``end_marker``: put behind unsafe labels as well, such as the end-of-text
    token. ``noise``: a labeller with this precision and recall; ``labels: shuffled`` is the placebo (both over a whole
    corpus). ``isolated``: the document is read as if the labels were not there; ``loss: false`` learns none of them.
    Source: SRP (pretraining-interventions.md, 3.2). Departures: none by default; all else is an option.
    """

    kind: Literal["reflections"] = "reflections"
    max_words: int = Field(default=300, ge=1)
    safe: str = Field(default=" <think> Safe </think>", min_length=1)
    unsafe: str = Field(default=" <think> Unsafe:{category} </think>", min_length=1)
    category: str = "Harm"
    end_marker: str = ""
    unsafe_from: int = Field(default=4, ge=1, le=5)
    noise: LabelNoise | None = None
    labels: Labels = "scored"
    isolated: bool = False
    loss: bool = True

    @model_validator(mode="after")
    def _labels_differ(self) -> Self:
        if self.safe == self.unsafe:
            raise ValueError(f"safe and unsafe are both {self.safe!r}: a label must say which it is")
        return self

    def apply(self, texts: Sequence[TrainingText], seed: int, tools: Tools = NO_TOOLS) -> Transformed:
        """Return the documents with labels, chats as they are; one with a segment that has no score is a reject."""
        places = [place for place, text in enumerate(texts) if isinstance(text, Document)]
        documents = [text for text in texts if isinstance(text, Document)]
        self._refuse_marked(documents)
        parts = [segment_spans(document.text, self.max_words) for document in documents]
        labelling = Labelling(self.kind, self.unsafe_from, self.labels, self.noise)
        found = labelling.of(documents, parts, seed, tools)
        result: dict[int, TrainingText] = dict(enumerate(texts))
        rejects: list[tuple[TrainingText, str]] = []
        for place, document, spans, labels in zip(places, documents, parts, found, strict=True):
            if isinstance(labels, str):
                rejects.append((result.pop(place), labels))
            else:
                result[place] = self._reflected(document, [end for _, end in spans], labels)
        return Transformed(tuple(result[place] for place in sorted(result)), tuple(rejects))

    def _refuse_marked(self, documents: Sequence[Document]) -> None:
        marks = [self.safe.strip(), self.unsafe.partition("{category}")[0].strip()]
        for document in documents:
            for mark in marks:
                if mark and mark in document.text:
                    raise DataError(
                        f"reflections: {mark!r} occurs in a text of {document.source!r} already: take it out, "
                        "or choose other labels"
                    )

    def _reflected(self, document: Document, ends: Sequence[int], labels: Sequence[bool]) -> Document:
        category = str(document.metadata.get(CATEGORY) or self.category)
        said = {False: self.safe, True: self.unsafe.replace("{category}", category) + self.end_marker}
        insertions = [
            Insertion(end, said[unsafe], span=True, loss=self.loss, isolated=self.isolated)
            for end, unsafe in zip(ends, labels, strict=True)
        ]
        return inserted(document, insertions)
