"""The tree of a study as it is drawn: cells that are the same checkpoints are one node, seeds are aggregated."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from graphlib import CycleError, TopologicalSorter
from itertools import count

from upbringing.formats.tree import Cell, StageInfo, Tree


@dataclass(frozen=True)
class Node:
    """One place of the tree. ``column`` counts stages from the start, ``row`` is its height among the leaves.

    ``index``: its place among all nodes; ``parent``: that of another. ``arms``: the arms that pass through it;
    ``style``: index of the only one, -1 where several share the node. ``lane``: where its arms lie among all
    arms, 0 = in the middle.
    """

    index: int
    cells: tuple[str, ...]
    arms: tuple[str, ...]
    label: str
    position: str
    column: int
    row: float
    parent: int | None
    style: int
    control: str
    lane: float


@dataclass(frozen=True)
class Lineage:
    """All nodes, parents before children, and the positions in the order in which models go through them."""

    nodes: tuple[Node, ...]
    positions: tuple[str, ...]
    arms: tuple[str, ...]
    num_rows: int

    def node_of(self, cell: str) -> Node | None:
        """Return the node that holds the cell."""
        return next((node for node in self.nodes if cell in node.cells), None)


def lineage_of(tree: Tree) -> Lineage:
    """Return the lineage of all cells."""
    positions = positions_of(tree)
    arms = own_arms(tree)
    groups = _groups(tree, positions)
    order = list(groups)
    keys = {name: key for key in order for name in groups[key][0]}
    parents = {key: _parent(tree, groups[key][1], positions, keys) for key in order}
    columns = _columns(order, parents)
    rows, num_rows = _rows(order, parents)
    placed = sorted(order, key=lambda key: (columns[key], rows[key]))
    index = {key: number for number, key in enumerate(placed)}
    nodes = []
    for key in placed:
        names, cells = groups[key]
        found = tuple(dict.fromkeys(cell.arm for cell in cells))
        known = [arm for arm in found if arm in arms]
        parent = parents[key]
        nodes.append(
            Node(
                index=index[key],
                cells=names,
                arms=found,
                label=_label(cells, found),
                position=cells[0].position,
                column=columns[key],
                row=rows[key],
                parent=None if parent is None else index[parent],
                style=arms.index(known[0]) if len(known) == 1 else -1,
                control=_control(cells, known),
                lane=_lane([arms.index(arm) for arm in known], len(arms)),
            )
        )
    return Lineage(tuple(nodes), positions, arms, num_rows)


def _control(cells: Sequence[Cell], arms: Sequence[str]) -> str:
    """Return what kind of control the node is, if it belongs to one arm (or only to a copy)."""
    own = [cell.control for cell in cells if cell.arm in arms] or [cell.control for cell in cells]
    return own[0] if len(arms) <= 1 and own[0] != "none" else ""


def _lane(places: Sequence[int], num_arms: int) -> float:
    """Return how far the node's arms lie from the middle of all arms."""
    return sum(places) / len(places) - (num_arms - 1) / 2 if places else 0.0


def own_arms(tree: Tree) -> tuple[str, ...]:
    """Return the arms in order, without those that are copies of another."""
    copies = {cell.arm for cell in tree.cells if cell.control == "copy"}
    return tuple(dict.fromkeys(cell.arm for cell in tree.cells if cell.arm not in copies))


def positions_of(tree: Tree) -> tuple[str, ...]:
    """Return the positions in the order of training: parents decide, then the order of the tree."""
    listed = list(dict.fromkeys(cell.position for cell in tree.cells))
    before: dict[str, set[str]] = {position: set() for position in listed}
    for earlier, later in _steps(tree):
        before[later].add(earlier)
    sorter = TopologicalSorter({key: sorted(before[key], key=listed.index) for key in listed})
    try:
        sorter.prepare()
    except CycleError:  # arms that go through the same stages in another order: no one order is right
        return tuple(listed)
    ordered: list[str] = []
    while sorter.is_active():
        ready = sorted(sorter.get_ready(), key=listed.index)
        ordered += ready
        sorter.done(*ready)
    return tuple(ordered)


def _steps(tree: Tree) -> Iterable[tuple[str, str]]:
    """Yield (earlier, later) positions: from a checkpoint's parent where it is known, else from the tree's order."""
    places: dict[tuple[str, str], str] = {(cell.arm, cell.checkpoint): cell.position for cell in tree.cells}
    parents = {checkpoint.id: checkpoint.parent for checkpoint in tree.checkpoints}
    have_parents = any(parent in parents for parent in parents.values())
    last: dict[str, str] = {}
    for cell in tree.cells:
        if have_parents:
            parent = places.get((cell.arm, parents.get(cell.checkpoint) or ""))
        else:
            parent, last[cell.arm] = last.get(cell.arm), cell.position
        if parent is not None and parent != cell.position:
            yield parent, cell.position


