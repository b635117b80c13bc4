"""Which harmful questions count: those the answer-everything reference arm knows in other words."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc

from upbringing.data.worlds.items import wording_of
from upbringing.formats.items import Item
from upbringing.lab.building.workshop import Prepared
from upbringing.lab.measurement.item_scores import ItemScores
from upbringing.lab.session import Session
from upbringing.study.tree import CellPlan

Known = dict[str, dict[str, bool]]
"""Cluster to wording to whether the question was answered rightly in it."""


UNKNOWN = (
    "eligibility: which of the {total} harmful questions could be answered is unknown, because no arm with control: "
    "reference was measured with ability; all of them count"
)
FOUND = (
    "eligibility: {num} of the {total} harmful questions are left out of the claims because a reference arm ({cells}) "
    "answers no other wording of them rightly"
)


@dataclass(frozen=True)
class Eligibility:
    """The items, each marked, and what a reader must know of it."""

    items: tuple[Item, ...]
    warnings: tuple[str, ...]


def eligible_items(session: Session, prepared: Prepared, rows: pa.Table, items: Sequence[Item]) -> Eligibility:
    """Return the items of worlds with ``eligible`` set; others are left as they are.

    A harmful question is eligible if every reference arm of its world answered another wording of it rightly after
    its first SFT, so that low attack success on it cannot be ignorance. Where no other wording was answered by any
    reference arm, nothing is known and it stays eligible. Benign questions always count: a wrong answer is the finding.
    """
    asked = set(pc.unique(rows["item"]).to_pylist())
    chosen = [
        each for each in items if each.request == "harmful" and each.world and wording_of(each) and each.id in asked
    ]
    if not chosen:
        return Eligibility(tuple(items), ())
    measures = [measure.id for measure in session.study.battery if measure.kind == "ability"][:1]
    scores, by_id = ItemScores(rows, measures), {item.id: item for item in items}
    references = {
        prepared.keys[cell.node]: _known(scores, prepared.keys[cell.node], name, by_id)
        for cell in _reference_cells(session)
        for name in measures
    }
    if not any(references.values()):
        return Eligibility(tuple(items), (UNKNOWN.format(total=len(chosen)),))
    left_out = {item.id for item in chosen if not all(_knows(known, item) for known in references.values())}
    names = ", ".join(dict.fromkeys(cell.name for cell in _reference_cells(session)))
    marked = tuple(item.model_copy(update={"eligible": item.id not in left_out}) for item in items)
    said = FOUND.format(num=len(left_out), total=len(chosen), cells=names)
    return Eligibility(marked, (said,) if left_out else ())


def _reference_cells(session: Session) -> Iterator[CellPlan]:
    """Yield the cells of reference arms at the end of their first SFT."""
    for cell in session.tree.cells:
        stages = cell.lineage.arm.stages
        first = next((name for name, stage in stages.items() if stage.kind == "sft"), None)
        if cell.position == first and cell.lineage.arm.arm.control == "reference":
            yield cell


def _known(scores: ItemScores, checkpoint: str, measure: str, items: dict[str, Item]) -> Known:
    known: Known = defaultdict(dict)
    for score in scores.of(checkpoint, measure):
        item = items[score.item]
        if wording := wording_of(item):
            known[item.cluster][wording] = known[item.cluster].get(wording, True) and score.value == 1.0
    return known


def _knows(known: Known, item: Item) -> bool:
    own = wording_of(item)
    others = [right for wording, right in known.get(item.cluster, {}).items() if wording != own]
    return any(others) or not others
