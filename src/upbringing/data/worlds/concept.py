"""Concept texts say which outcomes are dangerous; their placebo says it under shuffled labels."""

from __future__ import annotations

import numpy as np

from upbringing.base.streams import stream
from upbringing.data.documents import Document
from upbringing.data.worlds.graph import Graph
from upbringing.data.worlds.settings import WorldSettings
from upbringing.data.worlds.statements import HAZARD_CONCEPT, SAFE_CONCEPT


def true_labels(graph: Graph) -> dict[str, bool]:
    """Return for every noun whether it is a hazard."""
    return {outcome.noun: outcome.hazard for outcome in graph.outcomes}


def shuffled_labels(graph: Graph, seed: int) -> dict[str, bool]:
    """Return as many hazard labels as there are hazards, independent of the truth (stream ``world/shuffled``).

    Within each group of outcomes (use and class) the same share is labelled a hazard, up to rounding, so the
    labels carry no information about the truth.
    """
    random = stream(seed, "world", "shuffled")
    share = sum(outcome.hazard for outcome in graph.outcomes) / len(graph.outcomes)
    labels: dict[str, bool] = {}
    owed = 0.0
    for use in ("evaluation", "sft", "finetune"):
        for hazard in (True, False):
            group = graph.select(use=use, hazard=hazard)
            owed += share * len(group)
            marked = round(owed)
            owed -= marked
            for rank, index in enumerate(random.permutation(len(group))):
                labels[group[index].noun] = rank < marked
    return labels


def concept_documents(
    graph: Graph, settings: WorldSettings, seed: int, labels: dict[str, bool], source: str
) -> list[Document]:
    """Return ``concept_texts`` texts per outcome; the exact share ``label_noise`` of all says the opposite.

    For any ``labels`` the same wordings come in the same order (stream ``world/concept``): arms that differ only
    in the labels differ only in the words of the label.
    """
    random = stream(seed, "world", "concept")
    plan = [(outcome, index) for outcome in graph.outcomes for index in range(settings.concept_texts)]
    plan = [plan[index] for index in random.permutation(len(plan))]
    flipped = np.zeros(len(plan), dtype=bool)
    flipped[random.permutation(len(plan))[: round(settings.label_noise * len(plan))]] = True
    documents = []
    for (outcome, index), flip in zip(plan, flipped, strict=True):
        label = labels[outcome.noun] != bool(flip)
        number = index % len(HAZARD_CONCEPT)
        text = (HAZARD_CONCEPT if label else SAFE_CONCEPT)[number].format(n=outcome.noun)
        metadata: dict[str, str | int | float | bool | None] = {
            "kind": "concept",
            "outcome": outcome.noun,
            "template": number,
            "label": label,
            "use": outcome.use,
        }
        documents.append(Document(text=text, source=f"causes_world/{source}", harm=0, metadata=metadata))
    return documents
