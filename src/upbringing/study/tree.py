"""The tree of a study: the set of shared prefixes of its lineages, every distinct state once.

Runs of a stage that agree up to some step share one node there; the node is cut where they part, or where
something is measured. Cut points never enter a key, so adding an arm renames nothing.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from upbringing.base.errors import StudyError
from upbringing.base.nearest import did_you_mean
from upbringing.study.lineage import Lineage, Pipelines, Run
from upbringing.study.recipes import DataBook
from upbringing.study.seeds import replicates
from upbringing.study.start_names import start_position
from upbringing.study.study import Study
from upbringing.training.emulate_tuning import EmulateTuning
from upbringing.training.existing import Existing
from upbringing.training.start import Start


@dataclass(frozen=True)
class Node:
    """One state that is made once. ``from_step``..``to_step`` of ``run`` lead to it from ``parent``.

    ``to_step`` ``None`` = the end of a stage whose length is in epochs. ``start`` is set for roots instead
    of ``run``. ``needs_state``: a later node continues the same stage from here.
    """

    key: str
    parent: str | None
    inputs: dict[str, Any]
    label: str
    start: Start | None = None
    run: Run | None = None
    from_step: int = 0
    to_step: int | None = None
    needs_state: bool = False

    @property
    def existing(self) -> Existing | None:
        """The checkpoint of somebody else that this state is, if it is one."""
        given = self.start if self.start is not None else self.run.stage if self.run is not None else None
        return given if isinstance(given, Existing) else None

    @property
    def needs(self) -> tuple[str, ...]:
        """Keys of the states that must be there before this one: its parent, and those it is made of besides."""
        others = () if self.run is None else self.run.made_of
        return (*(() if self.parent is None else (self.parent,)), *others)

    @property
    def emulated_by(self) -> tuple[str, ...]:
        """Keys of the states that answer together for one without weights, as at, plus and minus; empty for others."""
        if self.run is None or self.run.delta is None or not isinstance(self.run.stage, EmulateTuning):
            return ()
        return self.run.parent, self.run.delta.to, self.run.delta.start


@dataclass(frozen=True)
class CellPlan:
    """A place in the design that is measured, and the node that fills it; the lineage knows arm and replicate."""

    arm: str
    position: str
    node: str
    lineage: Lineage

    @property
    def name(self) -> str:
        """``arm@position``."""
        return f"{self.arm}@{self.position}"


@dataclass(frozen=True)
class StudyTree:
    """All nodes in an order in which parents come first, and all measured cells."""

    nodes: dict[str, Node]
    cells: tuple[CellPlan, ...]
    lineages: tuple[Lineage, ...]


def study_tree(study: Study, book: DataBook) -> StudyTree:
    """Return the tree of ``study``; raises ``StudyError`` for arms that coincide without saying so."""
    arms = study.resolved_arms()
    lineages = [
        pipelines.lineage(arm)
        for pipelines in (Pipelines(study, book, arms, replicate) for replicate in replicates(study.seeds))
        for arm in arms.values()
    ]
    tree = _tree(lineages, _cuts(lineages))
    _refuse_unknown_cells(study, tree)
    _refuse_silent_twins(tree)
    _refuse_two_declarations(tree)
    _refuse_empty_predictions(tree)
    return replace(tree, nodes=_in_order(_with_state_flags(tree.nodes)))


def part_of_tree(tree: StudyTree, arms: Collection[str]) -> StudyTree:
    """Return what the arms named ``arms`` need of ``tree``: their cells and everything these start from.

    Nodes are cut, and keep their state, where the whole tree needs it: arms that are built later continue from there.
    ``arms`` hold those whose weights the deltas of others need (``selection.chosen_arms``).
    """
    part = _tree([each for each in tree.lineages if each.arm.name in arms], _cuts(tree.lineages))
    nodes = {key: replace(node, needs_state=tree.nodes[key].needs_state) for key, node in part.nodes.items()}
    return replace(part, nodes=_in_order(nodes))


def _in_order(nodes: dict[str, Node]) -> dict[str, Node]:
    """Return ``nodes`` with each behind all that it needs; else their order is kept."""
    ordered: dict[str, Node] = {}

    def add(key: str) -> None:
        if key not in ordered:
            for needed in nodes[key].needs:
                add(needed)
            ordered[key] = nodes[key]

    for key in nodes:
        add(key)
    return ordered


def _cuts(lineages: Sequence[Lineage]) -> dict[str, list[int]]:
    """Return the steps at which the run with each key is cut; arms that share it may look inside at other places."""
    inside: dict[str, set[int]] = defaultdict(set)
    runs: dict[str, Run] = {}
    for each in lineages:
        for run in each.runs:
            runs[run.key()] = run
            inside[run.key()].update(run.measured)
            inside[run.parent].update(step for step, _ in run.averaged)
    return _cut_points(runs.values(), inside)


def _tree(lineages: Sequence[Lineage], cuts: dict[str, list[int]]) -> StudyTree:
    nodes: dict[str, Node] = {}
    cells: list[CellPlan] = []
    for each in lineages:
        position = start_position(each.arm.start)
        root = Node(
            key=each.start_key, parent=None, inputs=dict(each.start_inputs), label=position, start=each.arm.start
        )
        nodes.setdefault(root.key, root)
        if isinstance(each.arm.start, Existing):  # random weights answer nothing: measuring them says nothing
            cells.append(_cell(each, position, each.start_key))
        for run in each.runs:
            cells.extend(_add_run(nodes, run, cuts[run.key()], each))
    return StudyTree(nodes=nodes, cells=tuple(cells), lineages=tuple(lineages))


def _cell(each: Lineage, position: str, node: str) -> CellPlan:
    return CellPlan(each.arm.name, position, node, each)


def _add_run(nodes: dict[str, Node], run: Run, cuts: list[int], each: Lineage) -> Iterable[CellPlan]:
    """Add the nodes of ``run`` and yield its measured cells."""
    parent, from_step = run.parent, 0
    total = run.total_steps
    measured = run.measured
    end = None if run.stream is None else total  # no steps lead to weights that were edited or made elsewhere
    for step in [*cuts, end]:
        key = run.key(step)
        whole = total is None or step is None or step == total
        label = run.stage_name if whole else f"{run.stage_name}:step {step}"
        nodes.setdefault(
            key,
            Node(key, parent, run.inputs(step), label, run=run, from_step=from_step, to_step=step),
        )
        if step is not None and step in measured:
            yield _cell(each, f"{run.stage_name}:{measured[step]}", key)
        parent, from_step = key, step or 0
    if not run.is_side_branch:
        yield _cell(each, run.stage_name, parent)


def _cut_points(runs: Iterable[Run], inside: Mapping[str, Collection[int]]) -> dict[str, list[int]]:
    """Return for each run's key the steps at which it is cut: those in ``inside``, and the last one it shares."""
    families: dict[str, list[Run]] = defaultdict(list)
    for run in runs:
        families[run.parent].append(run)
    cuts: dict[str, list[int]] = {}
    for family in families.values():
        for run in family:
            total = run.total_steps
            if not total:
                cuts[run.key()] = []
                continue
            steps = set(inside[run.key()])
            for other in family:
                if other is not run and other.total_steps:
                    shared = run.shared_steps(other)
                    if 0 < shared < total:
                        steps.add(shared)
            cuts[run.key()] = sorted(steps)
    return cuts


