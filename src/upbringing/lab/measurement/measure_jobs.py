"""What there is to measure: one job per distinct checkpoint of a tree and root run."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields, replace

from upbringing.lab.building.workshop import Prepared
from upbringing.lab.measurement.emulated import EmulatedMeasureJob
from upbringing.lab.measurement.measuring import MeasureJob, asked_in
from upbringing.lab.session import Session
from upbringing.study.tree import CellPlan, Node
from upbringing.training.emulate_tuning import EmulateTuning


def measure_jobs(session: Session, prepared: Prepared) -> list[MeasureJob]:
    """Return one job per distinct (checkpoint, root run) that a cell of the tree points at."""
    jobs: dict[tuple[str, int], MeasureJob] = {}
    for cell in session.tree.cells:
        place = (prepared.keys[cell.node], cell.lineage.replicate.root)
        if place not in jobs:
            jobs[place] = _job(session, prepared, cell)
    return list(jobs.values())


def with_weights(jobs: Sequence[MeasureJob]) -> list[MeasureJob]:
    """Return the jobs whose checkpoints are weights, not an emulation by others."""
    return [job for job in jobs if not isinstance(job, EmulatedMeasureJob)]


def _job(session: Session, prepared: Prepared, cell: CellPlan) -> MeasureJob:
    key, root = prepared.keys[cell.node], cell.lineage.replicate.root
    job = MeasureJob(
        key=f"measure-{root}-{key}",
        label=f"measure {cell.arm} at {cell.position}, seed {cell.lineage.replicate.number}",
        store=session.store.root,
        study=session.study,
        book=session.workshop.book,
        root=root,
        checkpoint=key,
        folder=prepared.folders.get(cell.node),
        profile=session.workshop.profile,
        after=(key,),
        template=asked_in(session.tree.nodes[cell.node]),
    )
    node = session.tree.nodes[cell.node]
    return job if not node.emulated_by else _emulated(job, node, session, prepared)


def _emulated(job: MeasureJob, node: Node, session: Session, prepared: Prepared) -> EmulatedMeasureJob:
    """Return ``job`` of a node without weights, with those that answer for it."""
    assert node.run is not None
    assert isinstance(node.run.stage, EmulateTuning)
    parts = tuple(job_of(job, session.tree.nodes[key], prepared) for key in node.emulated_by)
    stage = node.run.stage
    return EmulatedMeasureJob(
        **{each.name: getattr(job, each.name) for each in fields(MeasureJob)},
        parts=parts,
        strength=stage.strength,
        shuffled=node.run.seed if stage.delta.random else None,
    )


def job_of(job: MeasureJob, node: Node, prepared: Prepared) -> MeasureJob:
    """Return ``job`` on another node: where its checkpoint lies and how it is read."""
    folder = prepared.folders.get(node.key)
    return replace(job, checkpoint=prepared.keys[node.key], folder=folder, template=asked_in(node))
