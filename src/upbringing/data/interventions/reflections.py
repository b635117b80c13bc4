"""Safety reflections: short labels at regular places, so that a model judges its own text as it goes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, Self

from pydantic import Field, model_validator

from upbringing.base.description import Description
from upbringing.data.documents import Chat, Document, TrainingText
from upbringing.data.interventions.chat_reflections import reflected_chats
from upbringing.data.interventions.insertion import Insertion, inserted
from upbringing.data.interventions.labels import Labelling
from upbringing.data.interventions.relabelling import LabelNoise, Labels, Relabelling
from upbringing.data.interventions.segments import segment_spans
from upbringing.data.interventions.tools import NO_TOOLS, Tools, Transformed, refuse_marks

CATEGORY = "category"  # metadata of a document that knows what kind of harm it is about


class Reflections(Description):
    """Behind every segment of a document put ``safe`` or ``unsafe``; segments are sentences merged to ``max_words``.

    A segment is unsafe from the harm score ``unsafe_from`` on. ``{category}`` in ``unsafe`` is the document's
    ``category`` (metadata), else this one. ``end_marker``: put behind unsafe labels as well, such as the end-of-text
    token. ``noise``: a labeller with this precision and recall; ``labels: shuffled`` is the placebo (both over a whole
    corpus). ``isolated``: the document is read as if the labels were not there; ``loss: false`` learns none of them.
    ``chats: reflected`` puts labels into the replies of chats as well: of what was asked at the start (the chat's
    ``prompt_harm``, metadata, where it is known), behind each segment, and of the whole reply at its end.
    Source: SRP (pretraining-interventions.md, 3.2). Departures: no end-of-text token stands behind an unsafe label
    unless ``end_marker`` names it, because its name is the tokenizer's.
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
    chats: Literal["kept", "reflected"] = Field(default="kept", exclude_if=lambda value: value == "kept")

    @model_validator(mode="after")
    def _labels_differ(self) -> Self:
        if self.safe == self.unsafe:
            raise ValueError(f"safe and unsafe are both {self.safe!r}: a label must say which it is")
        if self.chats == "reflected" and (self.isolated or not self.loss):
            raise ValueError("chats: reflected learns its labels in sight of all: isolated and loss are of documents")
        return self

    @property
    def inserted(self) -> tuple[str, ...]:
        """What is put in, special token or not."""
        return tuple(each for each in (self.safe, self.unsafe, self.end_marker) if each)

    @property
    def marks(self) -> tuple[str, ...]:
        """What tells its labels from all other text, so that no text may hold it before."""
        said = (self.safe, self.unsafe.partition("{category}")[0], self.end_marker)
        return tuple(dict.fromkeys(mark for each in said if (mark := each.strip())))

    @property
    def relabelling(self) -> Relabelling:
        """What is done to the labels."""
        return self._labelling().relabelling

    def apply(self, texts: Sequence[TrainingText], seed: int, tools: Tools = NO_TOOLS) -> Transformed:
        """Return the documents, and chats if asked for, with labels; one with a part without a score is a reject."""
        refuse_marks(texts, self.marks, self.kind)
        documents = {place: text for place, text in enumerate(texts) if isinstance(text, Document)}
        chats = {place: text for place, text in enumerate(texts) if isinstance(text, Chat) and self.chats != "kept"}
        found = dict(zip(documents, self._documents(list(documents.values()), seed, tools), strict=True))
        labelling = self._labelling()
        replies = reflected_chats(list(chats.values()), labelling, self._of_chat, self.max_words, seed, tools)
        made: dict[int, TrainingText | str] = {**found, **dict(zip(chats, replies, strict=True))}
        result = [made.get(place, text) for place, text in enumerate(texts)]
        return Transformed(
            tuple(text for text in result if not isinstance(text, str)),
            tuple((text, reason) for text, reason in zip(texts, result, strict=True) if isinstance(reason, str)),
        )

    def _labelling(self) -> Labelling:
        return Labelling(self.kind, self.unsafe_from, self.labels, self.noise)

    def _documents(self, documents: Sequence[Document], seed: int, tools: Tools) -> list[Document | str]:
        """Return each document with its labels, or why it has none."""
        parts = [segment_spans(document.text, self.max_words) for document in documents]
        found = self._labelling().of(documents, parts, seed, tools)
        return [
            labels if isinstance(labels, str) else self._reflected(document, [end for _, end in spans], labels)
            for document, spans, labels in zip(documents, parts, found, strict=True)
        ]

    def _of_chat(self, chat: Chat, unsafe: bool, of_reply: bool) -> str:
        """Return a label in a chat; a harmful request ends nothing, because its refusal is still to come."""
        category = str(chat.metadata.get(CATEGORY) or self.category)
        said = self.unsafe.replace("{category}", category) if unsafe else self.safe
        return said + self.end_marker if unsafe and of_reply else said

    def _reflected(self, document: Document, ends: Sequence[int], labels: Sequence[bool]) -> Document:
        category = str(document.metadata.get(CATEGORY) or self.category)
        said = {False: self.safe, True: self.unsafe.replace("{category}", category) + self.end_marker}
        insertions = [
            Insertion(end, said[unsafe], span=True, loss=self.loss, isolated=self.isolated)
            for end, unsafe in zip(ends, labels, strict=True)
        ]
        return inserted(document, insertions)
