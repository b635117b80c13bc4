"""The results folder's ``tree.json``: what was studied, joined with what was realised."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from upbringing.base.fingerprint import fingerprint
from upbringing.data.spelled_tokens import read_spelled, spelled_warnings
from upbringing.formats.items import Item
from upbringing.formats.record import Record
from upbringing.formats.tree import (
    Cell,
    CellSeeds,
    Checkpoint,
    ConditionInfo,
    ContrastSpec,
    Gate,
    ItemInfo,
    MeasureInfo,
    Registered,
    StageInfo,
    StudyInfo,
    Tree,
)
from upbringing.lab.stated_teachers import Past, pasts_of, stated_teacher, teachers_of
from upbringing.study.intervention_doses import Intervention, RealisedDose, interventions, realised_dose
from upbringing.study.lineage import Lineage
from upbringing.study.seeds import LEVEL_OF_KIND
from upbringing.study.start_names import start_position
from upbringing.study.study import Study
from upbringing.study.tree import CellPlan, Node, StudyTree
from upbringing.training.guards import OK
from upbringing.training.held_out import held_out_warnings
from upbringing.training.rl import Rl
from upbringing.training.start import FreshStart

COURSE = ("reward", "oracle", "divergence", "length", "distinct")


def results_tree(
    study: Study,
    tree: StudyTree,
    records: Mapping[str, Record],
    *,
    contrasts: tuple[ContrastSpec, ...],
    left_out: tuple[str, ...],
    registered: Registered,
    items: Sequence[Item],
    measures: Sequence[MeasureInfo],
    conditions: Sequence[ConditionInfo],
    gates: Sequence[Gate],
    warnings: Sequence[str],
) -> Tree:
    """Return ``tree.json`` of a measured study. ``records``: per node key, the record of its checkpoint.

    ``contrasts``: of all arms; those on arms in ``left_out`` stay, so that the findings list them as not computed.
    """
    info = StudyInfo(
        name=study.name,
        question=study.question,
        protocol=None if study.protocol is None else study.protocol.spec(),
        primary=study.primary,
        margins=dict(study.margins),
        ratio_margins=dict(study.ratio_margins),
        default_margins=study.default_margins,
        health_criteria=study.health_criteria,
        contrasts=contrasts,
        left_out=left_out,
        judge_error_gap=study.judge_error_gap,
        registered=registered,
    )
    measured = {cell.node for cell in tree.cells}
    return Tree(
        study=info,
        checkpoints=tuple(_checkpoints(tree, records, measured, interventions(study))),
        cells=tuple(_cell(study, cell, records) for cell in tree.cells),
        measures=tuple(measures),
        conditions=tuple(conditions),
        items=tuple(_item(item) for item in items),
        gates=tuple(gates),
        warnings=tuple(warnings),
    )


def held_out_notes(records: Mapping[str, Record], labels: Mapping[str, str]) -> tuple[str, ...]:
    """Return a sentence that names the stages whose loss on unread texts did not fall, if there are any."""
    flat = [
        labels.get(node, record.stage)
        for node, record in records.items()
        if record.held_out is not None and held_out_warnings(record.held_out)
    ]
    if not flat:
        return ()
    return (
        "The loss on unread texts of its own data did not fall by more than its standard error in "
        f"{'; '.join(flat)}: what such a stage taught may be nothing.",
    )


def spelled_notes(streams: Iterable[Path]) -> tuple[str, ...]:
    """Return a sentence per data of the ``streams`` (folders) whose texts spell special tokens, which are no tokens."""
    found: dict[str, Counter[str]] = {}
    for folder in streams:
        for name, tokens in read_spelled(folder).items():  # the same texts may stand in several: no sum
            found[name] = found.get(name, Counter()) | Counter(tokens)
    return tuple(f"{sentence[0].upper()}{sentence[1:]}." for sentence in spelled_warnings(found))


def reward_notes(records: Mapping[str, Record], labels: Mapping[str, str]) -> tuple[str, ...]:
    """Return a sentence per reward model (how well it ranks what it never read) and one per warning of an rl stage."""
    found = []
    for node, record in records.items():
        label = labels.get(node)
        if label is None:  # the middle of a stage, whose end says the same
            continue
        whole = next((group for group in record.reward_model if group.held_out and group.policy == "all"), None)
        if whole is not None:
            found.append(
                f"The reward model {label} ranks {whole.accuracy:.0%} of {whole.num_pairs} held-out pairs rightly "
                f"(expected calibration error {whole.calibration_error:.2f})."
            )
        if record.rl is not None or record.reward_model:
            found += [f"{label}: {warning}." for warning in record.warnings]
    return tuple(dict.fromkeys(found))


def _checkpoints(
    tree: StudyTree, records: Mapping[str, Record], measured: set[str], intervened: Mapping[str, Intervention]
) -> Iterable[Checkpoint]:
    stages: dict[str, tuple[StageInfo, ...]] = {}
    pasts = pasts_of(tree, records)
    for key, node in tree.nodes.items():
        before = stages.get(node.run.parent, ()) if node.run is not None else ()
        stages[key] = (*before, _stage(node, records, intervened, pasts)) if node.run is not None else ()
        if key in measured:
            yield _checkpoint(
                _resting_on_whole(tree, node, records),
                _measured_parent(tree, node.parent, records, measured),
                stages[key],
            )


def _resting_on_whole(tree: StudyTree, node: Node, records: Mapping[str, Record]) -> Record:
    """Return the record of a node, blocked where the reward model that paid it, or what its delta is made of, is."""
    record, pays = records[node.key], None if node.run is None else node.run.reward_model
    if record.guard != OK:
        return record
    if pays is not None and records[pays].guard != OK:
        return record.model_copy(update={"guard": f"the reward model that paid it is blocked: {records[pays].guard}"})
    for key in _lineages_of_delta(tree, node):
        if records[key].guard != OK:
            return record.model_copy(update={"guard": f"its delta rests on a blocked checkpoint: {records[key].guard}"})
    return record


def _lineages_of_delta(tree: StudyTree, node: Node) -> Iterable[str]:
    """Yield the checkpoints of a node's delta and all that they come from."""
    if node.run is None or node.run.delta is None:
        return
    waiting = [node.run.delta.to, node.run.delta.start]
    for key in waiting:  # grows while it is read
        waiting += [needed for needed in tree.nodes[key].needs if needed not in waiting]
    yield from dict.fromkeys(waiting)


