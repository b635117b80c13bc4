"""Conditional tokens: every sentence behind a control token for its score, so that the good one can be asked for."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, Self

from pydantic import Field, model_validator

from upbringing.base.description import Description
from upbringing.base.quantities import Share
from upbringing.base.streams import stream
from upbringing.data.documents import Document, TrainingText
from upbringing.data.interventions.insertion import Insertion, inserted
from upbringing.data.interventions.labels import Labelling
from upbringing.data.interventions.relabelling import LabelNoise, Labels, Relabelling
from upbringing.data.interventions.segments import sentence_spans
from upbringing.data.interventions.tools import NO_TOOLS, Tools, Transformed, refuse_marks, text_name


class ConditionalTokens(Description):
    """Before each sentence, with probability ``probability``, put ``aligned`` or from the score ``misaligned_from`` on
    ``misaligned``. Both must be special tokens of the tokenizer. ``labels: shuffled`` is the placebo (whole corpus).
    ``noise``: a labeller of sentences with this precision and recall (whole corpus).

    Source: Korbak et al. 2023 (pretraining-interventions.md, 6). Departures: the threshold is on harm scores 0-5 (their
    0.00056 is on a toxicity classifier's probability); a token stands before the white space that parts sentences.
    """

    kind: Literal["conditional_tokens"] = "conditional_tokens"
    probability: Share = 0.99
    aligned: str = Field(default="<|aligned|>", min_length=1)
    misaligned: str = Field(default="<|misaligned|>", min_length=1)
    misaligned_from: int = Field(default=1, ge=1, le=5)
    labels: Labels = "scored"
    noise: LabelNoise | None = Field(default=None, exclude_if=lambda value: value is None)

    @model_validator(mode="after")
    def _tokens_differ(self) -> Self:
        if self.aligned == self.misaligned:
            raise ValueError(f"aligned and misaligned are both {self.aligned!r}: they must differ")
        return self

    @property
    def needed_tokens(self) -> tuple[str, ...]:
        """Special tokens that the tokenizer must have."""
        return (self.aligned, self.misaligned)

    @property
    def relabelling(self) -> Relabelling:
        """What is done to the labels."""
        return self._labelling().relabelling

    def apply(self, texts: Sequence[TrainingText], seed: int, tools: Tools = NO_TOOLS) -> Transformed:
        """Return the documents with tokens, chats as they are. Stream: ``conditional_tokens/<name>``."""
        refuse_marks(texts, self.needed_tokens, self.kind)
        places = [place for place, text in enumerate(texts) if isinstance(text, Document)]
        documents = [text for text in texts if isinstance(text, Document)]
        parts = [sentence_spans(document.text) for document in documents]
        found = self._labelling().of(documents, parts, seed, tools)
        result: dict[int, TrainingText] = dict(enumerate(texts))
        rejects: list[tuple[TrainingText, str]] = []
        for place, document, spans, labels in zip(places, documents, parts, found, strict=True):
            if isinstance(labels, str):
                rejects.append((result.pop(place), labels))
            else:
                result[place] = self._conditioned(document, spans, labels, seed)
        return Transformed(tuple(result[place] for place in sorted(result)), tuple(rejects))

    def _labelling(self) -> Labelling:
        return Labelling(self.kind, self.misaligned_from, self.labels, self.noise)

    def _conditioned(
        self, document: Document, spans: Sequence[tuple[int, int]], labels: Sequence[bool], seed: int
    ) -> Document:
        draws = stream(seed, self.kind, text_name(document)).random(len(spans)) < self.probability
        begins = [0, *(end for _, end in spans[:-1])]  # behind the sentence before, in front of the white space
        return inserted(
            document,
            [
                Insertion(begin, self.misaligned if bad else self.aligned)
                for begin, bad, drawn in zip(begins, labels, draws, strict=False)
                if drawn
            ],
        )
