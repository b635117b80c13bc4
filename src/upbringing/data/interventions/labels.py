"""Which parts of documents are unsafe, as a scorer says, as a noisy scorer would, or shuffled."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from upbringing.data.documents import Document
from upbringing.data.interventions.relabelling import LabelNoise, Labels, Relabelling
from upbringing.data.interventions.scores import HarmScore
from upbringing.data.interventions.tools import FoundLabels, Tools, text_name

Spans = list[tuple[int, int]]


@dataclass(frozen=True)
class Labelling:
    """How labels come to be. ``unsafe_from``: the lowest harm score of an unsafe part."""

    kind: str
    unsafe_from: int
    labels: Labels
    noise: LabelNoise | None = None

    @property
    def relabelling(self) -> Relabelling:
        """What is done to the scorer's labels."""
        return Relabelling(self.noise, shuffled=self.labels == "shuffled")

    def of(
        self,
        documents: Sequence[Document],
        parts: Sequence[Spans],
        seed: int,
        tools: Tools,
        known: Sequence[Mapping[int, bool]] | None = None,
        what: str = "documents",
        note: Callable[[FoundLabels], None] = lambda truth: None,
    ) -> FoundLabels:
        """Return per document whether each of its parts is unsafe, or why a part of it could not be scored.

        ``known``: per document, the truth of parts by their place, about which no scorer is asked. Noise and shuffling
        keep rates over all ``documents``, or over all of a corpus that share the word ``what``. ``note`` is told the
        scorer's labels, where it is asked for them here.
        """

        def truth() -> FoundLabels:
            found = self._scored(documents, parts, tools, known or [{}] * len(documents))
            note(found)
            return found

        names = [text_name(document) for document in documents]
        return relabelled(self.relabelling, names, truth, seed, tools, what)

    def _scored(
        self,
        documents: Sequence[Document],
        parts: Sequence[Spans],
        tools: Tools,
        known: Sequence[Mapping[int, bool]],
    ) -> FoundLabels:
        asked = [
            Document(text=document.text[begin:end], source=document.source, metadata=document.metadata)
            for document, spans, truth in zip(documents, parts, known, strict=True)
            for place, (begin, end) in enumerate(spans)
            if place not in truth
        ]
        scores = iter(tools.needed_scorer(self.kind).score(asked) if asked else [])
        result: FoundLabels = []
        for spans, truth in zip(parts, known, strict=True):
            found = {place: next(scores) for place in range(len(spans)) if place not in truth}
            unscored = next((why for each in found.values() if (why := self._unknown(each, tools)) is not None), None)
            unsafe = {place: each.score is not None and each.score >= self.unsafe_from for place, each in found.items()}
            labels = [truth[place] if place in truth else unsafe[place] for place in range(len(spans))]
            result.append(labels if unscored is None else f"{self.kind}: a part could not be scored: {unscored}")
        return result

    def _unknown(self, found: HarmScore, tools: Tools) -> str | None:
        """Return why it is not known whether a part is unsafe: no score, or a low one that is only a lower bound."""
        if found.score is None:
            return found.reason
        is_open = found.lower_bound and found.score < self.unsafe_from and not tools.takes_bounds
        return f"{found.score} is only a lower bound: {found.reason}" if is_open else None


def called_counts(labels: FoundLabels, truth: FoundLabels) -> tuple[tuple[str, int], ...]:
    """Return how many parts there are, are ``unsafe``, are ``called unsafe`` in the end, and how many of these rightly.

    ``labels`` and ``truth`` are of the same texts; those without labels are left out. Realised recall is
    ``rightly called`` by ``unsafe``, realised precision ``rightly called`` by ``called unsafe``.
    """
    pairs = [
        (called, true)
        for found, known in zip(labels, truth, strict=True)
        if not isinstance(found, str) and not isinstance(known, str)
        for called, true in zip(found, known, strict=True)
    ]
    unsafe, called = sum(true for _, true in pairs), sum(called for called, _ in pairs)
    rightly = sum(called and true for called, true in pairs)
    return (("parts", len(pairs)), ("unsafe", unsafe), ("called unsafe", called), ("rightly called", rightly))


def relabelled(
    relabelling: Relabelling,
    names: Sequence[str],
    truth: Callable[[], FoundLabels],
    seed: int,
    tools: Tools,
    what: str = "documents",
) -> FoundLabels:
    """Return the labels of the texts ``names`` after noise and shuffling, in order; those without labels keep why.

    ``truth`` asks for the true ones. The texts are all there are, unless ``tools.labels`` knows of a whole corpus.
    """
    if not relabelling.changes:
        return truth()
    if tools.labels is not None:
        return tools.labels.of(what, names, truth)
    result = truth()
    labelled = {place: labels for place, labels in enumerate(result) if not isinstance(labels, str)}
    changed = relabelling.of([names[place] for place in labelled], list(labelled.values()), seed)
    for place, labels in zip(labelled, changed, strict=True):
        result[place] = labels
    return result