def _measured_parent(tree: StudyTree, key: str | None, records: Mapping[str, Record], measured: set[str]) -> str | None:
    """Return the id of the nearest measured ancestor, because the report draws only what was measured."""
    while key is not None and key not in measured:
        key = tree.nodes[key].parent
    return None if key is None else records[key].id


def _checkpoint(record: Record, parent: str | None, stages: tuple[StageInfo, ...]) -> Checkpoint:
    losses = [loss for _, loss in record.loss_curve]
    return Checkpoint(
        id=record.id,
        parent=parent,
        guard=record.guard,
        profile=fingerprint(record.profile)[:16],
        weights_sha256=record.weights_sha256 or None,
        tokenizer_sha256=record.tokenizer_sha256 or None,
        template_sha256=record.template_sha256 or None,
        health={
            "last_loss": losses[-1] if losses else None,
            "updates": float(record.updates),
            "held_out_loss_before": record.held_out.before if record.held_out is not None else None,
            "held_out_loss_after": record.held_out.after if record.held_out is not None else None,
            **_course(record),
        },
        stages=stages,
    )


def _course(record: Record) -> dict[str, float | str | bool | None]:
    """Return what the answers of an rl stage were worth in its first and in its last update."""
    if record.rl is None or not record.rl.updates:
        return {}
    ends = {"first": record.rl.updates[0], "last": record.rl.updates[-1]}
    return {f"{name}_{when}": getattr(each, name) for when, each in ends.items() for name in COURSE}


def _stage(
    node: Node,
    records: Mapping[str, Record],
    intervened: Mapping[str, Intervention],
    pasts: Mapping[str, Past],
) -> StageInfo:
    record = records[node.key]
    given = _dose(node, record, intervened)
    stage = None if node.run is None else node.run.stage
    pays = None if node.run is None else node.run.reward_model
    teachers = teachers_of(record)
    return StageInfo(
        role=node.label,
        kind=record.kind,
        data_sha256=record.data_sha256,
        tokens=record.tokens,
        supervised_tokens=record.supervised_tokens,
        examples=record.examples,
        updates=record.updates,
        lr_sum=record.learning_rate_sum,
        dose=None if given is None else given.dose,
        start=None if given is None else given.start,
        teacher=stated_teacher(teachers, pasts) if teachers else None,
        reward=stage.reward.kind if isinstance(stage, Rl) else None,
        reward_model=None if pays is None else records[pays].id,
    )


def _dose(node: Node, record: Record, intervened: Mapping[str, Intervention]) -> RealisedDose | None:
    """Return from when and how much a node read of its stage's intervention, if that means anything."""
    run = node.run
    if run is None or run.stream is None or run.stage_name not in intervened:
        return None
    return realised_dose(intervened[run.stage_name], run.stream, record.steps, record.total_steps)


def _cell(study: Study, cell: CellPlan, records: Mapping[str, Record]) -> Cell:
    arm = cell.lineage.arm
    return Cell(
        arm=cell.arm,
        position=cell.position,
        checkpoint=records[cell.node].id,
        factors=dict(arm.arm.factors),
        state=dict(arm.states),
        control=arm.arm.control,
        stands_for=arm.arm.stands_for if cell.position == next(reversed(arm.stages), None) else None,
        seeds=_seeds(cell.lineage, cell.position),
    )


def _seeds(lineage: Lineage, position: str) -> CellSeeds:
    """Return the seed of every level that was trained up to ``position``, in a delta or before; the rest is unknown."""
    indices = lineage.replicate.indices
    fresh, at_start = isinstance(lineage.arm.start, FreshStart), position == start_position(lineage.arm.start)
    seeds: dict[str, int] = {"world": lineage.replicate.root}
    if fresh:
        seeds |= {"init": lineage.replicate.root, "pretrain": indices["pretrain"]}
    for run in lineage.runs:
        kind = run.stage.kind
        if not at_start and kind in LEVEL_OF_KIND and kind != "pretrain" and not run.is_side_branch:
            seeds[LEVEL_OF_KIND[kind]] = indices[LEVEL_OF_KIND[kind]]
        if not at_start and run.delta is not None:
            seeds |= {level: indices[level] for level in run.delta.levels if level != "pretrain"}
        if position.partition(":")[0] == run.stage_name:
            break
    return CellSeeds(**seeds)


def _item(item: Item) -> ItemInfo:
    return ItemInfo(
        id=item.id,
        cluster=item.cluster,
        twin=item.twin,
        request=item.request,
        family=item.family,
        world=item.world,
        split=item.split,
        seen_in=item.seen_in,
        eligible=item.eligible,
    )
