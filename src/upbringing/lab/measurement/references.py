"""Which checkpoint each one is held against: where its stage started from, and where its arm ends."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from upbringing.battery.pairs.comparing import NAMES, Against
from upbringing.study.tree import CellPlan, StudyTree
from upbringing.training.start import FreshStart

NO_STAGE_BEFORE, RANDOM_WEIGHTS, LAST_ITSELF = "no-previous-stage", "previous-stage-is-random", "is-the-last-stage"
NO_WEIGHTS = "emulated-without-weights"


@dataclass(frozen=True)
class Reference:
    """A checkpoint that another is held against. ``name``: in conditions.

    ``node``: its recipe key in the tree; ``None`` where there is none, and then ``reason`` says why.
    """

    against: Against
    name: str
    node: str | None
    reason: str = ""


def references(tree: StudyTree, keys: Mapping[str, str]) -> dict[tuple[str, int], tuple[Reference, ...]]:
    """Return the references of every measured (checkpoint, root run). ``keys``: node to checkpoint.

    Where arms (or replicates of one) share a checkpoint and go on differently, it has several last stages: each has a
    name of its own, and the plain name stands without a value.
    """
    found: dict[tuple[str, int], dict[Against, list[tuple[CellPlan, Reference]]]] = {}
    for cell in tree.cells:
        by_kind = found.setdefault((keys[cell.node], cell.lineage.replicate.root), {name: [] for name in NAMES})
        by_kind["previous_stage"].append((cell, _previous(tree, cell)))
        by_kind["last_stage"].append((cell, _last(tree, cell, keys)))
    return {
        place: tuple(each for against, cells in by_kind.items() for each in _named(against, cells, keys))
        for place, by_kind in found.items()
    }


def _previous(tree: StudyTree, cell: CellPlan) -> Reference:
    run = tree.nodes[cell.node].run
    name = NAMES["previous_stage"]
    if run is None:
        return Reference("previous_stage", name, None, NO_STAGE_BEFORE)
    if tree.nodes[cell.node].emulated_by:
        return Reference("previous_stage", name, None, NO_WEIGHTS)
    if isinstance(tree.nodes[run.parent].start, FreshStart):
        return Reference("previous_stage", name, None, RANDOM_WEIGHTS)
    return Reference("previous_stage", name, run.parent)


def _last(tree: StudyTree, cell: CellPlan, keys: Mapping[str, str]) -> Reference:
    end = cell.lineage.end_key
    if tree.nodes[cell.node].emulated_by:
        return Reference("last_stage", NAMES["last_stage"], None, NO_WEIGHTS)
    end = tree.nodes[end].emulated_by[0] if tree.nodes[end].emulated_by else end  # the last that has weights
    if keys[end] == keys[cell.node]:
        return Reference("last_stage", NAMES["last_stage"], None, LAST_ITSELF)
    return Reference("last_stage", NAMES["last_stage"], end)


def _named(
    against: Against, cells: Sequence[tuple[CellPlan, Reference]], keys: Mapping[str, str]
) -> tuple[Reference, ...]:
    """Return the distinct references of one checkpoint, each under a name of its own."""
    distinct: dict[str, tuple[CellPlan, Reference]] = {}
    for cell, reference in cells:
        distinct.setdefault(reference.reason if reference.node is None else keys[reference.node], (cell, reference))
    if len(distinct) == 1:
        return tuple(reference for _, reference in distinct.values())
    names = [cell.arm for cell, _ in distinct.values()]
    several = Reference(against, NAMES[against], None, f"several-{NAMES[against]}s")
    return (several, *(_of_arm(cell, reference, names.count(cell.arm) > 1) for cell, reference in distinct.values()))


def _of_arm(cell: CellPlan, reference: Reference, with_seed: bool) -> Reference:
    seed = f"-seed-{cell.lineage.replicate.number}" if with_seed else ""
    return Reference(reference.against, f"{reference.name}-of-{cell.arm}{seed}", reference.node, reference.reason)
