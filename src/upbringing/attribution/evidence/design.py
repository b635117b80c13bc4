"""What a tree's cells are made of: their replicates, the checkpoints' ancestry, and what was trained."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from upbringing.attribution.evidence.copies import Copies
from upbringing.attribution.evidence.proxies import PROXIES, stand_ins
from upbringing.base.errors import FormatError
from upbringing.formats.findings import Estimand
from upbringing.formats.tree import Cell, Checkpoint, Proxy, Tree

LEVELS = ("pretrain", "midtrain", "sft", "rl")
GIVEN_KINDS = ("existing", "start")  # weights that were not drawn at random in the study
UNTRAINED_KINDS = (*GIVEN_KINDS, "fresh")
ENOUGH_UNITS = 3  # independent runs from which a claim may be about the recipe

Seeds = tuple[int, ...]
Row = tuple[tuple[str, ...], ...]  # of one unit: for each cell, its checkpoints
Runs = tuple[tuple[str, ...], ...]  # of one cell: the checkpoints of each independent run


@dataclass(frozen=True)
class DesignCell:
    """One place of the design with all its replicates: (seed indices per level, checkpoint), sorted.

    ``stands_for``: of edited weights and emulations, the retrained cell that they are to predict.
    """

    name: str
    arm: str
    position: str
    control: str
    state: tuple[tuple[str, str], ...]
    factors: tuple[tuple[str, str], ...]
    replicates: tuple[tuple[Seeds, str], ...]
    stands_for: str | None = None

    @property
    def checkpoints(self) -> tuple[str, ...]:
        """The distinct checkpoints, in order of their seeds."""
        return tuple(dict.fromkeys(checkpoint for _, checkpoint in self.replicates))


@dataclass(frozen=True)
class Unit:
    """One independent run: for each cell of a contrast, the checkpoints to average, paired in order."""

    checkpoints: tuple[tuple[str, ...], ...]


@dataclass(frozen=True)
class Units:
    """The independent units of a contrast and what a claim on them is about.

    ``runs``: of each cell, where cells share no seed and each is a sample of runs of its own; else empty.
    """

    units: tuple[Unit, ...]
    estimand: Estimand
    conditional_on: tuple[str, ...]
    num_seeds: int
    num_roots: int
    is_paired: bool = True
    is_one_root: bool = False
    runs: tuple[Runs, ...] = ()


@dataclass(frozen=True)
class Design:
    """Cells by name, in the order of the tree, and the checkpoints' ancestry.

    ``edited``: checkpoints that were edited or emulated, not trained, with how. ``copies``: runs that are one run.
    ``known_units``: what ``units_of`` remembers.
    """

    cells: dict[str, DesignCell]
    checkpoints: dict[str, Checkpoint]
    parents: frozenset[str] = frozenset()
    edited: Mapping[str, frozenset[Proxy]] = field(default_factory=dict)
    copies: Copies = field(default_factory=Copies)
    known_units: dict[tuple[str, ...], Units] = field(default_factory=dict)

    def path(self, checkpoint: str) -> tuple[str, ...]:
        """Return ``checkpoint`` and its known ancestors, nearest first."""
        path: list[str] = []
        current: str | None = checkpoint
        while current is not None and current in self.checkpoints:
            if current in path:
                raise FormatError(f"tree.json: the checkpoint {current!r} is its own ancestor: correct its parent")
            path.append(current)
            current = self.checkpoints[current].parent
        return tuple(path)

    def is_edited(self, cell: str) -> bool:
        """Return whether a delta was moved, in weights or in logits, on the way to a checkpoint of ``cell``."""
        return bool(self.proxies(cell))

    def proxies(self, cell: str) -> tuple[Proxy, ...]:
        """Return what stands in for training on the way to the checkpoints of ``cell``, as far as the tree says."""
        if not self.edited or cell not in self.cells:
            return ()
        ways = {name for each in self.cells[cell].checkpoints for name in self.path(each)}
        found = {proxy for name in ways for proxy in self.edited.get(name, ())}
        return tuple(proxy for proxy in PROXIES if proxy in found)

    def trained_kinds(self, checkpoint: str) -> tuple[str, ...]:
        """Return the kinds of the stages that the study trained to make ``checkpoint``, as far as stated."""
        kinds = [
            stage.kind
            for name in reversed(self.path(checkpoint))
            for stage in self.checkpoints[name].stages
            if stage.kind not in UNTRAINED_KINDS
        ]
        return tuple(dict.fromkeys(kinds))

    def is_fresh(self, cell: DesignCell) -> bool:
        """Return whether the cell's runs were pretrained in the study, rather than started from a fixed model."""
        stated = any(self.checkpoints[name].stages for name in cell.checkpoints if name in self.checkpoints)
        if stated:
            return any(self._is_pretrained_from_nothing(name) for name in cell.checkpoints)
        return any(self._has_root_seed(name) for name in cell.checkpoints)

    def _is_pretrained_from_nothing(self, checkpoint: str) -> bool:
        """Return whether the study pretrained ``checkpoint`` and nothing given lies under that (continued pretraining).

        A first checkpoint without stages, or with a parent that the tree does not list, is given.
        """
        path = self.path(checkpoint)
        if not path or self.checkpoints[path[-1]].parent is not None or not self.checkpoints[path[-1]].stages:
            return False
        is_given = any(stage.kind in GIVEN_KINDS for name in path for stage in self.checkpoints[name].stages)
        return not is_given and "pretrain" in self.trained_kinds(checkpoint)

    def _has_root_seed(self, checkpoint: str) -> bool:
        extra = self.checkpoints[checkpoint].model_extra if checkpoint in self.checkpoints else None
        return (extra or {}).get("root_seed") is not None

    def is_start(self, checkpoint: str) -> bool:
        """Return whether a checkpoint without ancestors is a start: others come from it, or it is declared existing."""
        found = self.checkpoints.get(checkpoint)
        if found is None:
            return False
        existing = bool(found.stages) and all(stage.kind in UNTRAINED_KINDS for stage in found.stages)
        return existing or checkpoint in self.parents

    def start(self, checkpoint: str) -> str | None:
        """Return the fixed checkpoint under ``checkpoint``, as far as the tree names one; it need not list it."""
        oldest = (self.path(checkpoint) or (checkpoint,))[-1]
        parent = self.checkpoints[oldest].parent if oldest in self.checkpoints else None
        return parent if parent is not None else oldest if self.is_start(oldest) else None