Group = tuple[tuple[str, ...], list[Cell]]
Key = tuple[str, ...]


def _groups(tree: Tree, positions: Sequence[str]) -> dict[Key, Group]:
    """Return groups of cells with one set of checkpoints, in order of position and first appearance."""
    by_name: dict[str, list[Cell]] = {}
    for cell in tree.cells:
        by_name.setdefault(cell.name, []).append(cell)
    groups: dict[Key, Group] = {}
    for name in sorted(by_name, key=lambda each: positions.index(by_name[each][0].position)):
        cells = by_name[name]
        key = (cells[0].position, *sorted({cell.checkpoint for cell in cells}))
        names, members = groups.get(key, ((), []))
        groups[key] = ((*names, name), [*members, *cells])
    return groups


def _parent(tree: Tree, cells: Sequence[Cell], positions: Sequence[str], keys: dict[str, Key]) -> Key | None:
    """Return the group before this one: where its checkpoints' parents are, else the arm's previous position."""
    own = {cell.name for cell in cells}
    parents = {checkpoint.id: checkpoint.parent for checkpoint in tree.checkpoints}
    above = {parents.get(cell.checkpoint) for cell in cells} - {None}
    arms = {cell.arm for cell in cells}
    found = [cell.name for cell in tree.cells if cell.checkpoint in above and cell.name not in own]
    same_arm = [name for name in found if name.partition("@")[0] in arms]
    if same_arm or found:
        return keys[(same_arm or found)[0]]
    if any(parent in parents for parent in parents.values()):
        return None
    place = positions.index(cells[0].position)
    before = [name for position in reversed(positions[:place]) for arm in arms if (name := f"{arm}@{position}") in keys]
    return keys[before[0]] if before else None


def _columns(order: Sequence[Key], parents: dict[Key, Key | None]) -> dict[Key, int]:
    columns: dict[Key, int] = {}

    def column(key: Key, seen: frozenset[Key]) -> int:
        parent = parents[key]
        if key not in columns:
            columns[key] = 0 if parent is None or parent in seen else column(parent, seen | {key}) + 1
        return columns[key]

    for key in order:
        column(key, frozenset())
    return columns


def _rows(order: Sequence[Key], parents: dict[Key, Key | None]) -> tuple[dict[Key, float], int]:
    """Return heights: leaves in order, one apart; a parent stands in the middle of its children."""
    children: dict[Key, list[Key]] = {key: [] for key in order}
    for key in order:
        parent = parents[key]
        if parent is not None:
            children[parent].append(key)
    rows: dict[Key, float] = {}
    leaves = count()

    def place(key: Key) -> None:
        if key in rows:
            return
        rows[key] = -1.0  # on the way: a loop in a damaged tree ends here
        for child in children[key]:
            place(child)
        own = [rows[child] for child in children[key] if rows[child] >= 0]
        rows[key] = (min(own) + max(own)) / 2 if own else float(next(leaves))

    for key in sorted(order, key=lambda each: parents[each] is not None):
        place(key)
    return rows, next(leaves) or 1


def _label(cells: Sequence[Cell], arms: Sequence[str]) -> str:
    """Return what the arms have in common: one name, common factor levels, or how many they are."""
    own = [cell for cell in cells if cell.control != "copy"] or list(cells)
    names = list(dict.fromkeys(cell.arm for cell in own))
    if len(names) == 1:
        return " = ".join(dict.fromkeys((names[0], *arms)))
    factors = [set(cell.factors.items()) for cell in own]
    common = [level for name, level in own[0].factors.items() if all((name, level) in each for each in factors)]
    return " ".join(common) if common else (" and ".join(names) if len(names) == 2 else f"{len(names)} arms")


def last_stage(tree: Tree, node: Node) -> StageInfo | None:
    """Return the stage that made the first checkpoint of a node, as far as the tree says."""
    checkpoints = {checkpoint.id: checkpoint for checkpoint in tree.checkpoints}
    for cell in tree.cells:
        if cell.name in node.cells and cell.checkpoint in checkpoints:
            stages = checkpoints[cell.checkpoint].stages
            return stages[-1] if stages else None
    return None
