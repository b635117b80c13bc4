"""Which parts of documents are unsafe, as a scorer says, as a noisy scorer would, or shuffled."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from pydantic import Field

from upbringing.base.description import Description
from upbringing.base.errors import DataError
from upbringing.base.quantities import Share
from upbringing.base.streams import stream
from upbringing.data.documents import Document
from upbringing.data.interventions.tag import Labels
from upbringing.data.interventions.tools import Tools, text_name

Spans = list[tuple[int, int]]


class LabelNoise(Description):
    """A labeller that finds ``recall`` of what is unsafe, and of whose findings ``precision`` are right."""

    precision: Share = Field(default=1.0, gt=0)
    recall: Share = 1.0


@dataclass(frozen=True)
class Labelling:
    """How labels come to be. ``unsafe_from``: the lowest harm score of an unsafe part."""

    kind: str
    unsafe_from: int
    labels: Labels
    noise: LabelNoise | None

    def of(
        self,
        documents: Sequence[Document],
        parts: Sequence[Spans],
        seed: int,
        tools: Tools,
        known: Sequence[Mapping[int, bool]] | None = None,
    ) -> list[list[bool] | str]:
        """Return per document whether each of its parts is unsafe, or why a part of it could not be scored.

        ``known``: per document, the truth of parts by their place, about which no scorer is asked. Noise and shuffling
        keep rates over all ``documents``: give them a whole corpus. Streams: ``label/<name>``, ``shuffled/<name>``.
        """
        found = self._scored(documents, parts, tools, known or [{}] * len(documents))
        scored = [place for place, labels in enumerate(found) if not isinstance(labels, str)]
        truth = [labels for labels in found if not isinstance(labels, str)]
        names = [text_name(documents[place]) for place in scored]
        if self.noise is not None:
            truth = noisy(truth, self.noise, names, seed)
        if self.labels == "shuffled":
            truth = shuffled(truth, names, seed)
        result: list[list[bool] | str] = list(found)
        for place, labels in zip(scored, truth, strict=True):
            result[place] = labels
        return result

    def _scored(
        self,
        documents: Sequence[Document],
        parts: Sequence[Spans],
        tools: Tools,
        known: Sequence[Mapping[int, bool]],
    ) -> list[list[bool] | str]:
        asked = [
            Document(text=document.text[begin:end], source=document.source, metadata=document.metadata)
            for document, spans, truth in zip(documents, parts, known, strict=True)
            for place, (begin, end) in enumerate(spans)
            if place not in truth
        ]
        scores = iter(tools.needed_scorer(self.kind).score(asked) if asked else [])
        result: list[list[bool] | str] = []
        for spans, truth in zip(parts, known, strict=True):
            found = {place: next(scores) for place in range(len(spans)) if place not in truth}
            unscored = next((each.reason for each in found.values() if each.score is None), None)
            unsafe = {place: each.score is not None and each.score >= self.unsafe_from for place, each in found.items()}
            labels = [truth[place] if place in truth else unsafe[place] for place in range(len(spans))]
            result.append(labels if unscored is None else f"{self.kind}: a part could not be scored: {unscored}")
        return result


def noisy(truth: Sequence[list[bool]], noise: LabelNoise, names: Sequence[str], seed: int) -> list[list[bool]]:
    """Return the labels of a labeller with this precision and recall, in expectation; each draw is independent.

    Raises ``DataError`` where so few parts are safe that the precision would need more false labels than there are.
    """
    num_unsafe = sum(map(sum, truth))
    num_safe = sum(map(len, truth)) - num_unsafe
    wrong = noise.recall * num_unsafe * (1 - noise.precision) / noise.precision
    if wrong > num_safe:
        raise DataError(
            f"labels: a precision of {noise.precision:g} at a recall of {noise.recall:g} needs {wrong:.0f} safe parts "
            f"that are called unsafe, and there are {num_safe}: raise the precision, or lower the recall"
        )
    false_rate = wrong / num_safe if num_safe else 0.0
    return [
        [bool(draw < (noise.recall if unsafe else false_rate)) for unsafe, draw in zip(labels, draws, strict=True)]
        for labels, draws in _draws(truth, names, seed, "label")
    ]


def shuffled(truth: Sequence[list[bool]], names: Sequence[str], seed: int) -> list[list[bool]]:
    """Return as many unsafe labels on parts drawn without regard to the truth."""
    drawn = _draws(truth, names, seed, "shuffled")
    places = [
        (draw, names[row], column, row) for row, (_, draws) in enumerate(drawn) for column, draw in enumerate(draws)
    ]
    chosen = {(row, column) for *_, column, row in sorted(places)[: sum(map(sum, truth))]}
    return [[(row, column) in chosen for column in range(len(labels))] for row, labels in enumerate(truth)]


def _draws(
    truth: Sequence[list[bool]], names: Sequence[str], seed: int, label: str
) -> list[tuple[list[bool], list[float]]]:
    return [
        (labels, stream(seed, label, name).random(len(labels)).tolist())
        for labels, name in zip(truth, names, strict=True)
    ]
