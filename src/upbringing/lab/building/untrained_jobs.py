"""The jobs of nodes that are made from other checkpoints without training."""

from __future__ import annotations

from upbringing.lab.building.ablation_job import AblationJob
from upbringing.lab.building.edit_job import EditJob
from upbringing.lab.building.emulate_job import EmulateJob, Part
from upbringing.lab.building.workshop import Prepared, Workshop
from upbringing.study.tree import Node
from upbringing.training.ablate import Ablate
from upbringing.training.edit_weights import EditWeights
from upbringing.training.emulate_tuning import EmulateTuning


def edit_job(workshop: Workshop, node: Node, prepared: Prepared, label: str) -> EditJob:
    """Return the job that edits the weights of ``node``. ``label``: what a display calls it."""
    run = node.run
    assert run is not None
    assert run.delta is not None
    assert isinstance(run.stage, EditWeights)
    parent, start, to = (
        prepared.folders.get(key) or prepared.keys[key] for key in (run.parent, run.delta.start, run.delta.to)
    )
    return EditJob(
        key=prepared.keys[node.key],
        label=label,
        store=workshop.store.root,
        name=run.stage_name,
        stage=run.stage,
        seed=run.seed,
        parent=parent,
        start=start,
        to=to,
        inputs=node.inputs,
        profile=workshop.profile,
        after=tuple(dict.fromkeys(prepared.keys[key] for key in node.needs)),
    )


def ablation_job(workshop: Workshop, node: Node, prepared: Prepared, label: str) -> AblationJob:
    """Return the job that takes a slice out of the weights of ``node``. ``label``: what a display calls it."""
    run = node.run
    assert run is not None
    assert isinstance(run.stage, Ablate)
    return AblationJob(
        key=prepared.keys[node.key],
        label=label,
        store=workshop.store.root,
        name=run.stage_name,
        stage=run.stage,
        parent=prepared.folders.get(run.parent) or prepared.keys[run.parent],
        inputs=node.inputs,
        profile=workshop.profile,
        after=(prepared.keys[run.parent],),
    )


def emulate_job(workshop: Workshop, node: Node, prepared: Prepared, label: str) -> EmulateJob:
    """Return the job that names the checkpoints which answer for ``node``. ``label``: what a display calls it."""
    run = node.run
    assert run is not None
    assert isinstance(run.stage, EmulateTuning)
    return EmulateJob(
        key=prepared.keys[node.key],
        label=label,
        store=workshop.store.root,
        name=run.stage_name,
        stage=run.stage,
        seed=run.seed,
        parts=tuple(Part(prepared.keys[key], prepared.folders.get(key)) for key in node.emulated_by),
        inputs=node.inputs,
        profile=workshop.profile,
        after=tuple(dict.fromkeys(prepared.keys[key] for key in node.needs)),
    )
