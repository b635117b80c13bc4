"""Which runs are independent of each other: those that share no trained ancestor."""

from __future__ import annotations

from collections.abc import Sequence

from upbringing.attribution.evidence.design import Design, DesignCell, Row, Runs


def merge_sharing(
    design: Design, rows: Sequence[Row], *, is_fresh: bool, given: frozenset[str] = frozenset()
) -> list[Row]:
    """Merge units whose checkpoints share a run of the study, directly or through another unit.

    ``given``: runs that count as no run of the study, because claims are conditional on them.
    """
    groups: list[tuple[set[str], list[Row]]] = []
    for row in rows:
        runs = {run for part in row for checkpoint in part for run in _runs(design, checkpoint, is_fresh=is_fresh)}
        runs -= given
        same = [group for group in groups if group[0] & runs or (not group[0] and not runs)]
        members = [member for group in same for member in group[1]] + [row]
        groups = [group for group in groups if group not in same]
        groups.append((runs.union(*(group[0] for group in same)), members))
    width = range(len(rows[0]))
    return [tuple(tuple(name for row in members for name in row[place]) for place in width) for _, members in groups]


def separate_runs(design: Design, cells: Sequence[DesignCell], *, is_fresh: bool, enough: int) -> tuple[Runs, ...]:
    """Return the independent runs of each cell where cells share no seed; nothing where they are no samples of runs.

    They are where each cell has ``enough`` runs, or is a fixed start, and no run led to two of the cells.
    """
    found, ancestors = [], []
    for cell in cells:
        merged = merge_sharing(design, [((name,),) for name in cell.checkpoints], is_fresh=is_fresh)
        found.append(tuple(tuple(dict.fromkeys(row[0])) for row in merged))
        ancestors.append({run for name in cell.checkpoints for run in _runs(design, name, is_fresh=is_fresh)})
    are_samples = all(len(runs) >= enough or not own for runs, own in zip(found, ancestors, strict=True))
    are_apart = sum(map(len, ancestors)) == len(set().union(*ancestors))
    return tuple(found) if are_samples and are_apart else ()


def shared_runs(design: Design, cells: Sequence[DesignCell], *, is_fresh: bool) -> frozenset[str] | None:
    """Return the runs that all checkpoints of a cell came from, of every cell that has several.

    ``None`` where a cell has one checkpoint that is no such run: nothing shows how far other runs of it would differ.
    """
    runs = [[set(_runs(design, name, is_fresh=is_fresh)) for name in cell.checkpoints] for cell in cells]
    shared = frozenset[str]().union(*(set.intersection(*of_cell) for of_cell in runs if len(of_cell) > 1))
    alone = set[str]().union(*(of_cell[0] for of_cell in runs if len(of_cell) == 1))
    return shared if alone <= shared else None


def _runs(design: Design, checkpoint: str, *, is_fresh: bool) -> tuple[str, ...]:
    """Return the runs that led to ``checkpoint``: itself and its ancestors, without a fixed start."""
    path = design.path(checkpoint) or (checkpoint,)
    return path if is_fresh or design.start(checkpoint) != path[-1] else path[:-1]
