"""The gates of a study on a controlled world, computed from its own rows."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np
import pyarrow as pa

from upbringing.battery.measure import Measure
from upbringing.data.worlds.causes_world import CausesWorld
from upbringing.data.worlds.gates import (
    KnowledgeForm,
    PairedDifference,
    Survival,
    benign_gate,
    knowledge_gate,
    prefill_gate,
    reference_gate,
)
from upbringing.data.worlds.guessing import frequency_guess
from upbringing.formats.items import Item
from upbringing.formats.rows import REFUSALS
from upbringing.formats.tree import Gate
from upbringing.lab.building.library import built_world
from upbringing.lab.building.workshop import Prepared
from upbringing.lab.measurement.benign_pairs import benign_pairs, fewest_outcomes, paired_difference
from upbringing.lab.measurement.item_scores import ItemScore, ItemScores
from upbringing.lab.measurement.measuring import item_sets
from upbringing.lab.session import Session
from upbringing.study.tree import CellPlan

CHAT_MEASURES = (
    "attack_success",
    "prefill_attack",
    "suffix_attack",
    "willingness",
    "ability",
    "over_refusal",
    "benign_accuracy",
)
KNOWLEDGE_FORMS: dict[str, KnowledgeForm] = {"completion_accuracy": "completion", "knowledge": "cloze"}
"""Kinds of measures of what a base knows, the stronger one first."""
PREFILL = "prefill_attack"


def world_gates(session: Session, prepared: Prepared, rows: pa.Table, items: Sequence[Item]) -> tuple[Gate, ...]:
    """Return all gates of a study that asks about a world: knowledge, reference ability, prefills, benign accuracy.

    Gates are about ability: whether a question is refused is what the study measures.
    """
    if not _asked_worlds(session):
        return ()
    kinds = (*CHAT_MEASURES, *KNOWLEDGE_FORMS)
    measures = {kind: _measures(session, kind) for kind in kinds}
    found = _Found(
        session,
        prepared,
        ItemScores(rows, [measure.id for chosen in measures.values() for measure in chosen]),
        {item.id: item for item in items},
        measures,
    )
    return (*_knowledge(found), *_reference(found), *_prefill(found), *_benign(found))


def _asked_worlds(session: Session) -> list[CausesWorld]:
    entries = [session.study.data[name] for name in item_sets(session.study)]
    return [entry for entry in entries if isinstance(entry, CausesWorld)]


def _measures(session: Session, kind: str) -> tuple[Measure, ...]:
    return tuple(measure for measure in session.study.battery if measure.kind == kind)


@dataclass(frozen=True)
class _Found:
    """What gates read. ``measures``: kind to those in the battery."""

    session: Session
    prepared: Prepared
    scores: ItemScores
    items: dict[str, Item]
    measures: dict[str, tuple[Measure, ...]]

    @property
    def chat_measures(self) -> tuple[str, ...]:
        """The ids of the measures that a failed gate makes unmeasurable."""
        return tuple(name for kind in CHAT_MEASURES for name in self.ids(kind))

    def ids(self, kind: str) -> tuple[str, ...]:
        """Return the ids of the measures of a kind."""
        return tuple(measure.id for measure in self.measures[kind])

    def cells(self, stage: str) -> Iterator[CellPlan]:
        """Yield the cells at the end of stages of kind ``stage``, copies left out."""
        for cell in self.session.tree.cells:
            found = cell.lineage.arm.stages.get(cell.position)
            if found is not None and found.kind == stage and cell.lineage.arm.arm.same_as is None:
                yield cell

    def scored(self, cell: CellPlan, kind: str, *, role: str, split: str | None) -> list[ItemScore]:
        """Return a cell's scores on the first measure of ``kind`` that asks ``role``, of items in ``split``."""
        asking = [measure.id for measure in self.measures[kind] if role in getattr(measure, "roles", (role,))]
        return [
            score
            for name in asking[:1]
            for score in self.scores.of(self.prepared.keys[cell.node], name)
            if self.items[score.item].role == role and split in (None, self.items[score.item].split)
        ]


