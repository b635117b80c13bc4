"""What a failed gate reaches: the checkpoints it names, all that came from them, and arms that rest on a reference."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from upbringing.attribution.evidence.design import Design
from upbringing.base.errors import FormatError
from upbringing.formats.tree import Cell, Gate, Tree

REFERENCE = "reference"
BASE = "pretrain"  # the kind of a stage before any arm is a reference for anything


@dataclass(frozen=True)
class FailedGate:
    """A gate that failed. ``reached``: the checkpoints it names or speaks for; ``None`` = all."""

    gate: Gate
    reached: frozenset[str] | None

    def outlasts(self, left_out: frozenset[str]) -> bool:
        """Return whether the gate reaches anything but the checkpoints that are ``left_out``."""
        return self.reached is None or not self.reached <= left_out

    def concerns(self, lineage: Iterable[str], measure: str) -> bool:
        """Return whether ``measure`` of a checkpoint may not be read. ``lineage``: the checkpoint and its ancestors."""
        if self.gate.measures and measure not in self.gate.measures:
            return False
        return self.reached is None or not self.reached.isdisjoint(lineage)


def failed_gates(tree: Tree, design: Design) -> tuple[FailedGate, ...]:
    """Return the failed gates of ``tree`` with all they reach; raises ``FormatError`` for cells that it does not list.

    A gate of reference arms after pretraining shows that a question can be answered at all: it speaks for every arm of
    the same world (else of the same pretraining run) at that position and at those that came after it in its own arm.
    """
    return tuple(FailedGate(gate, _reached(tree, design, gate)) for gate in tree.gates if not gate.passed)


def _reached(tree: Tree, design: Design, gate: Gate) -> frozenset[str] | None:
    if not gate.cells:
        return None
    unknown = [name for name in gate.cells if name not in design.cells and name not in design.checkpoints]
    if unknown:
        raise FormatError(
            f"the gate {gate.name!r} failed for {unknown[0]!r}, which is no cell or checkpoint of tree.json: "
            "name one that is listed"
        )
    named = [cell for cell in tree.cells if cell.name in gate.cells]
    own = frozenset({cell.checkpoint for cell in named} | (set(gate.cells) & set(design.checkpoints)))
    return own | _spoken_for(tree, design, named, own) if _is_of_references(tree, design, named, own) else own


def _is_of_references(tree: Tree, design: Design, named: Sequence[Cell], own: frozenset[str]) -> bool:
    """Return whether only reference arms are named, by checkpoints that are theirs alone and no bases."""
    stages = [design.checkpoints[name].stages for name in own if name in design.checkpoints]
    is_base = any(part and part[-1].kind == BASE for part in stages)
    places = [cell for cell in tree.cells if cell.checkpoint in own and cell.control != "copy"]
    return bool(named) and not is_base and all(cell.control == REFERENCE for cell in places)


def _spoken_for(tree: Tree, design: Design, named: Sequence[Cell], own: frozenset[str]) -> frozenset[str]:
    """Return the checkpoints of all arms in the worlds of ``named``, at its positions and those that came from it."""
    positions = {cell.position for cell in tree.cells if not own.isdisjoint(design.path(cell.checkpoint))}
    worlds = {_world(cell) for cell in named}
    return frozenset(
        cell.checkpoint
        for cell in tree.cells
        if cell.position in positions and (_world(cell) in worlds or None in (_world(cell), *worlds))
    )


def _world(cell: Cell) -> int | None:
    """Return the seed of the cell's world, else of its pretraining; ``None`` = not stated, which may be any."""
    return cell.seeds.world if cell.seeds.world is not None else cell.seeds.pretrain
