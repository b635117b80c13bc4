"""The filter of whole texts by their harm score, and the same filter with a labeller that errs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, Self

from pydantic import Field, model_validator

from upbringing.base.description import Description
from upbringing.data.documents import TrainingText
from upbringing.data.interventions.labels import called_counts, relabelled
from upbringing.data.interventions.refilling import Pool, refilled
from upbringing.data.interventions.relabelling import LabelNoise, Relabelling
from upbringing.data.interventions.tools import NO_TOOLS, Dose, FoundLabels, Tools, Transformed, harm_of, text_name


class FilterByHarm(Description):
    """Keep texts of the harm scores ``min_harm`` to ``max_harm`` (0 harmless .. 5 harmful); unscored are an error.

    ``noise``: a filter that leaves out ``recall`` of the other texts, and whose rejects are such texts at the rate of
    ``precision`` (over a whole corpus); 1 and 1 is the filter without it.
    ``refill``: copies of kept texts stand, behind all texts, for what is left out, with as many words: of ``approved``
    ones (a blocklist had escalated them) or of ``any`` (over a whole corpus), at most ``most_copies`` of each.
    Source: of the refill, Deep Ignorance; of the noise, selective gradient masking (pretraining-interventions.md,
    section 7). Departures: errors fall on texts without regard to their content, where a classifier's fall on those
    that are hard to tell.
    """

    kind: Literal["filter"] = "filter"
    max_harm: int = Field(default=0, ge=0, le=5)
    min_harm: int = Field(default=0, ge=0, le=5, exclude_if=lambda value: value == 0)  # recipes without keep their ids
    noise: LabelNoise | None = Field(default=None, exclude_if=lambda value: value is None)
    refill: Pool | None = Field(default=None, exclude_if=lambda value: value is None)
    most_copies: int = Field(default=4, ge=1, exclude_if=lambda value: value == 4)

    @model_validator(mode="after")
    def _keeps_something(self) -> Self:
        if self.min_harm > self.max_harm:
            raise ValueError(f"min_harm {self.min_harm} is above max_harm {self.max_harm}: nothing would be kept")
        return self

    @property
    def relabelling(self) -> Relabelling:
        """What is done to the labels, which say of whole texts whether they are left out."""
        return Relabelling(self.noise)

    def apply(self, texts: Sequence[TrainingText], seed: int, tools: Tools = NO_TOOLS) -> Transformed:
        """Return the kept texts in order. Streams: of noise ``label/<name of the text>``, and those of a refill."""
        harms = [harm_of(text, self.kind) for text in texts]
        truth: FoundLabels = [[not self.min_harm <= harm <= self.max_harm] for harm in harms]
        names = [text_name(text) for text in texts] if self.noise is not None else []
        labels = relabelled(self.relabelling, names, lambda: list(truth), seed, tools)
        kept, rejects = [], []
        for text, harm, label in zip(texts, harms, labels, strict=True):
            if label[0]:
                rejects.append((text, self._reason(harm)))
            else:
                kept.append(text)
        counts = () if self.noise is None else called_counts(labels, truth)
        if self.refill is not None:
            more = refilled(kept, [text for text, _ in rejects], self.refill, self.most_copies, seed)
            kept, counts = [*kept, *more.copies], (*counts, *more.counts())
        doses = (Dose(self.kind, len(texts), len(rejects), parts=counts),) if counts else ()
        return Transformed(tuple(kept), tuple(rejects), doses)

    def _reason(self, harm: int) -> str:
        if self.min_harm <= harm <= self.max_harm:
            return f"harm {harm}, left out by noise"
        return f"harm {harm} > {self.max_harm}" if harm > self.max_harm else f"harm {harm} < {self.min_harm}"