def _mean_answered(scores: Iterable[ItemScore]) -> float | None:
    values = [score.value for score in scores if score.value is not None and score.outcome not in REFUSALS]
    return float(np.mean(values)) if values else None


def _named_by_seed(gate: Gate, cell: CellPlan) -> Gate:
    return gate.model_copy(update={"name": f"{gate.name}, seed {cell.lineage.replicate.number}"})


def _knowledge(found: _Found) -> Iterable[Gate]:
    kind = next((kind for kind in KNOWLEDGE_FORMS if found.measures[kind]), "knowledge")
    for cell in found.cells("pretrain"):
        value = _mean_answered(found.scored(cell, kind, role="knowledge", split=None))
        yield _named_by_seed(knowledge_gate(cell.name, value, found.chat_measures, KNOWLEDGE_FORMS[kind]), cell)


def _reference(found: _Found) -> Iterable[Gate]:
    @cache
    def guess(root: int) -> float:
        seed = found.session.workshop.book.world_seed(root)
        shares = [frequency_guess(built_world(entry, seed)) for entry in _asked_worlds(found.session)]
        return float(np.mean(shares))

    for cell in found.cells("sft"):
        if cell.lineage.arm.arm.control == "reference":
            value = _mean_answered(found.scored(cell, "ability", role="question", split="held-out-item"))
            root = cell.lineage.replicate.root
            yield _named_by_seed(reference_gate(cell.name, value, found.chat_measures, guess(root)), cell)


def _prefill(found: _Found) -> Iterable[Gate]:
    """Yield the gate of prefills where they are measured: what positive controls still refuse after one."""
    if not found.measures[PREFILL]:
        return
    refused: dict[str, dict[str, dict[str, list[float]]]] = {}
    for cell in found.cells("sft"):
        if cell.lineage.arm.arm.control == "positive":
            depths = refused.setdefault(cell.name, {})
            for score in found.scored(cell, PREFILL, role="question", split="held-out-item"):
                if score.outcome is None:  # nobody knows whether it was refused
                    continue
                outcomes = depths.setdefault(score.condition, defaultdict(list))
                outcomes[found.items[score.item].cluster].append(float(score.outcome in REFUSALS))
    survived = [
        Survival(cell, min(shares, key=lambda share: share.low))
        for cell, depths in refused.items()
        if (shares := [share for outcomes in depths.values() if (share := _share(outcomes)) is not None])
    ]
    yield prefill_gate(survived, found.ids(PREFILL))


def _share(outcomes: dict[str, list[float]]) -> PairedDifference | None:
    return paired_difference([float(np.mean(each)) for each in outcomes.values()])


def _benign(found: _Found) -> Iterable[Gate]:
    """Yield a gate per chat position: whether all arms there answer held-out benign questions alike.

    It reaches no claim about benign accuracy itself or over-refusal: that a price was paid is what such a claim is
    to find, and an arm that refuses every benign question leaves none whose answers could be compared.
    """
    own = {measure.id for measure in found.measures["benign_accuracy"] if "question" in getattr(measure, "roles", ())}
    own.update(found.ids("over_refusal"))
    rests_on_benign = tuple(name for name in found.chat_measures if name not in own)
    values: dict[str, dict[str, dict[str, list[float]]]] = defaultdict(lambda: defaultdict(lambda: defaultdict(list)))
    for cell in found.cells("sft"):
        answered = values[cell.position][cell.name]
        for score in found.scored(cell, "benign_accuracy", role="question", split="held-out-item"):
            if score.value is not None and score.outcome not in REFUSALS:
                answered[score.item].append(score.value)
    fewest = fewest_outcomes()
    for position, cells in values.items():
        means = {
            cell: {item: float(np.mean(each)) for item, each in answered.items()} for cell, answered in cells.items()
        }
        if len(means) > 1:
            yield benign_gate(position, benign_pairs(means, found.items), rests_on_benign, fewest)
