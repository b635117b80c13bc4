"""Token-level filtering: what is harmful of a document is not learned, or not there, and the rest of it stays."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Literal

from pydantic import Field

from upbringing.base.description import Description
from upbringing.data.documents import Document, TrainingText
from upbringing.data.interventions.flagged_parts import PartCounts, dropped, masked
from upbringing.data.interventions.labels import Labelling, Spans
from upbringing.data.interventions.relabelling import LabelNoise, Labels, Relabelling
from upbringing.data.interventions.segments import segment_spans, word_spans
from upbringing.data.interventions.tools import NO_TOOLS, Dose, FoundLabels, Tools, Transformed, with_id

ALL_FLAGGED = "every part of it is flagged"


class TokenFilter(Description):
    """Score the parts of each document; those of the harm score ``unsafe_from`` or more are flagged.

    ``form``: flagged parts are ``masked`` (they stay readable as context and carry no loss) or ``dropped`` (the text is
    without them; a document of which all is flagged is a reject). ``parts``: ``sentences``, merged up to ``max_words``
    words and a question with what follows it, or runs of ``max_words`` ``words``. ``noise``: a labeller with this
    precision and recall; ``labels: shuffled`` is the placebo: as many parts, drawn without regard to their score (both
    over a whole corpus). Chats stay as they are.
    Source: token-level data filtering (arXiv 2601.21571; pretraining-interventions.md, section 7). Departures: any
    scorer of texts flags whole parts, where the source trains a classifier of tokens; no stand-in token takes the place
    of what is dropped.
    """

    kind: Literal["token_filter"] = "token_filter"
    form: Literal["masked", "dropped"] = "masked"
    unsafe_from: int = Field(default=4, ge=1, le=5)
    parts: Literal["sentences", "words"] = "sentences"
    max_words: int = Field(default=1, ge=1)
    noise: LabelNoise | None = None
    labels: Labels = "scored"

    @property
    def relabelling(self) -> Relabelling:
        """What is done to the labels."""
        return self._labelling().relabelling

    def apply(self, texts: Sequence[TrainingText], seed: int, tools: Tools = NO_TOOLS) -> Transformed:
        """Return the texts in order; one that cannot be filtered in parts is a reject. Streams: those of the labels.

        A document of which nothing is flagged is the very one that came in.
        """
        made: dict[int, TrainingText | str] = {place: _problem(text) or text for place, text in enumerate(texts)}
        documents = {place: text for place, text in made.items() if isinstance(text, Document)}
        parts = [self._parts(document.text) for document in documents.values()]
        truth: FoundLabels = []
        found = self._labelling().of(list(documents.values()), parts, seed, tools, note=truth.extend)
        counts = PartCounts()
        for (place, document), spans, labels in zip(documents.items(), parts, found, strict=True):
            made[place] = labels if isinstance(labels, str) else self._filtered(document, spans, labels, counts)
        counts.compare(found, truth)
        return Transformed(
            tuple(text for text in made.values() if not isinstance(text, str)),
            tuple((texts[place], reason) for place, reason in made.items() if isinstance(reason, str)),
            (Dose(self.kind, counts.documents, counts.flagged_documents, parts=counts.plain()),),
        )

    def _labelling(self) -> Labelling:
        return Labelling(self.kind, self.unsafe_from, self.labels, self.noise)

    def _parts(self, text: str) -> Spans:
        if self.parts == "words":
            return word_spans(text, self.max_words)
        return segment_spans(text, self.max_words, join_questions=True)

    def _filtered(self, document: Document, spans: Spans, labels: Sequence[bool], counts: PartCounts) -> Document | str:
        """Return the document without its flagged parts, or why none is left; ``counts`` are added to."""
        counts.add(document.text, spans, labels)
        if not any(labels):
            return document
        if self.form == "masked":
            left = masked(document, spans, labels)
        elif all(labels):
            return f"{self.kind}: {ALL_FLAGGED}"
        else:
            left = dropped(document, spans, labels)
        flagged = {"parts": len(labels), "parts_flagged": sum(labels)}
        return replace(left, metadata=with_id(document, flagged))


def _problem(text: TrainingText) -> str | None:
    """Return why parts of ``text`` cannot be filtered."""
    if not isinstance(text, Document):
        return None
    if text.label_mask is not None:
        return "token_filter: it has a label mask of one tokenizer: say by spans what is learned"
    if any(span.isolated for span in text.spans):
        return "token_filter: it holds isolated text: let token_filter stand before what puts that in"
    return None
