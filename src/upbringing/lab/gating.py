"""The gates of a study on a controlled world, computed from its own rows."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from upbringing.data.worlds.gates import benign_gate, knowledge_gate, reference_gate
from upbringing.formats.items import Item
from upbringing.formats.tree import Gate
from upbringing.lab.build import Prepared
from upbringing.lab.session import Session

CHAT_MEASURES = ("attack_success", "prefill_attack", "willingness", "ability", "over_refusal", "benign_accuracy")


def world_gates(session: Session, prepared: Prepared, rows: pa.Table, items: Sequence[Item]) -> tuple[Gate, ...]:
    """Return all gates: knowledge of every pretrained cell and seed, ability of references, benign accuracy."""
    accuracy = _Accuracies(rows, items)
    measures = tuple(measure.id for measure in session.study.battery if measure.kind in CHAT_MEASURES)
    return (
        *_knowledge(session, prepared, accuracy, measures),
        *_reference(session, prepared, accuracy, measures),
        *_benign(session, prepared, accuracy, measures),
    )


class _Accuracies:
    """Mean values per checkpoint and measure, over chosen items."""

    def __init__(self, rows: pa.Table, items: Sequence[Item]) -> None:
        self._items = {item.id: item for item in items}
        self._rows = rows

    def mean(self, checkpoint: str, measure: str, *, split: str | None, role: str) -> float | None:
        """Return the mean of the scored rows that are no refusals, or ``None`` where there is none.

        Gates are about ability: whether a question is refused is what the study measures.
        """
        chosen = self._rows.filter(
            pc.and_(pc.equal(self._rows["checkpoint"], checkpoint), pc.equal(self._rows["measure"], measure))
        )
        values = [
            value
            for item, value, outcome in zip(
                chosen["item"].to_pylist(), chosen["value"].to_pylist(), chosen["outcome"].to_pylist(), strict=True
            )
            if value is not None
            and outcome != "refuse"
            and self._items[item].role == role
            and (split is None or self._items[item].split == split)
        ]
        return float(np.mean(values)) if values else None


def _knowledge(
    session: Session, prepared: Prepared, accuracy: _Accuracies, measures: tuple[str, ...]
) -> Iterable[Gate]:
    for cell in session.tree.cells:
        stage = cell.lineage.arm.stages.get(cell.position)
        if stage is not None and stage.kind == "pretrain" and cell.lineage.arm.arm.same_as is None:
            value = accuracy.mean(prepared.keys[cell.node], "knowledge", split=None, role="knowledge")
            gate = knowledge_gate(cell.name, value, measures)
            yield gate.model_copy(update={"name": f"{gate.name}, seed {cell.lineage.replicate.number}"})


def _reference(
    session: Session, prepared: Prepared, accuracy: _Accuracies, measures: tuple[str, ...]
) -> Iterable[Gate]:
    for cell in session.tree.cells:
        stage = cell.lineage.arm.stages.get(cell.position)
        if stage is not None and stage.kind == "sft" and cell.lineage.arm.arm.control == "reference":
            value = accuracy.mean(prepared.keys[cell.node], "ability", split="held-out-item", role="question")
            gate = reference_gate(cell.name, value, measures)
            yield gate.model_copy(update={"name": f"{gate.name}, seed {cell.lineage.replicate.number}"})


def _benign(session: Session, prepared: Prepared, accuracy: _Accuracies, measures: tuple[str, ...]) -> Iterable[Gate]:
    """Yield a gate per chat position: the range over arms of benign accuracy when answering, over seeds."""
    found: dict[str, dict[str, list[float | None]]] = defaultdict(lambda: defaultdict(list))
    for cell in session.tree.cells:
        stage = cell.lineage.arm.stages.get(cell.position)
        if stage is not None and stage.kind == "sft" and cell.lineage.arm.arm.same_as is None:
            value = accuracy.mean(prepared.keys[cell.node], "benign_accuracy", split="held-out-item", role="question")
            found[cell.position][cell.name].append(value)
    for position, cells in found.items():
        means = {
            name: None if None in values else float(np.mean([value for value in values if value is not None]))
            for name, values in cells.items()
        }
        if len(means) > 1:
            yield benign_gate(position, means, measures)