def _with_state_flags(nodes: dict[str, Node]) -> dict[str, Node]:
    continued = {
        node.parent
        for node in nodes.values()
        if node.run is not None and node.from_step > 0 and node.parent is not None
    }
    return {key: replace(node, needs_state=key in continued) for key, node in nodes.items()}


def _refuse_unknown_cells(study: Study, tree: StudyTree) -> None:
    """A contrast of a cell that is never measured would be found out when all is trained."""
    known = list(dict.fromkeys(cell.name for cell in tree.cells))
    for place, contrast in enumerate(study.contrasts):
        for cell in (*contrast.weights, *(cell for _, weights in contrast.beside for cell in weights)):
            if cell not in known:
                arm = cell.partition("@")[0]
                positions = ", ".join(each for each in known if each.partition("@")[0] == arm)
                raise StudyError(
                    f"contrast {contrast.name!r} names the cell {cell!r}, which is not measured ({positions})"
                    f"{did_you_mean(cell, known)}",
                    *(("contrasts", place, word, cell) for word in ("weights", "share_of", "counterpart")),
                )


def _refuse_silent_twins(tree: StudyTree) -> None:
    """Two arms whose last nodes are one are an error, unless same_as or a matrix says so."""
    ends: dict[tuple[int, str], str] = {}
    for each in tree.lineages:
        index = each.replicate.indices["rl"]
        other = ends.setdefault((index, each.end_key), each.arm.name)
        declared = each.arm.arm.same_as is not None or bool(each.arm.arm.factors)
        if other != each.arm.name and not declared:
            raise StudyError(
                f"arms {other!r} and {each.arm.name!r} are one and the same recipe: what differs between them "
                f"changes nothing. Declare it with same_as: {other}, or remove one",
                ("arms", each.arm.name),
            )


def _refuse_two_declarations(tree: StudyTree) -> None:
    """One checkpoint cannot be required to have changed by one arm and to be unchanged by another."""
    declared: dict[str, tuple[bool, str]] = {}
    for each in tree.lineages:
        for run in each.runs:
            if isinstance(run.stage, Existing):
                continue
            identity, arm = declared.setdefault(run.key(), (run.stage.identity, each.arm.name))
            if identity != run.stage.identity:
                raise StudyError(
                    f"arms {arm!r} and {each.arm.name!r} share the stage {run.stage_name!r}, but only one of them "
                    "declares it an identity: declare it in both, or in neither",
                    ("arms", each.arm.name, "stages", run.stage_name),
                )


def _refuse_empty_predictions(tree: StudyTree) -> None:
    """An edit says nothing of a checkpoint that it is made of: it would only give its weights back."""
    nodes = {(cell.name, cell.lineage.replicate.number): cell.node for cell in tree.cells}
    for each in tree.lineages:
        cell = each.arm.arm.stands_for
        delta = each.runs[-1].delta if cell is not None else None
        if cell is None or delta is None:
            continue
        if nodes.get((cell, each.replicate.number)) in (each.runs[-1].parent, delta.start, delta.to):
            raise StudyError(
                f"arm {each.arm.name!r}: stands_for names {cell!r}, of which its edit {each.runs[-1].stage_name!r} is "
                "made, so it predicts nothing: name a cell whose later stages were trained anew",
                ("arms", each.arm.name, "stands_for"),
            )