def design_of(tree: Tree, copies: Copies | None = None) -> Design:
    """Return the design of a tree with cells. ``copies``: of one run, which stand for it and not for several."""
    proven = {} if copies is None else copies.proven
    grouped: dict[str, list[Cell]] = {}
    for cell in tree.cells:
        grouped.setdefault(cell.name, []).append(cell)
    cells = {}
    for name, places in grouped.items():
        first = places[0]
        same = proven.get(name, {})
        replicates = sorted({(_seeds(place), same.get(place.checkpoint, place.checkpoint)) for place in places})
        cells[name] = DesignCell(
            name=name,
            arm=first.arm,
            position=first.position,
            control=first.control,
            state=tuple(sorted(first.state.items())),
            factors=tuple(sorted(first.factors.items())),
            replicates=tuple(replicates),
            stands_for=first.stands_for,
        )
    return Design(
        cells=cells,
        checkpoints={checkpoint.id: checkpoint for checkpoint in tree.checkpoints},
        parents=frozenset(checkpoint.parent for checkpoint in tree.checkpoints if checkpoint.parent is not None),
        edited=stand_ins(tree),
        copies=Copies() if copies is None else copies,
    )


def _seeds(cell: Cell) -> Seeds:
    """Return the seed index per level; an unstated level takes the nearest stated one above it, then below.

    Above pretraining stands the world: runs that continue an existing model state no pretraining seed.
    """
    stated = [getattr(cell.seeds, level) for level in LEVELS]
    stated[0] = cell.seeds.world if stated[0] is None else stated[0]
    found = next((seed for seed in stated if seed is not None), 0)
    filled = []
    for seed in stated:
        found = seed if seed is not None else found
        filled.append(found)
    return tuple(filled)
