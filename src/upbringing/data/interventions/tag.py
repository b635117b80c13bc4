"""Tag injection: a mark among the words of harmful text, so that a model learns when harm is near."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Annotated, Literal

from pydantic import Field

from upbringing.base.description import Description
from upbringing.base.quantities import Share
from upbringing.base.streams import stream
from upbringing.data.documents import Document, TrainingText
from upbringing.data.interventions.insertion import Insertion, inserted, word_ends
from upbringing.data.interventions.labels import called_counts, relabelled
from upbringing.data.interventions.relabelling import LabelNoise, Labels, Relabelling
from upbringing.data.interventions.tools import (
    NO_TOOLS,
    Dose,
    FoundLabels,
    Tools,
    Transformed,
    eligible_places,
    is_synthetic,
    refuse_marks,
    staying,
    text_name,
    with_id,
)
from upbringing.formats.tags import UNSAFE_TAG

HarmLevel = Annotated[int, Field(ge=0, le=5)]


class Tag(Description):
    """Insert ``tag`` before each word but the first, independently with probability ``rate``, into harmful documents.

    ``scores``: the harm scores of documents that are tagged; what a transform wrote never is, and chats are not. They
    stay, whatever was written from them before.
    ``tag`` must be a special token of the tokenizer: ``start.tokenizer.special_tokens``. It stands behind the word
    before it, without a space, so that deleting it gives back text and tokens. ``labels: shuffled`` is the placebo:
    equally many documents are tagged, drawn without regard to their score (apply it to a whole corpus). ``noise``: a
    labeller of documents with this precision and recall (over a whole corpus) says which are tagged.
    Source: pretraining-interventions.md, section 1.2. Departures: words are what stands between white space.
    """

    kind: Literal["tag"] = "tag"
    rate: Share = 0.05
    scores: tuple[HarmLevel, ...] = (4, 5)
    tag: str = Field(default=UNSAFE_TAG, min_length=1)
    labels: Labels = "scored"
    noise: LabelNoise | None = Field(default=None, exclude_if=lambda value: value is None)

    @property
    def needed_tokens(self) -> tuple[str, ...]:
        """Special tokens that the tokenizer must have."""
        return (self.tag,)

    @property
    def relabelling(self) -> Relabelling:
        """What is done to the labels, which say of whole documents whether they are tagged."""
        return Relabelling(self.noise, shuffled=self.labels == "shuffled")

    def apply(self, texts: Sequence[TrainingText], seed: int, tools: Tools = NO_TOOLS) -> Transformed:
        """Return all texts in order. Stream: ``tag/<name of the text>``; a tag that is there already is an error."""
        refuse_marks(texts, self.needed_tokens, self.kind)
        harmful = set(eligible_places(texts, self.scores, self.kind)) if self.rate > 0 else set()
        kept = [staying(text) if place in harmful else text for place, text in enumerate(texts)]
        chosen, doses = self._chosen(kept, harmful, seed, tools)
        tagged = tuple(self._tagged(text, seed) if place in chosen else text for place, text in enumerate(kept))
        return Transformed(tagged, (), doses)

    def _chosen(
        self, texts: Sequence[TrainingText], harmful: set[int], seed: int, tools: Tools
    ) -> tuple[set[int], tuple[Dose, ...]]:
        """Return the places of what is tagged, and an account of noise: the ``harmful`` without noise and shuffling."""
        places = [
            place
            for place, text in enumerate(texts)
            if isinstance(text, Document) and not is_synthetic(text) and text is staying(text)
        ]
        names = [text_name(texts[place]) for place in places]
        truth: FoundLabels = [[place in harmful] for place in places]
        labels = relabelled(self.relabelling, names, lambda: list(truth), seed, tools)
        chosen = {place for place, label in zip(places, labels, strict=True) if label[0]}
        if self.noise is None:
            return chosen, ()
        return chosen, (Dose(self.kind, len(places), len(chosen), parts=called_counts(labels, truth)),)

    def _tagged(self, text: TrainingText, seed: int) -> TrainingText:
        assert isinstance(text, Document)
        ends = word_ends(text.text)[:-1]  # before the i-th word is behind the one before it
        draws = stream(seed, self.kind, text_name(text)).random(len(ends)) < self.rate
        insertions = [Insertion(end, self.tag) for end, drawn in zip(ends, draws, strict=True) if drawn]
        if not insertions:
            return text
        return replace(inserted(text, insertions), metadata=with_id(text, {"tags": len(insertions)}))
